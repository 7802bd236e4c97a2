"""Sources: where items come from, a database or topics of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from tailrace.columns import ColumnRules
from tailrace.event import Event
from tailrace.position import Json, Position

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Batch(Generic[T_co]):
    """What one `poll` returned.

    `position` is where to resume once `items`, and all before them, are durable; None where nothing may be committed
    yet (inside a pass that cannot be resumed). An empty batch with a position says that the source moved on past
    things that concern nobody. `size` is about how many bytes of memory or wire the items take.
    """

    items: Sequence[T_co] = ()
    position: Position | None = None
    size: int = 0


class Source(Protocol[T_co]):
    """Called by one thread, in the order open, (poll, ack)*, close."""

    def open(self, resume_from: Position | None) -> None:
        """Connect, and get ready to hand out what follows `resume_from` (None: from the start, snapshot included).

        Raises `Fatal` where what follows `resume_from` is no longer to be had.
        """

    def poll(self, timeout: float) -> Batch[T_co]:
        """Return what is at hand, waiting at most `timeout` seconds for something; an empty batch is fine.

        Returns as soon as there is anything, and never waits to fill a batch. Raises `EndOfSource` at the end.
        """
        ...

    def ack(self, position: Position | None) -> None:
        """Everything up to `position` is durable, so the database may discard it (None: nothing is yet).

        Called after every poll, also with an unchanged position: this is where a source answers keep-alives.
        """

    def close(self) -> None:
        """Release everything; safe after a failed `open`, and twice."""


@dataclass(frozen=True, slots=True)
class SnapshotProgress:
    """How far a snapshot is. `rows_total` is the database's own estimate."""

    table: str
    tables_done: int
    tables_total: int
    rows: int
    rows_total: int
    percent: float
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a source can tell of itself, at any time between `open` and `close`."""

    position: str = ""
    """The position handed out last, for people to read (Postgres: `0/16B3748`)."""
    server_position: str = ""
    """How far the other side is, in the same notation."""
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    heard_seconds: float | None = None
    """Seconds since the other side last said anything."""
    caught_up: bool = False
    """Everything that existed when the source was opened has been handed out, the snapshot included."""
    snapshot: SnapshotProgress | None = None
    details: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    """Figures that only this kind of source has (Postgres: `retained_wal_bytes`, `wal_status`)."""


@runtime_checkable
class Reporting(Protocol):
    """A source that can say how far it is; all of ours do."""

    def report(self) -> Report:
        """Return the state as known now, without asking the other side."""
        ...


class Recalled(NamedTuple):
    """A record of the log, decoded: key and value as `tailrace.codec.decoder` has them."""

    key: object
    value: object


Recall: TypeAlias = Callable[[str], Iterator[Recalled]]
"""Yields the committed records of a topic from its start, in order; nothing where there is no such topic."""


@runtime_checkable
class Recalling(Protocol):
    """A source that keeps what it has to remember in a topic of its own, as `Message`s among its other items.

    Items and position are committed together, so the topic, read to its end, is what the source knew at the position.
    Such topics are named `__tailrace-…`: logs keep them whole, in one partition.
    """

    def recall_with(self, recall: Recall) -> None:
        """Take the reader of the log; called once, before `open`. It may be used while `open` runs, not before."""


@runtime_checkable
class Seizing(Protocol):
    """A source or sink that one client at a time can have, and that a worker which is cut off may still hold.

    In a group of workers it is the group that says who has a task, and `seize` is called; elsewhere nothing says that
    whoever holds on is not the one who should.
    """

    def seize(self) -> None:
        """Let every `open` from now on end whoever still reads or writes as this task; called before the first.

        A source is seized only where that cannot lose anything: nobody else can commit for the task once its sink is
        open. A sink that can be seized has to see to that itself: whoever is ended can commit nothing any more.
        """


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `tailrace check` looked at: `what` was found and, where it is a fault, how to `mend` it."""

    ok: bool
    what: str
    mend: str = ""


@runtime_checkable
class Checking(Protocol):
    """A source, sink or log that can check its server's settings, grants and tables before it is run."""

    def check(self) -> Sequence[Finding]:
        """Connect, look, disconnect; nothing is changed. Faults are returned, and all of them, rather than raised."""
        ...


@runtime_checkable
class TakingOver(Protocol):
    """A source that can go on where Debezium's connector for the same database stopped."""

    def take_over(self, offset: Mapping[str, Json]) -> Position:
        """Return the position that follows what Debezium had told when it stored `offset`.

        Called before `open`, of a source that is not open: it connects, looks, disconnects, and changes nothing.
        Raises `Fatal` where going on from there would lose something, or cannot work, and says why.
        """
        ...


class SourceConfig(BaseModel):
    """The settings that every database source has; a source's own `Config` extends it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    topic_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]*$", description="first part of every topic name; the connector's name if not set"
    )
    tables: list[str] = Field(["*"], description="globs of the tables to capture, schema.table")
    exclude: list[str] = Field([], description="globs of tables to leave out")
    columns: ColumnRules = Field(ColumnRules(), description="which columns are told, and which of them in disguise")
    format: Literal["avro", "json", "json_schema"] = Field("avro", description="how keys and values are written")
    tombstones: bool = Field(
        default=True, description="write a null value after each delete, so that compaction drops the key"
    )
    unavailable_value: str = Field(
        "__debezium_unavailable_value", description="stands for a value that the database did not send"
    )
    errors: Literal["fail", "skip", "dead_letter"] = Field(
        "fail",
        description="what to do with an event that cannot be encoded, or that is too large for its topic in Kafka",
    )
    on_incompatible_schema: Literal["register", "stop"] = Field(
        "register", description="what to do when a table's new schema breaks the subject's compatibility level"
    )
    commit_interval: PositiveFloat = Field(0.5, description="longest time in seconds between commits under load")
    commit_bytes: int = Field(16 * 1024 * 1024, gt=0, description="most bytes between commits under load")
    heartbeat_interval: float = Field(10.0, ge=0, description="seconds between heartbeats; 0: none")


class SourcePlugin(Protocol):
    """What the entry points of `tailrace.sources` name: a class to be built from its settings."""

    Config: ClassVar[type[SourceConfig]]

    def __call__(self, name: str, config: SourceConfig) -> Source[Event]:
        """Build the source of the connector `name`; does no I/O."""
        ...
