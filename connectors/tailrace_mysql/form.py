"""The forms of column types: the schema, and how a cell of the binlog and a text of a result set become its value.

Both give the same value: a snapshot's rows and the stream's are equal. Where a result set would not tell a value
exactly (floats are printed with six digits), `select` asks for an expression that does. The mapping is Debezium's
with its default settings; docs/types-mysql.md has the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tailrace.codec.placeholder import Shape
from tailrace.schema import DECIMAL, Schema
from tailrace_mysql import columntype as kinds
from tailrace_mysql import geometry, jsonb, numeric, temporal, text
from tailrace_mysql.numeric import Decode
from tailrace_mysql.shape import ColumnShape

_MILLIS = 3
_FLOAT_WITH_POINT = re.compile(r"float\(\d+,")
AS_IS = "{}"
EXACT_FLOAT = "({} * 1e0)"
"""A double, printed with all its digits; a multiplication, since adding zero would lose the sign of a zero."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the connector's settings say of values."""

    bigint_unsigned: Literal["long", "precise"] = "long"
    invalid_dates: temporal.Policy = "null"


@dataclass(frozen=True, slots=True)
class Form:
    """How values of a column are described and read. `schema` is of a required column without default.

    `binlog_name` and `text_name` are what the compiled core calls what the two functions do, if it can do it
    (`Column.form`). `gaps`: the functions return None for a value that has no form. `select` is the expression to read,
    `{}` standing for the column.
    """

    schema: Schema
    from_binlog: Decode
    from_text: Decode
    binlog_name: str = ""
    text_name: str = ""
    shape: Shape = "none"
    gaps: bool = False
    select: str = AS_IS


FormOf: TypeAlias = Callable[[ColumnShape, Settings], Form]


def form_of(column: ColumnShape, settings: Settings) -> Form:
    """Return the form of a column; raises `ValueError` for a type that has none."""
    declared = text.DECLARED.get(column.declared)
    if declared is not None and column.kind == kinds.STRING:
        return Form(declared.schema, declared.from_binlog, declared.from_text, shape="text")
    form = _FORMS.get(column.kind)
    if form is None:
        raise ValueError(f"column {column.name} has the type {column.kind}, which has no form")
    return form(column, settings)


def _integer(signed: str, unsigned: str) -> FormOf:
    def form(column: ColumnShape, _: Settings) -> Form:
        if column.unsigned:
            return Form(Schema(_int(unsigned)), numeric.unsigned, numeric.integer, "binlog_unsigned", "integer")
        return Form(Schema(_int(signed)), numeric.signed, numeric.integer, "binlog_signed", "integer")

    return form


def _int(name: str) -> Literal["int16", "int32", "int64"]:
    return "int16" if name == "int16" else "int32" if name == "int32" else "int64"


def _bigint(column: ColumnShape, settings: Settings) -> Form:
    if not column.unsigned:
        return Form(Schema("int64"), numeric.signed, numeric.integer, "binlog_signed", "integer")
    if settings.bigint_unsigned == "precise":
        return Form(decimal(0), numeric.as_decimal(numeric.unsigned), numeric.decimal_text, "", "decimal")
    # The core refuses what does not fit, and leaves it to us to say so.
    read, read_text = numeric.as_long(numeric.unsigned), numeric.as_long(numeric.integer)
    return Form(Schema("int64"), read, read_text, "binlog_unsigned", "integer")


def decimal(scale: int, precision: int | None = None) -> Schema:
    """Return the schema of Connect's Decimal; without a precision, Avro's gets 64."""
    parameters = {"scale": str(scale)}
    if precision is not None:
        parameters["connect.decimal.precision"] = str(precision)
    return Schema("bytes", DECIMAL, version=1, parameters=parameters)


def _decimal(column: ColumnShape, _: Settings) -> Form:
    precision, scale = column.meta >> 8, column.meta & 0xFF
    read = numeric.packed_decimal(precision, scale)
    name = f"binlog_decimal:{precision}:{scale}"
    return Form(decimal(scale, precision), read, numeric.decimal_text, name, "decimal")


def _float(column: ColumnShape, _: Settings) -> Form:
    # Debezium takes float(M,D) for a double.
    schema = Schema("float64" if _FLOAT_WITH_POINT.match(column.declared) else "float32")
    return Form(schema, numeric.float_single, numeric.float_text, "binlog_float", "float", select=EXACT_FLOAT)


def _double(_: ColumnShape, __: Settings) -> Form:
    schema = Schema("float64")
    return Form(schema, numeric.float_double, numeric.float_text, "binlog_double", "float", select=EXACT_FLOAT)


def _year(_: ColumnShape, __: Settings) -> Form:
    schema = Schema("int32", "io.debezium.time.Year", version=1)
    return Form(schema, numeric.year, numeric.integer, "binlog_year", "integer")


def _bit(column: ColumnShape, _: Settings) -> Form:
    if column.meta == 1:
        return Form(Schema("boolean"), numeric.single_bit, numeric.single_bit, "binlog_bit", "binlog_bit")
    schema = Schema("bytes", "io.debezium.data.Bits", version=1, parameters={"length": str(column.meta)})
    read = numeric.bits(column.meta)
    name = f"binlog_bits:{(column.meta + 7) // 8}"
    return Form(schema, read, read, name, name)


