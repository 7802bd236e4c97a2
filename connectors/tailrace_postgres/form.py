"""The forms of Postgres' built-in types and of a few extensions: schema, decoder and placeholder, by type modifier.

A type modifier is -1 where the column has none:

    numeric                              => ((precision << 16) | (scale & 0x7ff)) + 4, the scale being signed in 11 bits
    time, timetz, timestamp, timestamptz => digits of the fraction
    bit, varbit                          => bits

Source: `numerictypmodin`, `anytime_typmodin`, `anybit_typmodin`; Debezium's mapping with its default settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tailrace.codec.placeholder import Shape
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Field, Schema, SchemaType
from tailrace_postgres import binary, numeric, printed, temporal, text
from tailrace_postgres.array import vector
from tailrace_postgres.binary import Binary, by_text
from tailrace_postgres.numeric import Decode
from tailrace_postgres.printed import Print

_MICROS = 6
_MILLIS = 3
_UNLIMITED_BITS = 2**31 - 1
_TIME = Schema("int32", "io.debezium.time.Time", version=1)
_MICRO_TIME = Schema("int64", "io.debezium.time.MicroTime", version=1)


@dataclass(frozen=True, slots=True)
class Form:
    """How values of a type are described and read. `schema` is of a required column without default.

    `name` is what the compiled core calls what `decode` does, if it can do it (`Column.form`). `binary` is how values
    are read that were sent in binary; None where only their text can be read.
    """

    schema: Schema
    decode: Decode
    shape: Shape = "none"
    fallback: bool = False
    name: str = ""
    binary: Binary | None = None


FormOf = Callable[[int], Form]
"""Makes the form for a type modifier."""

TEXT = Form(Schema("string"), text.text, "text", name="text")

BINARY_TEXT = Binary(text.text, printed.text, "text")
"""The same in both forms."""


def _fixed(
    schema: Schema, decode: Decode, shape: Shape = "none", *, name: str = "", binary: Binary | None = None
) -> FormOf:  # fmt: skip
    form = Form(schema, decode, shape, name=name, binary=binary)
    return lambda _typmod: form


def _named(name: str, binary: Binary | None = BINARY_TEXT) -> FormOf:
    return _fixed(Schema("string", name, version=1), text.text, "text", name="text", binary=binary)


def _plain(binary: Binary | None = BINARY_TEXT) -> FormOf:
    return _fixed(Schema("string"), text.text, "text", name="text", binary=binary)


def _shown(text_of: Print) -> FormOf:
    """Return the form of a type that is told as the text that Postgres prints."""
    return _plain(by_text(text_of, text.text))


def _integer(schema: SchemaType, read: Callable[[bytes], int], name: str = "integer") -> FormOf:
    return _fixed(
        Schema(schema), numeric.integer, name="integer", binary=Binary(read, printed.decimal_digits(read), name)
    )  # fmt: skip


def _numeric(typmod: int) -> Form:
    if typmod < 0:
        fields = (Field("scale", Schema("int32")), Field("value", Schema("bytes")))
        schema = Schema("struct", VARIABLE_SCALE_DECIMAL, version=1, fields=fields, doc="Variable scaled decimal")
        return _decimal(schema, numeric.stripped_decimal, "stripped_decimal")
    precision = (typmod - 4) >> 16 & 0xFFFF
    scale = ((typmod - 4 & 0x7FF) ^ 1024) - 1024
    # Avro knows no negative scale; the numbers are whole, with zeros at the end.
    return _decimal(decimal(max(scale, 0), precision - min(scale, 0)), numeric.decimal, "decimal")


def _decimal(schema: Schema, decode: Decode, name: str) -> Form:
    return Form(schema, decode, name=name, binary=replace(by_text(printed.numeric, decode), name=name))


def decimal(scale: int, precision: int | None = None) -> Schema:
    """Return the schema of Connect's Decimal; without a precision, Avro's gets 64."""
    parameters = {"scale": str(scale)}
    if precision is not None:
        parameters["connect.decimal.precision"] = str(precision)
    return Schema("bytes", DECIMAL, version=1, parameters=parameters)


def _time(typmod: int) -> Form:
    if 0 <= typmod <= _MILLIS:
        schema, read, read_binary, name = _TIME, temporal.time_millis, binary.time_millis, "time_millis"
    else:
        schema, read, read_binary, name = _MICRO_TIME, temporal.time_micros, binary.time_micros, "time_micros"
    return Form(schema, read, name=name, binary=Binary(read_binary, printed.time, name))


def _timestamp(typmod: int) -> Form:
    read: Decode
    if 0 <= typmod <= _MILLIS:
        schema, name = Schema("int64", "io.debezium.time.Timestamp", version=1), "timestamp_millis"
        read, read_binary = temporal.timestamp_millis, binary.timestamp_millis
    else:
        schema, name = Schema("int64", "io.debezium.time.MicroTimestamp", version=1), "timestamp_micros"
        read, read_binary = temporal.timestamp_micros, binary.timestamp_micros
    return Form(schema, read, name=name, binary=Binary(read_binary, printed.timestamp, name))


def _timestamptz(typmod: int) -> Form:
    schema = Schema("string", "io.debezium.time.ZonedTimestamp", version=1)
    precision = typmod if typmod >= 0 else _MICROS
    name = f"zoned_timestamp:{precision}"
    read_binary = Binary(binary.timestamp_with_zone(precision), printed.timestamp_with_zone, name)
    return Form(schema, temporal.timestamp_with_zone(precision), "text", name=name, binary=read_binary)


def _bit(typmod: int) -> Form:
    return _bits(typmod if typmod >= 0 else 1)


def _varbit(typmod: int) -> Form:
    return _bits(typmod if typmod >= 0 else _UNLIMITED_BITS)


def _bits(length: int) -> Form:
    if length == 1:
        return Form(Schema("boolean"), numeric.single_bit, binary=by_text(printed.bits, numeric.single_bit))
    schema = Schema("bytes", "io.debezium.data.Bits", version=1, parameters={"length": str(length)})
    return Form(schema, numeric.bit_string, binary=by_text(printed.bits, numeric.bit_string))


_PLAIN = _plain()

BUILT_IN: Mapping[str, FormOf] = {
    "bool": _fixed(
        Schema("boolean"), numeric.boolean, name="boolean", binary=Binary(binary.boolean, printed.boolean, "boolean")
    ),
    "int2": _integer("int16", printed.int2),
    "int4": _integer("int32", printed.int4),
    "int8": _integer("int64", printed.int8),
    "oid": _integer("int64", printed.oid, "oid"),
    "float4": _fixed(Schema("float32"), numeric.float8, name="float", binary=Binary(binary.float4, name="float")),
    "float8": _fixed(Schema("float64"), numeric.float8, name="float", binary=Binary(binary.float8, name="float")),
    "numeric": _numeric,
    # Only the server's locale says how many decimals the integer has that is sent in binary.
    "money": _fixed(decimal(2), numeric.money),
    "text": _PLAIN,
    "varchar": _PLAIN,
    "bpchar": _PLAIN,
    "char": _shown(printed.char),
    "name": _PLAIN,
    "bytea": _fixed(
        Schema("bytes"), numeric.bytea, "bytes", name="bytea", binary=Binary(binary.octets, printed.bytea, "bytea")
    ),
    "date": _fixed(
        Schema("int32", "io.debezium.time.Date", version=1), temporal.date, name="date",
        binary=Binary(binary.date, printed.date, "date"),
    ),
    "time": _time,
    "timetz": _fixed(
        Schema("string", "io.debezium.time.ZonedTime", version=1), temporal.time_with_zone, "text",
        binary=Binary(binary.time_with_zone),
    ),
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "interval": _fixed(
        Schema("int64", "io.debezium.time.MicroDuration", version=1), temporal.interval,
        binary=Binary(binary.interval),
    ),
    "uuid": _named("io.debezium.data.Uuid", Binary(binary.uuid, printed.uuid, "uuid")),
    "json": _named("io.debezium.data.Json"),
    "jsonb": _named("io.debezium.data.Json", Binary(binary.jsonb, printed.versioned, "jsonb")),
    "xml": _named("io.debezium.data.Xml"),
    "tsvector": _named("io.debezium.data.Tsvector", None),
    "bit": _bit,
    "varbit": _varbit,
    "inet": _shown(printed.address),
    "cidr": _shown(printed.address),
    "macaddr": _shown(printed.hardware_address(6)),
    "macaddr8": _shown(printed.hardware_address(8)),
    "int4range": _shown(printed.range_of(printed.decimal_digits(printed.int4))),
    "int8range": _shown(printed.range_of(printed.decimal_digits(printed.int8))),
    "numrange": _shown(printed.range_of(printed.numeric)),
    "tsrange": _shown(printed.range_of(printed.timestamp)),
    "tstzrange": _shown(printed.range_of(printed.timestamp_with_zone)),
    "daterange": _shown(printed.range_of(printed.date)),
    "point": _fixed(text.POINT, text.point, binary=Binary(binary.point)),
    "int2vector": _fixed(
        Schema("array", items=Schema("int16")), vector, binary=Binary(binary.array(printed.int2, 21, "vector"))
    ),
    "oidvector": _fixed(
        Schema("array", items=Schema("int64")), vector, binary=Binary(binary.array(printed.oid, 26, "vector"))
    ),
}  # fmt: skip

EXTENSIONS: Mapping[str, FormOf] = {
    "citext": _PLAIN,
    "hstore": _fixed(
        Schema("string", "io.debezium.data.Json", version=1), text.hstore, "text", binary=Binary(binary.hstore)
    ),
    "ltree": _named("io.debezium.data.Ltree", Binary(binary.jsonb, printed.versioned, "jsonb")),
}
"""Types of extensions go by their names, since their oids and schemas are the database's own."""
