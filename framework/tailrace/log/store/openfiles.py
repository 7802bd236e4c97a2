"""A bound on open descriptors, for logs with more partitions than a process may open files."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Protocol

MOST = 512
FEWEST = 4


class Parkable(Protocol):
    """Something with a descriptor that can be given back and opened again."""

    def park(self) -> None:
        """Give the descriptor back until it is needed again."""


def limit() -> int:
    """Return how many files to keep open: a quarter of what the process may still open, at most 512."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    try:
        taken = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:  # not even that: who opens a file next is told why
        return FEWEST
    return max(FEWEST, min(MOST, (soft - taken) // 4))


class OpenFiles:
    """Who has a descriptor open; the one that was opened first is parked when there are too many."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most or limit()
        self._open: dict[Parkable, None] = {}

    def admit(self, holder: Parkable) -> None:
        """Take notice that `holder` opens a descriptor now; may park another one first."""
        while len(self._open) >= self._most:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.park()
        self._open[holder] = None

    def leave(self, holder: Parkable) -> None:
        """Take notice that `holder` closed its descriptor."""
        self._open.pop(holder, None)
