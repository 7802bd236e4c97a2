"""Postgres' texts, and the types that Debezium gives as texts of another form.

    text, json, xml, uuid, inet, ranges, enums …  => the text itself
    hstore                                        => JSON object; hstore => ["key"=>("value" | NULL)[, …]*]
    point                                         => {x, y, wkb, srid}; point => (x,y)

Source: Postgres manual, chapter 8 and F.17 (hstore); Debezium's `io.debezium.data.geometry.Point`.
"""

from __future__ import annotations

import json
import re
import struct

from tailrace.schema import Field, Schema, Value
from tailrace_postgres.numeric import unreadable

_PAIR = re.compile(rb'"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|(NULL))(?:, |$)', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)

POINT = Schema(
    "struct",
    "io.debezium.data.geometry.Point",
    version=1,
    fields=(
        Field("x", Schema("float64")),
        Field("y", Schema("float64")),
        Field("wkb", Schema("bytes", optional=True)),
        Field("srid", Schema("int32", optional=True)),
    ),
    doc="Geometry (POINT)",
)
_WKB_POINT = struct.Struct("<BIdd")
"""Byte order (1: little-endian), geometry type (1: point), x, y."""


def text(cell: bytes) -> Value:
    """Read text; the connection's client encoding is UTF-8."""
    try:
        return cell.decode()
    except UnicodeDecodeError:
        raise unreadable("text") from None


def hstore(cell: bytes) -> Value:
    """Read an hstore as the text of a JSON object, its keys in Postgres' order."""
    pairs: dict[str, str | None] = {}
    place = 0
    try:
        while place < len(cell):
            found = _PAIR.match(cell, place)
            if found is None:
                raise unreadable("hstore")
            key, value, null = found.groups()
            pairs[_unescaped(key)] = None if null else _unescaped(value)
            place = found.end()
    except UnicodeDecodeError:
        raise unreadable("hstore") from None
    return json.dumps(pairs, ensure_ascii=False, separators=(",", ":"))


def point(cell: bytes) -> Value:
    """Read a point of the plane."""
    try:
        x, y = map(float, cell.removeprefix(b"(").removesuffix(b")").split(b","))
    except ValueError:
        raise unreadable("point") from None
    return point_value(x, y)


def point_value(x: float, y: float) -> Value:
    """Return a point as `POINT` has it."""
    return {"x": x, "y": y, "wkb": _WKB_POINT.pack(1, 1, x, y), "srid": None}


def _unescaped(quoted: bytes) -> str:
    return _ESCAPE.sub(rb"\1", quoted).decode() if b"\\" in quoted else quoted.decode()
