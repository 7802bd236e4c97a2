"""Transforms: what may happen to a change between source and log, or between log and destination."""

from __future__ import annotations

from typing import Protocol

from tailrace.event import Change


class Transform(Protocol):
    """Called by one thread, once for each change, in order."""

    def __call__(self, change: Change) -> Change | None:
        """Return the change to keep, as it is or another; None drops it. Raises `BadRecord` where it cannot decide."""
        ...
