"""Binlog events put together by hand, and a few that servers wrote."""

from __future__ import annotations

import struct

SERVER_ID = 7


def event(kind: int, body: bytes, *, end_pos: int = 1000, timestamp: int = 1_700_000_000, flags: int = 0) -> bytes:
    """Return a whole event, without a checksum."""
    size = 19 + len(body)
    return struct.pack("<IBIIIH", timestamp, kind, SERVER_ID, size, end_pos, flags) + body


def rows_body(
    columns: int, images: bytes, *, present: bytes, after: bytes = b"", flags: int = 1, v2: bool = True, table: int = 5
) -> bytes:
    """Return the body of a rows event."""
    extra = struct.pack("<H", 2) if v2 else b""
    head = table.to_bytes(6, "little") + struct.pack("<H", flags) + extra
    return head + bytes((columns,)) + present + after + images


def table_body(types: bytes, metas: bytes, nulls: bytes, *fields: tuple[int, bytes]) -> bytes:
    """Return what follows table id and flags in a table map of shop.items."""
    optional = b"".join(bytes((number, len(value))) + value for number, value in fields)
    head = b"\x04shop\0\x05items\0" + bytes((len(types),)) + types
    return head + bytes((len(metas),)) + metas + nulls + optional


def names(*columns: str) -> tuple[int, bytes]:
    """Return the field of a table map that has the names."""
    return 4, b"".join(bytes((len(name),)) + name.encode() for name in columns)
