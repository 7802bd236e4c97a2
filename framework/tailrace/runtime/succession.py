"""The sink of a task that a group of workers has given to this one.

Another worker may have had the task before, and may not know yet that it has not: held still, cut off, or its machine
gone and missed by the destination only hours later. Its lease has ended, so that what it still holds may be taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from tailrace.errors import Retriable
from tailrace.position import Position
from tailrace.sink import Sink
from tailrace.source import Seizing

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


def seized(made: T, lease: float | None) -> T:
    """Return a sink as its package made it; with a lease, told to end whoever still holds its place."""
    if lease is not None and isinstance(made, Seizing):
        made.seize()
    return made


class SuccessorSink(Generic[T_contra]):
    """Waits for a destination that is still held, for as long as it takes: no other worker would fare better."""

    def __init__(self, sink: Sink[T_contra]) -> None:
        self._sink = sink

    def open(self, task: str) -> Position | None:
        """Open the sink; a passing fault has no limit of attempts."""
        try:
            return self._sink.open(task)
        except Retriable as error:
            raise Retriable(error.message, hint=error.hint, retry_after=error.retry_after, patient=True) from error

    def write(self, items: Sequence[T_contra]) -> None:
        """Pass `items` on."""
        self._sink.write(items)

    def commit(self, position: Position) -> None:
        """Commit."""
        self._sink.commit(position)

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
