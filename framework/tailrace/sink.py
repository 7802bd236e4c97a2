"""Sinks: where items go, a log or a destination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from tailrace.position import Position

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """Called by one thread, in the order open, (write, commit)*, close."""

    def open(self, task: str) -> Position | None:
        """Become the only writer for `task`, undo what a crash left uncommitted, return the last commit's position.

        Raises `Retriable` while another process is still the writer.
        """
        ...

    def write(self, items: Sequence[T_contra]) -> None:
        """Accept `items` in order; they need not be durable yet."""

    def commit(self, position: Position) -> None:
        """Make every write so far durable and `position` with it: all of it, or none."""

    def close(self) -> None:
        """Release everything, without committing; safe after a failed `open`, and twice."""


class PlainSink(Protocol[T_contra]):
    """A destination that cannot keep a position; `OffsetsBeside` keeps it elsewhere."""

    def open(self, task: str) -> None:
        """Connect."""

    def write(self, items: Sequence[T_contra]) -> None:
        """Accept `items` in order; they need not be durable yet."""

    def flush(self) -> None:
        """Make every write so far durable."""

    def close(self) -> None:
        """Release everything; safe after a failed `open`, and twice."""


class OffsetStore(Protocol):
    """Keeps positions of tasks outside of their destination."""

    def load(self, task: str) -> Position | None:
        """Return the position saved last."""
        ...

    def save(self, task: str, position: Position) -> None:
        """Keep `position` durably."""


class OffsetsBeside(Generic[T]):
    """Gives a `PlainSink` a commit: flush, then save. At least once, in order."""

    def __init__(self, sink: PlainSink[T], offsets: OffsetStore) -> None:
        self._sink = sink
        self._offsets = offsets
        self._task = ""

    def open(self, task: str) -> Position | None:
        """Open the destination, then look up where it was."""
        self._task = task
        self._sink.open(task)
        return self._offsets.load(task)

    def write(self, items: Sequence[T]) -> None:
        """Pass `items` on."""
        self._sink.write(items)

    def commit(self, position: Position) -> None:
        """Flush first: a position saved before its items are durable would lose them in a crash."""
        self._sink.flush()
        self._offsets.save(self._task, position)

    def close(self) -> None:
        """Close the destination."""
        self._sink.close()


class SinkConfig(BaseModel):
    """The settings that every sink from the log has; a sink's own `Config` extends it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    topics: list[str] = Field(min_length=1, description="globs of the topics to load")
    commit_interval: PositiveFloat = Field(0.5, description="longest time in seconds between commits under load")
    commit_bytes: int = Field(16 * 1024 * 1024, gt=0, description="most bytes between commits under load")


class SinkPlugin(Protocol[T_contra]):
    """What the entry points of `tailrace.sinks` name: a class to be built from its settings."""

    Config: ClassVar[type[SinkConfig]]

    def __call__(self, name: str, config: SinkConfig) -> Sink[T_contra] | PlainSink[T_contra]:
        """Build the sink `name`, of stored records; does no I/O."""
        ...
