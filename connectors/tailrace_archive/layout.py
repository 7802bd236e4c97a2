"""How the records of one schema lie in a file: coordinates of the log first, then what the record says.

    coordinates   __topic __partition __offset __timestamp __unavailable __headers
    envelope      coordinates, then before after source … op ts_ms …
    flat          coordinates, then __op __deleted __ts_ms __source, then the row's columns: id name …

A row of `flat` is the row after the change or, of a delete, the one before it, as far as the database told it; a
truncate has neither. What the database did not send is null there, and named in `__unavailable`. Values that are no
envelopes have their own fields behind the coordinates in both layouts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.codec.header import UNAVAILABLE_COLUMNS
from tailrace.codec.registry import AvroSchema
from tailrace.core.columnar import Columns
from tailrace.core.plan import ColumnPlan, Taken
from tailrace.core.stored import Places
from tailrace.event import StoredRecord
from tailrace_archive.arrow import array_of
from tailrace_archive.column import Column, column_of

Headers = Sequence[tuple[str, bytes | None]]

_HEADER = pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())])
COORDINATES = (
    pa.field("__topic", pa.dictionary(pa.int32(), pa.string()), nullable=False),
    pa.field("__partition", pa.int32(), nullable=False),
    pa.field("__offset", pa.int64(), nullable=False),
    pa.field("__timestamp", pa.timestamp("ms", "UTC"), nullable=False),
    pa.field("__unavailable", pa.list_(pa.string())),
    pa.field("__headers", pa.list_(_HEADER)),
)
_KEPT = {"op": "__op", "ts_ms": "__ts_ms", "source": "__source"}
FRAME = 5


def unavailable(headers: Headers) -> list[str] | None:
    """Return the fields that the database did not send; None where it sent all."""
    names = dict(headers).get(UNAVAILABLE_COLUMNS)
    return cast("list[str]", json.loads(names)) if names else None


class Rows:
    """Rows of one partition, on their way from Avro to a table of Arrow."""

    def __init__(self, topic: str, partition: int, layout: Layout) -> None:
        self._topic, self._partition, self._layout = topic, partition, layout
        self._columns = Columns(layout.plan)
        self._places = Places()
        self._headers: list[tuple[int, Headers]] = []

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size(self) -> int:
        """About how many bytes of memory the rows take."""
        return self._columns.size + 16 * len(self._places)

    def extend(self, records: list[StoredRecord], values: list[bytes], first: int) -> int:
        """Take in records from the place `first` on; return the place of the first that cannot be, or their number."""
        end = self._columns.extend(values, FRAME, first)
        for row, told in self._places.extend(records, first, end):
            self._headers.append((row, told))
            self._forget(row, unavailable(told) or ())
        return end

    def _forget(self, row: int, names: Sequence[str]) -> None:
        """Have no placeholder stand for a value that the database did not send."""
        for name in names:
            path = self._layout.places.get(name)
            if path is not None:
                self._columns.forget(row, path)

    def take(self) -> pa.Table:
        """Return the rows, and begin anew."""
        count = len(self._places)
        offsets, timestamps = self._places.take()
        names, headers = _lists(self._headers, count)
        coordinates = [
            _constant(self._topic, count),
            pa.repeat(pa.scalar(self._partition, pa.int32()), count),
            _longs(offsets, pa.int64()),
            _longs(timestamps, pa.timestamp("ms", "UTC")),
            names,
            headers,
        ]
        self._headers = []
        return self._layout.table(coordinates, self._columns.take())


def _constant(text: str, count: int) -> pa.DictionaryArray:
    indices = pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(bytes(4 * count))], 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array([text]))


def _longs(numbers: bytes, type_: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(type_, len(numbers) // 8, [None, pa.py_buffer(numbers)], 0)


def _lists(told: Sequence[tuple[int, Headers]], count: int) -> tuple[pa.Array, pa.Array]:
    if not told:
        return pa.nulls(count, COORDINATES[4].type), pa.nulls(count, COORDINATES[5].type)
    names: list[list[str] | None] = [None] * count
    headers: list[list[dict[str, object]] | None] = [None] * count
    for place, pairs in told:
        names[place] = unavailable(pairs)
        headers[place] = [{"name": name, "value": value} for name, value in pairs]
    return pa.array(names, COORDINATES[4].type), pa.array(headers, COORDINATES[5].type)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of the records of one schema.

    `places` are the paths in `plan` of what is forgotten where the database did not send it, by name.
    """

    plan: ColumnPlan
    root: Column
    schema: pa.Schema
    places: Mapping[str, tuple[int, ...]]
    row: int | None
    """Of `flat`: the place of the row among the members."""

    def table(self, coordinates: Sequence[pa.Array], taken: Taken) -> pa.Table:
        """Return coordinates and columns as one table."""
        struct = cast("pa.StructType", self.root.type)
        if self.row is None:
            columns = [array_of(struct.field(place).type, member) for place, member in enumerate(taken[5])]
        else:
            columns = self._flat(struct, taken[5])
        return pa.Table.from_arrays([*coordinates, *columns], schema=self.schema)

    def _flat(self, struct: pa.StructType, members: Sequence[Taken]) -> list[pa.Array]:
        place = cast("int", self.row)
        names = [struct.field(index).name for index in range(struct.num_fields)]
        kept = {name: array_of(struct.field(name).type, members[names.index(name)]) for name in _KEPT if name in names}
        rows = cast("pa.StructType", struct.field(place).type)
        columns = [array_of(rows.field(index).type, member) for index, member in enumerate(members[place][5])]
        return [kept["op"], pc.equal(kept["op"], "d"), kept["ts_ms"], kept["source"], *columns]


