"""Texts, members of enums and sets, and MariaDB's types that the binlog takes for octets.

    text               octets in the column's character set (`charset.py`)
    enum               number of a member from 1, little-endian; 0: what was put in was none, which reads as ''
    set                a bit for each member, little-endian; reads as the members, separated by commas
    compressed column  0, octets | head u8: 0x80 | 8 (zlib's own head and tail are not there) | octets of the size ·
                       size, big-endian · deflated octets
    uuid               16 octets; of versions 1 to 5 the groups stand in the reverse order
    inet6, inet4       16 or 4 octets, most significant first; zeros at the end are left out, as of any binary(n)

Source: MySQL manual, 13.3; MariaDB Knowledge Base, "Storage-Engine Independent Column Compression", "UUID Data Type".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from tailrace.schema import Schema, Value
from tailrace_mysql.charset import decoder
from tailrace_mysql.numeric import Decode, unreadable

UTF8 = frozenset({"utf8mb4", "utf8mb3", "ascii"})
"""Character sets whose octets are UTF-8 already."""


def characters(charset: str) -> Decode:
    """Return the reader of texts in a character set."""
    return decoder(charset)


def member(members: Sequence[str]) -> Decode:
    """Return the reader of an enum of the binlog."""
    texts = ("", *members)

    def enum(cell: bytes) -> Value:
        number = int.from_bytes(cell, "little")
        if number >= len(texts):
            raise unreadable("enum")
        return texts[number]

    return enum


def members(names: Sequence[str]) -> Decode:
    """Return the reader of a set of the binlog."""

    def chosen(cell: bytes) -> Value:
        bits = int.from_bytes(cell, "little")
        if bits >> len(names):
            raise unreadable("set")
        return ",".join([name for place, name in enumerate(names) if bits >> place & 1])

    return chosen


def as_it_is(read: Decode) -> Decode:
    """Return `read`."""
    return read


def inflating(read: Decode) -> Decode:
    """Return `read` for what MariaDB may have compressed."""
    return lambda cell: read(_inflated(cell))


def _inflated(cell: bytes) -> bytes:
    if not cell:
        return cell
    head = cell[0]
    if not head:
        return cell[1:]
    octets = head & 7
    if head & 0xF0 != 0x80 or not octets:
        raise unreadable("compressed column")
    size = int.from_bytes(cell[1 : 1 + octets], "big")
    reader = zlib.decompressobj(-zlib.MAX_WBITS if head & 8 else zlib.MAX_WBITS)
    try:
        plain = reader.decompress(cell[1 + octets :], size + 1)
    except zlib.error:
        raise unreadable("compressed column") from None
    if len(plain) != size:
        raise unreadable("compressed column")
    return plain


@dataclass(frozen=True, slots=True)
class DeclaredForm:
    """A type that only its declaration tells from octets."""

    schema: Schema
    from_binlog: Decode
    from_text: Decode


def uuid(cell: bytes) -> Value:
    """Read MariaDB's uuid of the binlog."""
    octets = cell.ljust(16, b"\0")
    if len(octets) != 16:
        raise unreadable("uuid")
    swapped = octets[12:16] + octets[10:12] + octets[8:10] + octets[6:8] + octets[0:6]
    version = swapped[6] >> 4
    in_order = swapped if octets[6] & 0x80 and 1 <= version <= 5 else octets
    return str(UUID(bytes=in_order))


def inet4(cell: bytes) -> Value:
    """Read an inet4 of the binlog."""
    octets = cell.ljust(4, b"\0")
    if len(octets) != 4:
        raise unreadable("inet4")
    return ".".join(map(str, octets))


def inet6(cell: bytes) -> Value:
    """Read an inet6 of the binlog, printed as MariaDB does."""
    octets = cell.ljust(16, b"\0")
    if len(octets) != 16:
        raise unreadable("inet6")
    groups = struct.unpack(">8H", octets)
    begin, length = _longest_zeros(groups)
    dotted = begin == 0 and (length == 6 or (length == 5 and groups[5] == 0xFFFF))
    texts = [f"{group:x}" for group in groups]
    if dotted:
        texts[6:] = [".".join(map(str, octets[12:]))]
    if not length:
        return ":".join(texts)
    return ":".join(texts[:begin]) + "::" + ":".join(texts[begin + length :])


def _longest_zeros(groups: Sequence[int]) -> tuple[int, int]:
    """Return where the first of the longest runs of zeros begins, and how long it is."""
    best, at = (0, 0), 0
    for zero, run in groupby(groups, lambda group: not group):
        length = len(list(run))
        if zero and length > best[1]:
            best = (at, length)
        at += length
    return best


_TEXT = Schema("string")
DECLARED: Mapping[str, DeclaredForm] = {
    "uuid": DeclaredForm(Schema("string", "io.debezium.data.Uuid", version=1), uuid, characters("ascii")),
    "inet4": DeclaredForm(_TEXT, inet4, characters("ascii")),
    "inet6": DeclaredForm(_TEXT, inet6, characters("ascii")),
}
