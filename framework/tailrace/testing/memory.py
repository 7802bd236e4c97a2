"""A sink and offsets in memory, which keep what a destination would keep when the task's process dies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from tailrace.errors import Retriable
from tailrace.event import Message
from tailrace.position import Position
from tailrace.source import Recalled

T = TypeVar("T")


class MemorySink(Generic[T]):
    """Commits items and position in one step."""

    def __init__(self) -> None:
        self.committed: list[T] = []
        self.position: Position | None = None
        self.commits = 0
        self._pending: list[T] = []
        self._writer: str | None = None

    def open(self, task: str) -> Position | None:
        """Become the writer; forget what was not committed."""
        if self._writer is not None:
            raise Retriable(f"memory sink is being written by {self._writer}")
        self._writer = task
        self._pending = []
        return self.position

    def write(self, items: Sequence[T]) -> None:
        """Hold `items` until the commit."""
        assert self._writer is not None, "write to a sink that is not open"
        self._pending += items

    def commit(self, position: Position) -> None:
        """Keep items and position."""
        assert self._writer is not None, "commit to a sink that is not open"
        self.committed += self._pending
        self._pending = []
        self.position = position
        self.commits += 1

    def recall(self, topic: str) -> Iterator[Recalled]:
        """Yield the committed messages of `topic`, as a log does to a `Recalling` source."""
        for item in self.committed:
            if isinstance(item, Message) and item.topic == topic:
                yield Recalled(dict(item.key), dict(item.value))

    def close(self) -> None:
        """Give up being the writer."""
        self._writer = None
        self._pending = []


class MemoryPlainSink(Generic[T]):
    """Cannot keep a position."""

    def __init__(self) -> None:
        self.flushed: list[T] = []
        self._pending: list[T] = []

    def open(self, task: str) -> None:  # noqa: ARG002 - it keeps nothing by task
        """Forget what was not flushed."""
        self._pending = []

    def write(self, items: Sequence[T]) -> None:
        """Hold `items` until the flush."""
        self._pending += items

    def flush(self) -> None:
        """Keep the items."""
        self.flushed += self._pending
        self._pending = []

    def close(self) -> None:
        """Forget what was not flushed."""
        self._pending = []


class MemoryOffsets:
    """Keeps positions of tasks."""

    def __init__(self) -> None:
        self.saved: dict[str, Position] = {}

    def load(self, task: str) -> Position | None:
        """Return the position saved last."""
        return self.saved.get(task)

    def save(self, task: str, position: Position) -> None:
        """Keep `position`."""
        self.saved[task] = position
