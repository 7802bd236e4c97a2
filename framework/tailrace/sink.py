"""Sinks: where items go, a log or a destination."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from tailrace.errors import BadRecord
from tailrace.position import Position

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
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


@runtime_checkable
class Rejecting(Protocol[T_co]):
    """A sink that can hand back one item that its destination will never take, and go on with the others."""

    def reject_with(self, reject: Callable[[T_co, BadRecord], None]) -> None:
        """Take what carries out the sink's `errors` setting; called once, before `open`.

        The sink calls `reject` for an item that it leaves out: while it writes or flushes, or in `commit` before
        anything is durable there. It raises where the setting is to fail, and the sink lets that pass; where it
        returns, the item is cared for: a dead letter is durable before the position behind it is.
        """


@runtime_checkable
class Lively(Protocol):
    """A sink whose `commit` may take many steps, as many files, and that can tell that it goes on."""

    def tell_with(self, alive: Callable[[], None]) -> None:
        """Take what the sink calls, in the thread of `write` and `commit`, when such a step is done.

        Called once, before `open`. The worker kills a task that says nothing for as long as `worker.watchdog`. So
        `alive` is for what has been done, never for a clock: a sink that hangs must fall silent.
        """


@runtime_checkable
class Repositioning(Protocol):
    """A sink that keeps its position in its destination, and can tell and change it for `tailrace offsets`.

    Both are called on a sink that is not open, and connect by themselves.
    """

    def position(self, task: str) -> Position | None:
        """Return the position of the last commit, as `open` would, without becoming the writer."""
        ...

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position; None: begin anew. Raises `Retriable` while a writer is at work."""


@runtime_checkable
class Shareable(Protocol):
    """A sink that several tasks may have open at once, each under a name, and with a position, of its own.

    Each of them has other partitions, so no two write the same record; but they may make and write the same tables.
    """

    @property
    def shareable(self) -> bool:
        """Whether that goes for a destination with these settings."""
        ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that was found: of which topic, under which id, and how well it fits (more is better)."""

    topic: str
    id: str
    score: float
    document: Mapping[str, object]


@runtime_checkable
class Searching(Protocol):
    """A sink whose destination can be searched, for `tailrace search`."""

    def search(self, query: str, *, topics: Sequence[str], limit: int) -> Sequence[Hit]:
        """Return the best matches among the topics that match the globs, best first.

        Called on a sink that is not open, while another may be; connects by itself.
        """
        ...


@runtime_checkable
class Rebuilding(Protocol[T_contra]):
    """A sink that can build its destination anew beside the one that serves, for `tailrace rebuild`.

    Both are called on a sink that is not open, while another may be: that one goes on in the new destination.
    """

    def build(self) -> Sink[T_contra]:
        """Return a sink into the new destination; it has a position of its own, and goes on where it was cut short."""
        ...

    def switch(self, task: str) -> Sequence[str]:
        """Have the new destination serve in the place of the old one; return what was done, for people to read."""
        ...


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

    commits_when_dry: ClassVar[bool] = True
    """Whether to commit as soon as there is nothing more to read. A sink whose commits leave files behind waits."""

    type: str
    topics: list[str] = Field(min_length=1, description="globs of the topics to load")
    start: Literal["earliest", "latest"] | datetime = Field(
        "earliest", description="where to begin without a position; a time is UTC unless it says otherwise"
    )
    errors: Literal["fail", "skip", "dead_letter"] = Field(
        "fail", description="what to do with a record that cannot be decoded, or that the destination refuses"
    )
    dead_letter_topic: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="where `errors: dead_letter` writes; <sink>.dead-letter if not set",
    )
    restart_delay: PositiveFloat | None = Field(
        None, description="seconds before the first restart, which doubles with each further; the worker's if not set"
    )
    restart_delay_max: PositiveFloat | None = Field(
        None, description="longest wait in seconds between restarts; the worker's if not set"
    )
    tasks: int = Field(
        1, ge=1, le=100, description="how many tasks share the partitions of the topics; asks for a log of type kafka"
    )
    commit_interval: PositiveFloat = Field(0.5, description="longest time in seconds between commits under load")
    commit_bytes: int = Field(16 * 1024 * 1024, gt=0, description="most bytes between commits under load")


class SinkPlugin(Protocol[T_contra]):
    """What the entry points of `tailrace.sinks` name: a class to be built from its settings."""

    Config: ClassVar[type[SinkConfig]]

    def __call__(self, name: str, config: SinkConfig) -> Sink[T_contra] | PlainSink[T_contra]:
        """Build the sink `name`, of `tailrace.codec.delivery.Delivery` items; does no I/O."""
        ...
