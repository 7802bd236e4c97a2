"""Mappings: how an index is to treat the columns of a table.

    int8 … int64                    long: a widened column needs no other mapping
    float32, float64                double, likewise; NaN and infinities are kept, not indexed
    Decimal, VariableScaleDecimal   keyword, exact, with a double beside it as `.number`; or one of both
    string                          text with `.keyword` beside it; or one of both. Uuid, Enum, key columns: keyword
    boolean, bytes                  boolean, binary
    dates and timestamps            date
    times of day, intervals         keyword
    Json, maps                      flattened, or an object whose members are mapped as they come, or text
    Point                           object of x and y, or geo_point
    Geometry, Geography             object with WKB, and a geo_shape where it is a point
    arrays, structs                 as their items, as their members

Only fields that can hold what their type cannot (an infinite date, a year of five digits) ignore what is malformed;
in others it is a conflict, and the document is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tailrace.codec.delivery import Shape
from tailrace.schema import Schema
from tailrace_search.document import DATES, DECIMALS, JSON, POINT, SHAPES, TIMES, TIMESTAMPS, JsonChoice, PointChoice

Property: TypeAlias = Mapping[str, object]
StringChoice: TypeAlias = Literal["both", "text", "keyword"]
DecimalChoice: TypeAlias = Literal["both", "keyword", "double"]

META = "_tailrace"
"""The field that says where in the log a document comes from."""
_LONGEST_KEYWORD = 8191
"""Characters; Lucene refuses terms of more than 32,766 bytes, and a character has up to four."""
_KEYWORD: Property = {"type": "keyword", "ignore_above": _LONGEST_KEYWORD}
_TEXT: Property = {"type": "text"}
_LONG: Property = {"type": "long"}
_DOUBLE: Property = {"type": "double", "ignore_malformed": True}
_DATE: Property = {"type": "date", "format": "strict_date_optional_time||epoch_millis", "ignore_malformed": True}
_KEPT: Property = {"type": "object", "enabled": False}
_GEO_POINT: Property = {"type": "geo_point", "ignore_malformed": True}
_PLANE_POINT: Property = {
    "properties": {"x": _DOUBLE, "y": _DOUBLE, "wkb": {"type": "binary"}, "srid": {"type": "integer"}}
}
_GEOMETRY: Property = {
    "properties": {
        "wkb": {"type": "binary"},
        "srid": {"type": "integer"},
        "wkt": {"type": "geo_shape", "ignore_malformed": True},
    }
}
_NAMED: Mapping[str, Property] = {
    "io.debezium.data.Uuid": _KEYWORD,
    "io.debezium.data.Enum": _KEYWORD,
    "io.debezium.data.EnumSet": _KEYWORD,
    "io.debezium.data.Ltree": _KEYWORD,
    "io.debezium.data.Bits": _KEYWORD,
    "io.debezium.data.Xml": _TEXT,
    "io.debezium.data.Tsvector": _TEXT,
    "io.debezium.time.ZonedTimestamp": _DATE,
    "io.debezium.time.IsoDate": _DATE,
    "io.debezium.time.IsoTimestamp": _DATE,
    "io.debezium.time.ZonedTime": _KEYWORD,
    "io.debezium.time.IsoTime": _KEYWORD,
    "io.debezium.time.Interval": _KEYWORD,
    **dict.fromkeys((*DATES, *TIMESTAMPS), _DATE),
    **dict.fromkeys(TIMES, _KEYWORD),
}
_PLAIN: Mapping[str, Property] = {
    **dict.fromkeys(("int8", "int16", "int32", "int64"), _LONG),
    **dict.fromkeys(("float32", "float64"), _DOUBLE),
    "boolean": {"type": "boolean"},
    "bytes": {"type": "binary"},
}
META_PROPERTY: Property = {
    "properties": {"partition": {"type": "integer"}, "offset": {"type": "long"}, "timestamp": {"type": "date"}}
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What an operator decides. `flat` is the cluster's name for a flattened field; empty: it has none."""

    flat: str = "flat_object"
    strings: StringChoice = "both"
    decimals: DecimalChoice = "both"
    json: JsonChoice = "flat"
    points: PointChoice = "object"


def properties(shape: Shape, choices: Choices, key: Iterable[str] = ()) -> dict[str, Property]:
    """Return the properties of a table's columns; `key` names those of its key."""
    in_key = set(key)
    return {column.name: _property(column.schema, choices, exact=column.name in in_key) for column in shape.columns}


def _property(schema: Schema, choices: Choices, *, exact: bool = False) -> Property:
    named = _named(schema.name or "", choices)
    if named is not None:
        return named
    match schema.type:
        case "string":
            return _KEYWORD if exact else _string(choices.strings)
        case "array":
            return _KEPT if schema.items is None else _property(schema.items, choices)
        case "map":
            return {"type": choices.flat} if choices.flat else _KEPT
        case "struct":
            return {"properties": {field.name: _property(field.schema, choices) for field in schema.fields}}
        case other:
            return _PLAIN[other]


def _named(name: str, choices: Choices) -> Property | None:
    if name in DECIMALS:
        return _decimal(choices.decimals)
    if name == JSON:
        return _json(choices)
    if name == POINT:
        return _GEO_POINT if choices.points == "geo_point" else _PLANE_POINT
    return _GEOMETRY if name in SHAPES else _NAMED.get(name)


def _string(choice: StringChoice) -> Property:
    if choice == "both":
        return {**_TEXT, "fields": {"keyword": _KEYWORD}}
    return _TEXT if choice == "text" else _KEYWORD


def _decimal(choice: DecimalChoice) -> Property:
    if choice == "both":
        return {**_KEYWORD, "fields": {"number": _DOUBLE}}
    return _DOUBLE if choice == "double" else _KEYWORD


def _json(choices: Choices) -> Property:
    match choices.json:
        case "text":
            return _TEXT
        case "object":
            return {"type": "object", "dynamic": True}
        case _:
            return {"type": choices.flat} if choices.flat else _KEPT