def _date(_: ColumnShape, settings: Settings) -> Form:
    schema = Schema("int32", "io.debezium.time.Date", version=1)
    policy = settings.invalid_dates
    read, read_text = temporal.days(temporal.date_binlog, policy), temporal.days(temporal.date_text, policy)
    return Form(schema, read, read_text, "binlog_date", "date", gaps=policy == "null")


def _datetime(column: ColumnShape, settings: Settings) -> Form:
    digits, policy = column.meta, settings.invalid_dates
    old = column.kind == kinds.DATETIME
    binlog = temporal.datetime_digits if old else temporal.datetime_binlog(digits)
    to, unit, name = (
        (temporal.millis, "millis", "Timestamp") if digits <= _MILLIS else (temporal.micros, "micros", "MicroTimestamp")
    )
    return Form(
        Schema("int64", f"io.debezium.time.{name}", version=1),
        to(binlog, policy),
        to(temporal.datetime_text, policy),
        "" if old else f"binlog_datetime_{unit}:{digits}",
        f"timestamp_{unit}",
        gaps=policy == "null",
    )


def _timestamp(column: ColumnShape, settings: Settings) -> Form:
    digits, policy = column.meta, settings.invalid_dates
    old = column.kind == kinds.TIMESTAMP
    binlog = temporal.timestamp_seconds if old else temporal.timestamp_binlog(digits)
    return Form(
        Schema("string", "io.debezium.time.ZonedTimestamp", version=1),
        temporal.zoned(binlog, policy, digits),
        temporal.zoned(temporal.datetime_text, policy, digits),
        "" if old else f"binlog_timestamp:{digits}",
        f"utc_timestamp:{digits}",
        shape="text",
        gaps=policy == "null",
    )


def _time(column: ColumnShape, _: Settings) -> Form:
    schema = Schema("int64", "io.debezium.time.MicroTime", version=1)
    if column.kind == kinds.TIME:
        return Form(schema, temporal.time_digits, temporal.time_text, "", "time_micros")
    read = temporal.time_binlog(column.meta)
    return Form(schema, read, temporal.time_text, f"binlog_time:{column.meta}", "time_micros")


def _characters(column: ColumnShape, _: Settings) -> Form:
    inflate = text.inflating if column.kind in kinds.COMPRESSED else text.as_it_is
    if column.charset in {"", "binary"}:
        fixed = column.kind == kinds.STRING
        read = numeric.padded(column.meta) if fixed else inflate(numeric.octets)
        name = "" if fixed or column.kind in kinds.COMPRESSED else "octets"
        return Form(Schema("bytes"), read, numeric.octets, name, "octets", "bytes")
    read = text.characters(column.charset)
    name = "text" if column.charset in text.UTF8 else ""
    binlog_name = "" if column.kind in kinds.COMPRESSED else name
    return Form(Schema("string"), inflate(read), read, binlog_name, name, "text")


def _allowed(column: ColumnShape) -> str:
    return ",".join([member.replace(",", "\\,") for member in column.members])


def _enum(column: ColumnShape, _: Settings) -> Form:
    schema = Schema("string", "io.debezium.data.Enum", version=1, parameters={"allowed": _allowed(column)})
    read = text.characters(column.charset or "utf8mb4")
    return Form(schema, text.member(column.members), read, shape="text")


def _set(column: ColumnShape, _: Settings) -> Form:
    schema = Schema("string", "io.debezium.data.EnumSet", version=1, parameters={"allowed": _allowed(column)})
    read = text.characters(column.charset or "utf8mb4")
    return Form(schema, text.members(column.members), read, shape="text")


def _json(_: ColumnShape, __: Settings) -> Form:
    schema = Schema("string", "io.debezium.data.Json", version=1)
    return Form(schema, jsonb.text, jsonb.utf8, "binlog_json", "text", "text")


def _geometry(column: ColumnShape, _: Settings) -> Form:
    if column.declared == "point" or column.geometry == kinds.POINT:
        return Form(geometry.POINT, geometry.point, geometry.point)
    return Form(geometry.GEOMETRY, geometry.geometry, geometry.geometry)


def _vector(_: ColumnShape, __: Settings) -> Form:
    return Form(geometry.VECTOR, geometry.vector, geometry.vector)


_FORMS: Mapping[int, FormOf] = {
    kinds.TINY: _integer("int16", "int16"),
    kinds.SHORT: _integer("int16", "int32"),
    kinds.INT24: _integer("int32", "int32"),
    kinds.LONG: _integer("int32", "int64"),
    kinds.LONGLONG: _bigint,
    kinds.FLOAT: _float,
    kinds.DOUBLE: _double,
    kinds.NEWDECIMAL: _decimal,
    kinds.YEAR: _year,
    kinds.BIT: _bit,
    **dict.fromkeys((kinds.DATE, kinds.NEWDATE), _date),
    **dict.fromkeys((kinds.DATETIME, kinds.DATETIME2), _datetime),
    **dict.fromkeys((kinds.TIMESTAMP, kinds.TIMESTAMP2), _timestamp),
    **dict.fromkeys((kinds.TIME, kinds.TIME2), _time),
    **dict.fromkeys(kinds.TEXTUAL | kinds.COMPRESSED, _characters),
    kinds.ENUM: _enum,
    kinds.SET: _set,
    kinds.JSON: _json,
    kinds.GEOMETRY: _geometry,
    kinds.VECTOR: _vector,
}
