"""What a column holds, out of its Connect schema: what a destination chooses its column's type by.

    int16 int32 int64 float32 float64 boolean text bytes    as they are; int8 is an int16, an enum a text
    decimal (precision, scale), number                      fixed scale; any scale, NaN and infinities included
    date time timestamp                                     days; clock and time without zone, in units of 1/`scale` s
    timestamptz timetz                                      ISO-8601 texts
    uuid json                                               texts
    document                                                structs and maps (points, geometries, hstore): JSON of it
    array                                                   of `item`

Bits are bytes: the schema does not tell a `bit(8)` from a `varbit(8)`, which hold other values by the same octets.
Source: Debezium's semantic types; Connect's logical types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tailrace.codec.avro_schema import decimal_scale, items_of
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Schema

KindName: TypeAlias = Literal[
    "int16", "int32", "int64", "float32", "float64", "boolean", "text", "bytes", "decimal", "number", "date", "time",
    "timestamp", "timestamptz", "timetz", "uuid", "json", "document", "array",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a column; `precision` 0: not told."""

    name: KindName
    precision: int = 0
    scale: int = 0
    item: Kind | None = None


_NAMED: Mapping[str, Kind] = {
    VARIABLE_SCALE_DECIMAL: Kind("number"),
    "io.debezium.time.Date": Kind("date"),
    "org.apache.kafka.connect.data.Date": Kind("date"),
    "io.debezium.time.Time": Kind("time", scale=1_000),
    "org.apache.kafka.connect.data.Time": Kind("time", scale=1_000),
    "io.debezium.time.MicroTime": Kind("time", scale=1_000_000),
    "io.debezium.time.Timestamp": Kind("timestamp", scale=1_000),
    "org.apache.kafka.connect.data.Timestamp": Kind("timestamp", scale=1_000),
    "io.debezium.time.MicroTimestamp": Kind("timestamp", scale=1_000_000),
    "io.debezium.time.ZonedTimestamp": Kind("timestamptz"),
    "io.debezium.time.ZonedTime": Kind("timetz"),
    "io.debezium.data.Uuid": Kind("uuid"),
    "io.debezium.data.Json": Kind("json"),
}
_TYPES: Mapping[str, Kind] = {
    "int8": Kind("int16"),
    "int16": Kind("int16"),
    "int32": Kind("int32"),
    "int64": Kind("int64"),
    "float32": Kind("float32"),
    "float64": Kind("float64"),
    "boolean": Kind("boolean"),
    "string": Kind("text"),
    "bytes": Kind("bytes"),
    "map": Kind("document"),
    "struct": Kind("document"),
}


def kind_of(schema: Schema) -> Kind:
    """Return the kind of a column's schema."""
    if schema.name == DECIMAL:
        return Kind("decimal", int(schema.parameters.get("connect.decimal.precision", 0)), decimal_scale(schema))
    if schema.name is not None and schema.name in _NAMED:
        return _NAMED[schema.name]
    if schema.type == "array":
        return Kind("array", item=kind_of(items_of(schema)))
    return _TYPES[schema.type]
