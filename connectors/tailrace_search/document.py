"""Documents, out of rows: what JSON and an index can hold, and every value told exactly.

    Decimal, VariableScaleDecimal     => text: 12.50, NaN
    float, not finite                 => text: NaN, Infinity, -Infinity
    bytes                             => base64; Bits: their digits, 0101
    Date, Timestamp (any precision)   => ISO 8601 as far as the calendar has four digits for the year; else with a sign
    Time (any precision)              => 10:15:30.123456, also -838:59:59
    Json                              => what it says
    EnumSet                           => an array
    geometry                          => a geometry in WKT where it is a point, else an object with its WKB

The conversions of a table are looked up once for each version of its schema; a row pays for the columns that need one.
"""

from __future__ import annotations

import json
import math
import struct
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias, cast

from tailrace.codec.calendar import civil_from_days
from tailrace.codec.delivery import Shape
from tailrace.schema import Schema

Document: TypeAlias = dict[str, object]
JsonChoice: TypeAlias = Literal["flat", "object", "text"]
PointChoice: TypeAlias = Literal["object", "geo_point"]

_Converter: TypeAlias = Callable[[object], object]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""Of the years that `datetime` has, 1 and 9999."""
_DAY = 86_400
_UNITS: Mapping[str, int] = {
    "io.debezium.time.Timestamp": 1_000,
    "io.debezium.time.MicroTimestamp": 1_000_000,
    "io.debezium.time.NanoTimestamp": 1_000_000_000,
    "org.apache.kafka.connect.data.Timestamp": 1_000,
    "io.debezium.time.Time": 1_000,
    "io.debezium.time.MicroTime": 1_000_000,
    "io.debezium.time.NanoTime": 1_000_000_000,
    "org.apache.kafka.connect.data.Time": 1_000,
}
DATES = ("io.debezium.time.Date", "org.apache.kafka.connect.data.Date")
TIMESTAMPS = tuple(name for name in _UNITS if name.endswith("Timestamp"))
TIMES = tuple(name for name in _UNITS if name.endswith("Time"))
DECIMALS = ("org.apache.kafka.connect.data.Decimal", "io.debezium.data.VariableScaleDecimal")
JSON = "io.debezium.data.Json"
POINT = "io.debezium.data.geometry.Point"
SHAPES = ("io.debezium.data.geometry.Geometry", "io.debezium.data.geometry.Geography")


class DocumentPlan:
    """Makes documents of the rows of one shape."""

    def __init__(self, shape: Shape | None, *, json_as: JsonChoice = "flat", points_as: PointChoice = "object") -> None:
        columns = () if shape is None else shape.columns
        made = ((column.name, _converter(column.schema, json_as, points_as)) for column in columns)
        self._conversions = [(name, convert) for name, convert in made if convert is not None]
        self._blind = shape is None

    def document(self, row: Mapping[str, object], unavailable: frozenset[str] = frozenset()) -> Document:
        """Return the document of `row`; columns that the database did not send are not in it."""
        if self._blind:
            return {name: _any(value) for name, value in row.items() if name not in unavailable}
        document = dict(row)
        for name in unavailable:
            document.pop(name, None)
        for name, convert in self._conversions:
            value = document.get(name)
            if value is not None:
                document[name] = convert(value)
        return document


def _converter(schema: Schema, json_as: JsonChoice, points_as: PointChoice) -> _Converter | None:
    """Return what makes JSON of a value that is not null; None where it is JSON as it is."""
    name = schema.name or ""
    if (named := _named(name, schema, json_as, points_as)) is not None:
        return named
    match schema.type:
        case "float32" | "float64":
            return _float
        case "bytes":
            return _base64
        case "array" | "map":
            inner = None if schema.items is None else _converter(schema.items, json_as, points_as)
            return None if inner is None else _listed(inner) if schema.type == "array" else _mapped(inner)
        case "struct":
            members = {field.name: _converter(field.schema, json_as, points_as) for field in schema.fields}
            return _structured({member: convert for member, convert in members.items() if convert is not None})
        case _:
            return None


def _named(name: str, schema: Schema, json_as: JsonChoice, points_as: PointChoice) -> _Converter | None:
    match name:
        case "io.debezium.data.Json" if json_as != "text":
            return _json if json_as == "object" else _json_object
        case "io.debezium.data.Bits":
            return _bits(int(schema.parameters.get("length", 0)))
        case "io.debezium.data.geometry.Point" if points_as == "geo_point":
            return _point
        case _ if name in _UNITS:
            return (_timestamp if name in TIMESTAMPS else _time)(_UNITS[name])
        case _:
            return _FIXED.get(name)


def _float(value: object) -> object:
    number = cast("float", value)
    return number if math.isfinite(number) else _special(number)


def _special(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _decimal(value: object) -> object:
    number = cast("Decimal", value)
    return f"{number:f}" if number.is_finite() else _special(float(number))


def _base64(value: object) -> object:
    return b64encode(cast("bytes", value)).decode("ascii")


def _bits(length: int) -> _Converter:
    """Debezium's bits lie in bytes, the lowest first; PostgreSQL and MySQL print the highest first."""

    def convert(value: object) -> object:
        octets = cast("bytes", value)
        return f"{int.from_bytes(octets, 'little'):0{length or len(octets) * 8}b}"

    return convert


