"""What flows: changes out of a database, records into a log.

A `Change` holds one row change in the database's own wire form and decodes itself only if somebody looks, so that an
untouched change can go from wire bytes to Avro bytes without passing through Python values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from tailrace.core.change import ChangeFields
from tailrace.core.plan import At as At  # noqa: PLC0414 - part of the vocabulary
from tailrace.core.plan import Layout as Layout  # noqa: PLC0414 - likewise
from tailrace.schema import Schema, Unavailable, Value

Op: TypeAlias = Literal["r", "c", "u", "d", "t"]
"""Debezium's letters: snapshot read, create, update, delete, truncate."""

Row: TypeAlias = Mapping[str, Value]

Cell: TypeAlias = bytes | None | Unavailable
"""One column's value as the database sent it: bytes, NULL, or not sent at all."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one version of a table.

    `decode` turns the wire bytes of a non-null cell into a `Value`, and raises `BadRecord` where it cannot read them.
    `placeholder` is the value that stands for one that the database did not send (Debezium's in-band convention).
    `form` names what `decode` does, where the compiled core can do the same (`tailrace.codec.compiled`).
    `length` is the most characters that a text of its type can have, None where there is no such bound.
    `text` prints the wire bytes of a cell, where they are not text themselves; it raises `BadRecord` as `decode` does.
    `gaps` says that `decode` returns None for values that have no form, such as dates that no calendar has.
    `disguised` says that `decode` gives something else than what the database has (`tailrace.codec.projection`).
    """

    name: str
    schema: Schema
    decode: Callable[[bytes], Value]
    placeholder: Value = None
    form: str = ""
    length: int | None = None
    gaps: bool = False
    disguised: bool = False
    text: Callable[[bytes], bytes] | None = None


class RowFormat(Protocol):
    """How a connector's wire rows are cut into cells."""

    def cells(self, wire: bytes) -> Sequence[Cell]:
        """Return one cell per column of the table, in order; raises `BadRecord` when `wire` is malformed."""
        ...


@runtime_checkable
class KnownLayout(RowFormat, Protocol):
    """A row format that the compiled core can cut by itself."""

    layout: Layout


@runtime_checkable
class SizedLayout(KnownLayout, Protocol):
    """One whose rows do not say how wide their cells are."""

    widths: Sequence[int]
    """Of the cells of each column: their octets or, negative, the octets of the length before them."""


@dataclass(frozen=True, slots=True)
class NarrowFormat:
    """Rows that have more columns on the wire than their table: it has those at `kept` of the `width` there are."""

    whole: RowFormat
    kept: tuple[int, ...]
    width: int

    def cells(self, wire: bytes) -> Sequence[Cell]:
        """Return the cells of the columns that are kept."""
        cells = self.whole.cells(wire)
        return [cells[place] for place in self.kept]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One version of a table's shape, as the database described it; compared by identity.

    `key` holds indexes into `columns`, in key order; empty for a table without a key.
    `id` is the name in the database (`public.orders`); `topic` is where its changes go, and its schemas' namespace.
    """

    id: str
    topic: str
    columns: tuple[Column, ...]
    key: tuple[int, ...]
    format: RowFormat
    source: Schema
    """Connect schema of the envelope's `source` block."""

    @property
    def on_the_wire(self) -> Sequence[int | None]:
        """For each column of a row in wire form, which of `columns` it is; None: it is left out."""
        if not isinstance(self.format, NarrowFormat):
            return range(len(self.columns))
        places = {wire: place for place, wire in enumerate(self.format.kept)}
        return [places.get(wire) for wire in range(self.format.width)]

    @property
    def hides(self) -> bool:
        """Whether a row in wire form holds what nobody may see: columns that are left out or disguised."""
        return isinstance(self.format, NarrowFormat) or any(column.disguised for column in self.columns)


class Origin(Protocol):
    """Where changes come from: what is common to the changes of one transaction or snapshot chunk."""

    def source_block(self, change: Change) -> Sequence[Value]:
        """Return the values of `change.table.source`, one per field, in order."""
        ...


def filled(block: Sequence[Value | At], at: int) -> list[Value]:
    """Return a steady source block with its marks filled in for a change."""
    return [value.filled(at) if isinstance(value, At) else value for value in block]


class SteadyOrigin(Origin, Protocol):
    """An origin whose source blocks differ in nothing but `Change.at`; the compiled core then asks once per table."""

    def steady_block(self, table: Table) -> Sequence[Value | At]:
        """Return the block of any change of `table`, with marks for what differs; the same as long as it lives."""
        ...


class Change(ChangeFields):
    """One change of one row, in the database's wire form until somebody looks.

    `before_wire` and `after_wire` are rows in `table.format`, None where there is no such row. `at` is the
    connector's own mark of the change inside its origin (Postgres: the LSN of the message).
    `moved` is set on an update that gave the row another key; `before_wire` then has at least the old key's columns.
    """

    __slots__ = ()

    def __init__(
        self,
        table: Table,
        op: Op,
        before_wire: bytes | None,
        after_wire: bytes | None,
        *,
        origin: Origin,
        at: int = 0,
        moved: bool = False,
    ) -> None:
        self.table = table
        self.op = op
        self.before_wire = before_wire
        self.after_wire = after_wire
        self.origin = origin
        self.at = at
        self.moved = moved

    @property
    def before(self) -> Row | None:
        """The row before the change, as far as the database sent it; decoded at the first look."""
        if self._before is None and self.before_wire is not None:
            self._before = _decode(self.table, self.before_wire)
        return self._before

    @property
    def after(self) -> Row | None:
        """The row after the change; decoded at the first look."""
        if self._after is None and self.after_wire is not None:
            self._after = _decode(self.table, self.after_wire)
        return self._after

    @property
    def touched(self) -> bool:
        """Whether the rows are values given by a transform rather than wire bytes."""
        return self.before_wire is None and self.after_wire is None and self.op != "t"

    def with_rows(self, before: Row | None, after: Row | None, *, table: Table | None = None) -> Change:
        """Return this change with other rows, and with another table where the rows no longer fit this one."""
        other = Change(table or self.table, self.op, None, None, origin=self.origin, at=self.at, moved=self.moved)
        other._before, other._after = before, after
        return other


def _decode(table: Table, wire: bytes) -> Row:
    return {
        column.name: column.decode(cell) if isinstance(cell, bytes) else cell
        for column, cell in zip(table.columns, table.format.cells(wire), strict=True)
    }


@dataclass(frozen=True, slots=True)
class Message:
    """Anything that is not a row change: a heartbeat, a transaction marker, a schema change.

    `key` and `value` are structs of the schemas beside them.
    """

    topic: str
    key_schema: Schema
    key: Mapping[str, Value]
    value_schema: Schema
    value: Mapping[str, Value]


Event: TypeAlias = Change | Message


class Record:
    """Key and value bytes as they rest in the log."""

    __slots__ = ("headers", "key", "partition", "timestamp_ms", "topic", "value")

    def __init__(  # noqa: PLR0917 - built once for every event; keywords cost time here
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.timestamp_ms = timestamp_ms
        self.headers = headers
        self.partition = partition
        """None: chosen by the hash of the key, as Kafka's default partitioner does."""


class StoredRecord(NamedTuple):
    """A record and where it rests.

    A tuple, not a frozen dataclass: one is made for every record read, and making it takes a sixth of the time.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