def layout_of(schema: AvroSchema, kind: Literal["envelope", "flat"]) -> Layout:
    """Return the layout of records of `schema`; raises `BadRecord` for one that has no columns."""
    root = column_of(schema)
    struct = root.type
    if not pa.types.is_struct(struct) or root.optional:
        field = root.field("value")
        root = Column(ColumnPlan("record", (root.plan,)), pa.struct([field]))
        struct = root.type
    struct = cast("pa.StructType", struct)
    names = [struct.field(index).name for index in range(struct.num_fields)]
    if kind == "flat" and names[:2] == ["before", "after"] and {"op", "source", "ts_ms"} <= set(names):
        return _flat(root, names)
    fields = [_apart(struct.field(index), {field.name for field in COORDINATES}) for index in range(struct.num_fields)]
    return Layout(root.plan, root, pa.schema([*COORDINATES, *fields]), {}, None)


def _flat(root: Column, names: Sequence[str]) -> Layout:
    struct = cast("pa.StructType", root.type)
    row = root.plan.members[1]
    # Of a truncate there is no row at all, so that every column can be null.
    row = replace(row, members=tuple([replace(member, nullable=True) for member in row.members]))
    others = [
        replace(member, skipped=name not in _KEPT)
        for name, member in zip(names[2:], root.plan.members[2:], strict=True)
    ]
    plan = ColumnPlan("change", (replace(row, skipped=True), row, *others), parameter=1)
    taken = {field.name for field in COORDINATES} | {"__op", "__deleted", "__ts_ms", "__source"}
    rows = cast("pa.StructType", struct.field(1).type)
    told = {name: struct.field(name).with_name(kept) for name, kept in _KEPT.items()}
    columns = [_apart(rows.field(index), taken).with_nullable(True) for index in range(rows.num_fields)]  # noqa: FBT003 - pyarrow's
    deleted = pa.field("__deleted", pa.bool_(), nullable=False)
    schema = pa.schema([*COORDINATES, told["op"], deleted, told["ts_ms"], told["source"], *columns])
    places = {rows.field(index).name: (1, index) for index in range(rows.num_fields)}
    return Layout(plan, root, schema, places, 1)


def _apart(field: pa.Field, taken: set[str]) -> pa.Field:
    """Return the field with a name that is none of `taken`: those that begin with two underscores are ours."""
    name = field.name
    while name in taken:
        name = f"_{name}"
    return field.with_name(name)
