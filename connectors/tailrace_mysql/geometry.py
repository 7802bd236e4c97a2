"""Geometries and vectors: the same octets in the binlog and in a result set.

    geometry   srid u32, little-endian · well-known binary
    point      the same; well-known binary: byte order u8 · 1 u32 · x double · y double
    vector     float, little-endian, for each dimension

Source: MySQL manual, "Supported Spatial Data Formats" and "The VECTOR Type"; Debezium's `io.debezium.data.geometry`.
"""

from __future__ import annotations

import struct

from tailrace.schema import Field, Schema, Value
from tailrace_mysql.numeric import unreadable

GEOMETRY = Schema(
    "struct",
    "io.debezium.data.geometry.Geometry",
    version=1,
    fields=(Field("wkb", Schema("bytes")), Field("srid", Schema("int32", optional=True))),
    doc="Geometry",
)
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
VECTOR = Schema("array", "io.debezium.data.FloatVector", version=1, items=Schema("float32"))

_WKB_AT = 4


def geometry(cell: bytes) -> Value:
    """Read a geometry of any kind."""
    if len(cell) <= _WKB_AT:
        raise unreadable("geometry")
    return {"wkb": cell[_WKB_AT:], "srid": int.from_bytes(cell[:_WKB_AT], "little") or None}


def point(cell: bytes) -> Value:
    """Read a point."""
    wkb = cell[_WKB_AT:]
    try:
        order, kind, x, y = struct.unpack("<BIdd" if wkb[:1] == b"\x01" else ">BIdd", wkb)
    except struct.error:
        raise unreadable("point") from None
    if order > 1 or kind != 1:
        raise unreadable("point")
    return {"x": x, "y": y, "wkb": wkb, "srid": int.from_bytes(cell[:_WKB_AT], "little") or None}


def vector(cell: bytes) -> Value:
    """Read a vector."""
    if len(cell) % 4:
        raise unreadable("vector")
    return list(struct.unpack(f"<{len(cell) // 4}f", cell))