def _date(value: object) -> object:
    return _day_text(cast("int", value))


def _day_text(days: int) -> str:
    year, month, day = civil_from_days(days)
    return f"{year:04d}-{month:02d}-{day:02d}" if 0 <= year <= 9999 else f"{year:+07d}-{month:02d}-{day:02d}"


def _timestamp(unit: int) -> _Converter:
    def convert(value: object) -> object:
        number = cast("int", value)
        seconds, fraction = divmod(number, unit)
        if _FIRST_DAY * _DAY <= seconds <= _LAST_DAY * _DAY and unit <= 1_000_000:
            return (_EPOCH + timedelta(seconds=seconds, microseconds=fraction * (1_000_000 // unit))).isoformat()
        days, rest = divmod(seconds, _DAY)
        return f"{_day_text(days)}T{_clock(rest, fraction, unit)}"

    return convert


def _time(unit: int) -> _Converter:
    def convert(value: object) -> object:
        number = cast("int", value)
        sign = "-" if number < 0 else ""
        seconds, fraction = divmod(abs(number), unit)
        return sign + _clock(seconds, fraction, unit)

    return convert


def _clock(seconds: int, fraction: int, unit: int) -> str:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    digits = f".{fraction:0{len(str(unit)) - 1}d}" if fraction else ""
    return f"{hour:02d}:{minute:02d}:{second:02d}{digits}"


def _json(value: object) -> object:
    return json.loads(cast("str", value))


def _json_object(value: object) -> object:
    """Make an object of anything: an index keeps a flattened field for objects alone."""
    parsed = json.loads(cast("str", value))
    return parsed if isinstance(parsed, dict) else {"value": parsed}


def _set(value: object) -> object:
    return cast("str", value).split(",") if value else []


def _point(value: object) -> object:
    point = cast("Mapping[str, object]", value)
    return {"lon": point["x"], "lat": point["y"]}


def _geometry(value: object) -> object:
    """Keep the WKB and the reference system; of a point, also say what a `geo_shape` reads."""
    geometry = cast("Mapping[str, object]", value)
    octets = cast("bytes", geometry["wkb"])
    point = _wkb_point(octets)
    return {"wkb": _base64(octets), "srid": geometry.get("srid"), **({} if point is None else {"wkt": point})}


def _wkb_point(octets: bytes) -> str | None:
    """Return a two-dimensional point in WKT.

    WKB => byte order:byte  type:uint32  [srid:uint32, with PostGIS's flag 0x20000000]  x:float64  y:float64
    """
    if len(octets) not in {21, 25}:
        return None
    order = "<" if octets[0] == 1 else ">"
    (kind,) = struct.unpack_from(f"{order}I", octets, 1)
    if kind not in {1, 0x20000001}:
        return None
    x, y = struct.unpack_from(f"{order}dd", octets, len(octets) - 16)
    return f"POINT ({x!r} {y!r})" if math.isfinite(x) and math.isfinite(y) else None


def _listed(inner: _Converter) -> _Converter:
    return lambda value: [None if item is None else inner(item) for item in cast("list[object]", value)]


def _mapped(inner: _Converter) -> _Converter:
    def convert(value: object) -> object:
        items = cast("Mapping[str, object]", value).items()
        return {name: None if member is None else inner(member) for name, member in items}

    return convert


def _structured(inner: Mapping[str, _Converter]) -> _Converter | None:
    if not inner:
        return None

    def convert(value: object) -> object:
        members = dict(cast("Mapping[str, object]", value))
        for name, member in inner.items():
            if members.get(name) is not None:
                members[name] = member(members[name])
        return members

    return convert


def _any(value: object) -> object:
    """Make JSON of a value of which nothing is known but itself."""
    match value:
        case float():
            result: object = _float(value)
        case bytes():
            result = _base64(value)
        case Decimal():
            result = _decimal(value)
        case Mapping():
            result = {str(name): _any(member) for name, member in value.items()}
        case list():
            result = [_any(item) for item in value]
        case _:
            result = value
    return result


_FIXED: Mapping[str, _Converter] = {
    **dict.fromkeys(DECIMALS, _decimal),
    **dict.fromkeys(DATES, _date),
    **dict.fromkeys(SHAPES, _geometry),
    "io.debezium.data.EnumSet": _set,
}
