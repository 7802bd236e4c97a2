"""What a log is: a sink of records that can be read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from tailrace.codec.registry import Registry
from tailrace.errors import Fatal
from tailrace.event import Record
from tailrace.event import StoredRecord as StoredRecord  # noqa: PLC0414 - it was here first
from tailrace.position import Position
from tailrace.sink import Sink
from tailrace.source import Source

Start: TypeAlias = "Literal['earliest', 'latest'] | int"
"""Where a reader without a position begins; a number is a time, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """Offsets are [first, next): `next` is where committed records end, and not all below it need be records."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    bytes: int | None
    """None: not known."""


class OffsetsGone(Fatal):
    """A reader asked for committed offsets that the log no longer has: cleaned away, or lost."""

    def __init__(self, topic: str, partition: int, offset: int, first_available: int) -> None:
        super().__init__(
            f"read {topic}-{partition}: offsets {offset} to {first_available - 1} are gone, "
            f"{first_available} is the first there is",
            hint="they were deleted by the topic's retention, or a segment file is missing: restore it, or build the "
            "destination anew and go on from there",
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.first_available = first_available


@runtime_checkable
class TakesBlocks(Protocol):
    """A log whose writer takes `EncodedRecords` as the blocks that they are; then they must be sorted by partition."""

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has, or will have once something is written to it."""
        ...


@runtime_checkable
class Resting(Protocol):
    """A log whose commits cost other machines much: a source's task that keeps up rests between them."""

    @property
    def commit_rest(self) -> float:
        """Seconds from a commit to the next one, at least, while the input is dry again and again."""
        ...


@runtime_checkable
class Limiting(Protocol):
    """A log whose topics take records up to a size of their own."""

    def record_limit(self, topic: str) -> int:
        """Return the most that a topic takes in one record batch, in octets."""
        ...


@runtime_checkable
class Settling(Protocol):
    """A log in which what a dead writer left open holds up others, until somebody writes as the same task again."""

    def settle(self, task: str) -> None:
        """Undo what the last writer of `task` left open; one that still writes is fenced off."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """What follows a position in a log: `seconds` is the age of its oldest part, 0 where nothing follows.

    None: the log does not tell.
    """

    bytes: int | None
    seconds: float | None
    records: int | None = None


@runtime_checkable
class Measuring(Protocol):
    """A log that tells what is before a reader without one being opened, and without waiting for anybody."""

    def backlog(self, topics: Sequence[str], position: Position) -> Backlog | None:
        """Return what follows a reader's position, None where that is not known (yet).

        Raises `Fatal` where what follows is gone or damaged.
        """
        ...


class LogBackend(Protocol):
    """Kafka, or the bundled store. Building one does no I/O."""

    def writer(self, prefix: str = "") -> Sink[Record]:
        """Return a sink that commits records and position together.

        `prefix` is the topic prefix of a source, where positions are kept as Kafka Connect keeps them.
        """
        ...

    def reader(self, topics: Sequence[str], *, start: Start = "earliest", task: str = "") -> Source[StoredRecord]:
        """Return a source of the committed records of all topics that match the globs, new ones included.

        Its position is `{"<topic>-<partition>": next offset}`. `task` is who reads, where a log shows that to others.
        """
        ...

    def records(self, topic: str, partition: int, offset: int) -> Iterator[StoredRecord]:
        """Yield the committed records from `offset` (or the first there is) up to the end as of the call."""
        ...

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Return the offset of the first record that is not older than `timestamp_ms`, or the next offset."""
        ...

    def partitions(self) -> Sequence[PartitionInfo]:
        """Return all partitions of all topics, sorted."""
        ...

    def registry(self) -> Registry:
        """Return the registry of the log's schemas."""
        ...

    def positions(self) -> Mapping[str, Position | None]:
        """Return the position of the last commit of every task."""
        ...

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position of a task that is not running; one that runs stays or goes on from there, never both."""
