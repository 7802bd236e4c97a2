"""The forms of Postgres' built-in types and of a few extensions: schema, decoder and placeholder, by type modifier.

A type modifier is -1 where the column has none:

    numeric                              => ((precision << 16) | (scale & 0x7ff)) + 4, the scale being signed in 11 bits
    time, timetz, timestamp, timestamptz => digits of the fraction
    bit, varbit                          => bits

Source: `numerictypmodin`, `anytime_typmodin`, `anybit_typmodin`; Debezium's mapping with its default settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Field, Schema
from tailrace_postgres import numeric, temporal, text
from tailrace_postgres.array import vector
from tailrace_postgres.numeric import Decode
from tailrace_postgres.toast import Shape

_MICROS = 6
_MILLIS = 3
_UNLIMITED_BITS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Form:
    """How values of a type are described and read. `schema` is of a required column without default.

    `name` is what the compiled core calls what `decode` does, if it can do it (`Column.form`).
    """

    schema: Schema
    decode: Decode
    shape: Shape = "none"
    fallback: bool = False
    name: str = ""


FormOf = Callable[[int], Form]
"""Makes the form for a type modifier."""

TEXT = Form(Schema("string"), text.text, "text", name="text")


def _fixed(schema: Schema, decode: Decode, shape: Shape = "none", *, name: str = "") -> FormOf:
    form = Form(schema, decode, shape, name=name)
    return lambda _typmod: form


def _named(name: str) -> FormOf:
    return _fixed(Schema("string", name, version=1), text.text, "text", name="text")


def _numeric(typmod: int) -> Form:
    if typmod < 0:
        fields = (Field("scale", Schema("int32")), Field("value", Schema("bytes")))
        schema = Schema("struct", VARIABLE_SCALE_DECIMAL, version=1, fields=fields, doc="Variable scaled decimal")
        return Form(schema, numeric.stripped_decimal, name="stripped_decimal")
    precision = (typmod - 4) >> 16 & 0xFFFF
    scale = ((typmod - 4 & 0x7FF) ^ 1024) - 1024
    # Avro knows no negative scale; the numbers are whole, with zeros at the end.
    return Form(decimal(max(scale, 0), precision - min(scale, 0)), numeric.decimal, name="decimal")


def decimal(scale: int, precision: int | None = None) -> Schema:
    """Return the schema of Connect's Decimal; without a precision, Avro's gets 64."""
    parameters = {"scale": str(scale)}
    if precision is not None:
        parameters["connect.decimal.precision"] = str(precision)
    return Schema("bytes", DECIMAL, version=1, parameters=parameters)


def _time(typmod: int) -> Form:
    if 0 <= typmod <= _MILLIS:
        return Form(Schema("int32", "io.debezium.time.Time", version=1), temporal.time_millis, name="time_millis")
    return Form(Schema("int64", "io.debezium.time.MicroTime", version=1), temporal.time_micros, name="time_micros")


def _timestamp(typmod: int) -> Form:
    if 0 <= typmod <= _MILLIS:
        schema = Schema("int64", "io.debezium.time.Timestamp", version=1)
        return Form(schema, temporal.timestamp_millis, name="timestamp_millis")
    schema = Schema("int64", "io.debezium.time.MicroTimestamp", version=1)
    return Form(schema, temporal.timestamp_micros, name="timestamp_micros")


def _timestamptz(typmod: int) -> Form:
    schema = Schema("string", "io.debezium.time.ZonedTimestamp", version=1)
    precision = typmod if typmod >= 0 else _MICROS
    return Form(schema, temporal.timestamp_with_zone(precision), "text", name=f"zoned_timestamp:{precision}")


def _bit(typmod: int) -> Form:
    return _bits(typmod if typmod >= 0 else 1)


def _varbit(typmod: int) -> Form:
    return _bits(typmod if typmod >= 0 else _UNLIMITED_BITS)


def _bits(length: int) -> Form:
    if length == 1:
        return Form(Schema("boolean"), numeric.single_bit)
    schema = Schema("bytes", "io.debezium.data.Bits", version=1, parameters={"length": str(length)})
    return Form(schema, numeric.bit_string)


_PLAIN = _fixed(Schema("string"), text.text, "text", name="text")
_INT64 = _fixed(Schema("int64"), numeric.integer, name="integer")

BUILT_IN: Mapping[str, FormOf] = {
    "bool": _fixed(Schema("boolean"), numeric.boolean, name="boolean"),
    "int2": _fixed(Schema("int16"), numeric.integer, name="integer"),
    "int4": _fixed(Schema("int32"), numeric.integer, name="integer"),
    "int8": _INT64,
    "oid": _INT64,
    "float4": _fixed(Schema("float32"), numeric.float8, name="float"),
    "float8": _fixed(Schema("float64"), numeric.float8, name="float"),
    "numeric": _numeric,
    "money": _fixed(decimal(2), numeric.money),
    "text": _PLAIN,
    "varchar": _PLAIN,
    "bpchar": _PLAIN,
    "char": _PLAIN,
    "name": _PLAIN,
    "bytea": _fixed(Schema("bytes"), numeric.bytea, "bytes", name="bytea"),
    "date": _fixed(Schema("int32", "io.debezium.time.Date", version=1), temporal.date, name="date"),
    "time": _time,
    "timetz": _fixed(Schema("string", "io.debezium.time.ZonedTime", version=1), temporal.time_with_zone, "text"),
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "interval": _fixed(Schema("int64", "io.debezium.time.MicroDuration", version=1), temporal.interval),
    "uuid": _named("io.debezium.data.Uuid"),
    "json": _named("io.debezium.data.Json"),
    "jsonb": _named("io.debezium.data.Json"),
    "xml": _named("io.debezium.data.Xml"),
    "tsvector": _named("io.debezium.data.Tsvector"),
    "bit": _bit,
    "varbit": _varbit,
    "inet": _PLAIN,
    "cidr": _PLAIN,
    "macaddr": _PLAIN,
    "macaddr8": _PLAIN,
    "int4range": _PLAIN,
    "int8range": _PLAIN,
    "numrange": _PLAIN,
    "tsrange": _PLAIN,
    "tstzrange": _PLAIN,
    "daterange": _PLAIN,
    "point": _fixed(text.POINT, text.point),
    "int2vector": _fixed(Schema("array", items=Schema("int16")), vector),
    "oidvector": _fixed(Schema("array", items=Schema("int64")), vector),
}

EXTENSIONS: Mapping[str, FormOf] = {
    "citext": _PLAIN,
    "hstore": _fixed(Schema("string", "io.debezium.data.Json", version=1), text.hstore, "text"),
    "ltree": _named("io.debezium.data.Ltree"),
}
"""Types of extensions go by their names, since their oids and schemas are the database's own."""
