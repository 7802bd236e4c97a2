"""The quick way from changes to records: what `encoder` does for Avro, in the compiled core, a batch at a time.

The core takes plans, made here from the same pieces as its Python twin (`row`, `plan`, `avro_envelope`); whatever it
does not do itself it hands back, and the twin does it. Both write the same bytes: tests/properties/test_core_rows.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from tailrace.codec.avro_envelope import AvroForm, frame
from tailrace.codec.avro_schema import decimal_scale
from tailrace.codec.avro_writer import branches, writer
from tailrace.codec.encoded import EncodedRecords
from tailrace.codec.envelope import field_names
from tailrace.codec.fallback import fallback
from tailrace.codec.row import REFUSED, holds_decimals, is_special
from tailrace.core.envelope import Encoder, TablePlan
from tailrace.core.plan import CellPlan, Conversion, FieldPlan
from tailrace.core.row import RowPlan
from tailrace.core.source import SourcePlan
from tailrace.errors import BadRecord
from tailrace.event import Column, Event, KnownLayout, NarrowFormat, Record, SizedLayout, Table
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Schema, Value

_CHOICES = frozenset({"io.debezium.data.Enum", "io.debezium.data.EnumSet"})
_REMEMBERED = 4096
"""Cells of a column whose pieces are kept."""

_NO_CONVERSION: tuple[Conversion, int] = ("", 0)
_PLAIN: dict[tuple[str, str], tuple[Conversion, int]] = {
    ("boolean", "boolean"): ("boolean", 0),
    ("integer", "int16"): ("integer", 16),
    ("integer", "int32"): ("integer", 32),
    ("integer", "int64"): ("integer", 64),
    ("float", "float32"): ("float", 0),
    ("float", "float64"): ("double", 0),
    ("text", "string"): ("text", 0),
    ("bytea", "bytes"): ("bytea", 0),
    ("date", "int32"): ("date", 0),
    ("time_millis", "int32"): ("time_millis", 0),
    ("time_micros", "int64"): ("time_micros", 0),
    ("timestamp_millis", "int64"): ("timestamp_millis", 0),
    ("timestamp_micros", "int64"): ("timestamp_micros", 0),
    ("oid", "int64"): ("oid", 0),
    ("uuid", "string"): ("uuid", 0),
    ("jsonb", "string"): ("jsonb", 0),
    ("octets", "bytes"): ("bytea", 0),
    ("binlog_signed", "int16"): ("integer", 16),
    ("binlog_signed", "int32"): ("integer", 32),
    ("binlog_signed", "int64"): ("integer", 64),
    ("binlog_unsigned", "int16"): ("unsigned", 16),
    ("binlog_unsigned", "int32"): ("unsigned", 32),
    ("binlog_unsigned", "int64"): ("unsigned", 64),
    ("binlog_float", "float32"): ("float", 0),
    ("binlog_double", "float64"): ("double", 0),
    ("binlog_year", "int32"): ("year", 0),
    ("binlog_bit", "boolean"): ("bit", 0),
    ("binlog_date", "int32"): ("date", 0),
    ("binlog_json", "string"): ("jsonb", 0),
}
"""By the column's `form` and its schema's type."""
_WITH_DIGITS: dict[tuple[str, str], Conversion] = {
    ("truncated", "string"): "truncated",
    ("zoned_timestamp", "string"): "zoned_timestamp",
    ("utc_timestamp", "string"): "zoned_timestamp",
    ("binlog_timestamp", "string"): "zoned_timestamp",
    ("binlog_datetime_millis", "int64"): "timestamp_millis",
    ("binlog_datetime_micros", "int64"): "timestamp_micros",
    ("binlog_time", "int64"): "time_micros",
    ("binlog_bits", "bytes"): "bits",
}
"""Likewise, where `form` ends in a number that the core needs."""


class CompiledEncoder:
    """Encodes batches into blocks of records by topic and partition; `partitions` tells how many a topic has."""

    def __init__(self, partitions: Callable[[str], int]) -> None:
        self._core = Encoder(partitions)
        self._plans: dict[Table, TablePlan] = {}

    def add_table(self, table: Table, *, key_id: int | None, value_id: int, tombstones: bool) -> None:
        """Let the core encode changes of `table` from now on, if it knows the layout of its rows."""
        wire = table.format.whole if isinstance(table.format, NarrowFormat) else table.format
        if isinstance(wire, KnownLayout):
            names = field_names(table.columns)
            cells = [_cell_plan(column, name) for column, name in zip(table.columns, names, strict=True)]
            places = table.on_the_wire
            key = [places.index(place) for place in table.key]
            widths = wire.widths if isinstance(wire, SizedLayout) else ()
            self._plans[table] = TablePlan(
                RowPlan([None if place is None else cells[place] for place in places], key, wire.layout, widths),
                SourcePlan([_field_plan(field.schema) for field in table.source.fields]),
                key=key,
                key_frame=None if key_id is None else frame(key_id),
                value_frame=frame(value_id),
                tombstones=tombstones and key_id is not None,  # what has no key can stand for no row
            )

    def encode(
        self, events: Sequence[Event], now_ns: int, left_over: Callable[[int], Sequence[Record]]
    ) -> EncodedRecords:
        """Return the records of `events`; `left_over` makes those of the event at an index, where the core does not."""
        core, plans = self._core, self._plans
        core.begin(now_ns)
        index, end = 0, len(events)
        while (index := core.encode(events, index, plans)) < end:
            for record in left_over(index):
                core.append(record)
            index += 1
        return EncodedRecords(core.take())


def conversion(column: Column) -> tuple[Conversion, int]:
    """Return what the core calls what `decode` and the Avro writer do with the cells of a column, and its parameter."""
    schema = column.schema
    name, _, digits = column.form.partition(":")
    if name == "constant":
        return "constant", 0
    if (name, schema.type) in _WITH_DIGITS:
        return _WITH_DIGITS[name, schema.type], int(digits)
    if name == "binlog_decimal" and schema.name == DECIMAL:
        precision, scale = map(int, digits.split(":"))
        return ("decimal", precision << 8 | scale) if decimal_scale(schema) == scale else _NO_CONVERSION
    if name == "decimal" and schema.name == DECIMAL and decimal_scale(schema) >= 0:
        return "decimal", decimal_scale(schema)
    if name == "stripped_decimal" and schema.name == VARIABLE_SCALE_DECIMAL and schema.fields[0].name == "scale":
        return "variable_decimal", 0
    return _PLAIN.get((name, schema.type), _NO_CONVERSION)


def _cell_plan(column: Column, field: str) -> CellPlan:
    schema = column.schema
    write_value = writer(schema)
    null = write_value(fallback(schema))
    name, parameter = conversion(column)
    return CellPlan(
        conversion=name,
        parameter=parameter,
        branch=_branch(schema),
        required=not schema.optional,
        null=null,
        placeholder=null if column.placeholder is None else write_value(column.placeholder),
        write=_cell_writer(column),
        name=json.dumps(field, ensure_ascii=False).encode(),
    )


def _cell_writer(column: Column) -> Callable[[bytes], bytes]:
    """Return what writes a cell that the core does not; the members of an enum or a set come again and again."""
    schema = column.schema
    write = _refusing(AvroForm().cell_writer(_plain(column)))
    return lru_cache(_REMEMBERED)(write) if schema.name in _CHOICES else write


def _field_plan(schema: Schema) -> FieldPlan:
    return FieldPlan(
        kind="string" if schema.type == "string" else "long" if schema.type in {"int32", "int64"} else "",
        branch=_branch(schema),
        write=_refusing(writer(schema)),
    )


def _branch(schema: Schema) -> int | None:
    return branches(schema)[1][0] if schema.optional else None


def _plain(column: Column) -> Column:
    """Leave values to the twin that it tells of in a header: decimals that are no numbers, and gaps."""
    decode, decimals = column.decode, holds_decimals(column.schema)
    if not decimals and not column.gaps:
        return column

    def plain(cell: bytes) -> Value:
        value = decode(cell)
        if value is None or (decimals and is_special(value)):
            raise BadRecord("value cannot be told as it is")
        return value

    return replace(column, decode=plain)


def _refusing(write: Callable[..., bytes]) -> Callable[..., bytes]:
    """Let whatever is wrong with a value be a `BadRecord`: the core hands such an event back."""

    def refusing(value: object) -> bytes:
        try:
            return write(value)
        except REFUSED:
            raise BadRecord("value does not fit its schema") from None

    return refusing
