"""A table of the replica: its name out of the topic's, its columns out of the shape that deliveries have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from tailrace.codec.delivery import Delivery, Shape
from tailrace.codec.registry import AvroSchema
from tailrace.errors import BadRecord, ConfigError
from tailrace_replica.kind import Kind, kind_of

Name: TypeAlias = tuple[str, ...]
"""Of a table: (schema, table), or (table,)."""


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """One column. Outside of the key all of them take null: what must not be null is the source's business."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A table as one shape has it; compared by identity. `key` names columns, in key order."""

    name: Name
    columns: tuple[TargetColumn, ...]
    key: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name for people."""
        return ".".join(self.name)


def name_of(topic: str, template: str) -> Name:
    """Return the table's name for a topic `prefix.schema.table`; raises `ConfigError` for a template that is none."""
    *front, table = topic.split(".")
    prefix, schema = (front[0] if front else ""), ".".join(front[1:])
    try:
        name = template.format(prefix=prefix, schema=schema, table=table)
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(f"table: {template!r} is no name: use {{prefix}}, {{schema}} and {{table}}") from error
    first, dot, rest = name.partition(".")
    return (first, rest) if dot and first else (rest or first,)


def target_of(name: Name, shape: Shape, key: Shape | None) -> Target:
    """Return the table for deliveries of one shape."""
    columns = tuple([TargetColumn(field.name, kind_of(field.schema)) for field in shape.columns])
    keys = () if key is None else tuple([field.name for field in key.columns])
    if missing := [each for each in keys if each not in {column.name for column in columns}]:
        raise BadRecord(f"key of {'.'.join(name)} has columns that its rows lack: {', '.join(missing)}")
    return Target(name, columns, keys)


Lines: TypeAlias = Callable[[bytes, int], tuple[str, bytes | None]]
"""From a framed value, and where its Avro begins, to the op and the row after the change.

Raises ValueError for what is left to `RowWriter.row`.
"""

Row: TypeAlias = "bytes | tuple[object, ...]"
"""A row as its destination wants it: a line or tuple of COPY, or the values to bind."""


@dataclass(frozen=True, slots=True)
class Patch:
    """An update that does not carry every column: those that it names, with the values to bind."""

    names: tuple[str, ...]
    values: tuple[object, ...]


Entry: TypeAlias = "tuple[Row | Patch | None, Delivery]"
"""What becomes of a row, None where it is deleted, and the delivery that says so."""


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two records that tell of a changed key: of the old key, which is `leaving`, or of the new one.

    Topics of several partitions have no order between them. `mark` is the same in both, and differs between changes.
    """

    mark: str
    old: tuple[object, ...]
    new: tuple[object, ...]
    """The keys, as parameters of a statement."""
    leaving: bool


@dataclass(slots=True)
class Changes:
    """What is to be done to one table, at most one thing to each key.

    `rows` has it by the key's octets; without a key `added` has the rows. `fresh` says that all of them are inserts.
    `emptied`: everything goes, and that is all; the target has no columns then. `moved`: a key changed,
    and that is all. The half that comes first is noted. If it is the one of the old key, the row gets the new key, with
    all that it holds; where there is a row of that key, or the other half was here before, the old row just goes.
    """

    target: Target
    writer: RowWriter | None = None
    rows: dict[bytes, Entry] = field(default_factory=dict)
    added: list[tuple[Row, Delivery]] = field(default_factory=list)
    fresh: bool = True
    emptied: bool = False
    moved: Half | None = None


class RowWriter(Protocol):
    """Makes rows of one target for its destination; both raise `BadRecord` for what the destination cannot hold."""

    def row(self, values: tuple[object, ...]) -> Row:
        """Return the row of values in the order of the target's columns; None is null."""
        ...

    def lines(self, schema: AvroSchema | None, *, new: bool) -> Lines | None:
        """Return what makes rows of whole envelopes of that schema, compiled; None where there is no such thing.

        `new`: of rows that are expected to be inserts, all of them; else of rows to be merged.
        """
        ...

    def bound(self, names: Sequence[str], values: Mapping[str, object]) -> tuple[object, ...]:
        """Return the values of the named columns as parameters of a statement."""
        ...


def key_of(item: Delivery) -> Mapping[str, object]:
    """Return the fields of a delivery's key; raises `BadRecord` where it has none."""
    if not isinstance(item.key, Mapping):
        raise BadRecord("key has no fields")
    return item.key


def missing_row(target: Target) -> BadRecord:
    """Return the error of an update that does not carry every value, of a row that is not there."""
    return BadRecord(
        f"update of {target.label} does not carry every value, and the replica has no such row",
        hint="load the table from its start, or have the source send whole rows (REPLICA IDENTITY FULL)",
    )
