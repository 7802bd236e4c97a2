r"""MySQL's JSON: from its binary form in the binlog to the text that the server prints.

    document        type u8 · value
    object, array   0, 2 small: numbers below have 2 octets · 1, 3 large: 4 octets
        elements · size · [object: (offset · length u16) of each key] · (type u8 · offset or value) of each value ·
        keys · values; offsets count from `elements`
    literal         4: 0 null, 1 true, 2 false
    numbers         5 i16 · 6 u16 · 7 i32 · 8 u32 · 9 i64 · 10 u64 · 11 double, little-endian
    string          12: length varint, 7 bits an octet · UTF-8
    opaque          15: column type u8 · length varint · octets
                    decimal: precision u8 · scale u8 · packed · DATE, TIME, DATETIME, TIMESTAMP: i64 · others: as base64
    printed         255: UTF-8 text; our own, for values put together from differences (`jsondiff.py`)

Literals and small integers stand where their offset would. No octets at all are the value null. Text as the server
prints it: `{"a": 1, "b": [true, 1.0]}`. Source: MySQL's source, the comment at the head of
`sql-common/json_binary.h`.
"""

from __future__ import annotations

import math
import re
import struct
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from tailrace.errors import BadRecord
from tailrace.schema import Value
from tailrace_mysql import columntype as kinds
from tailrace_mysql.numeric import packed_decimal, unreadable

Node: TypeAlias = "None | bool | int | float | str | Printed | list[Node] | dict[str, Node]"
"""A value of JSON: `Printed` for what has no type of its own in JSON, but a text."""

PRINTED = 0xFF
_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = range(5)
_STRING, _OPAQUE = 12, 15
_LITERALS = (None, True, False)
_NUMBERS = {5: "<h", 6: "<H", 7: "<i", 8: "<I", 9: "<q", 10: "<Q", 11: "<d"}
_INLINE_SMALL = frozenset({_LITERAL, 5, 6})
_INLINE_LARGE = frozenset({_LITERAL, 5, 6, 7, 8})
_DEPTH = 100
"""MySQL refuses documents that are nested more deeply."""

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN_POINT = 15
"""How far from the first digit the point may stand before an exponent is printed."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A value as it is printed: a decimal, a time, an opaque one."""

    text: str


def text(cell: bytes) -> Value:
    """Return a document of the binlog as text."""
    if cell[:1] == b"\xff":
        return utf8(cell[1:])
    return printed(parsed(cell))


def utf8(cell: bytes) -> str:
    """Return a document that is text already."""
    try:
        return cell.decode()
    except UnicodeDecodeError:
        raise unreadable("json") from None


def parsed(cell: bytes) -> Node:
    """Return a document of the binlog as a tree; raises `BadRecord` where it is damaged."""
    if not cell:
        return None
    try:
        return _value(cell[0], cell, 1, _DEPTH)
    except (IndexError, ValueError, struct.error):
        raise unreadable("json") from None


def _value(kind: int, data: bytes, at: int, depth: int) -> Node:
    if kind in _NUMBERS:
        number: int | float = struct.unpack_from(_NUMBERS[kind], data, at)[0]
        return number
    if kind == _LITERAL:
        return _LITERALS[data[at]]
    if kind == _STRING:
        return _sized(data, at).decode()
    if kind == _OPAQUE:
        return _opaque(data[at], _sized(data, at + 1))
    if kind <= _LARGE_ARRAY and depth:
        return _container(kind, data, at, depth - 1)
    raise unreadable("json")


def _sized(data: bytes, at: int) -> bytes:
    length = shift = 0
    while True:
        octet = data[at]
        length |= (octet & 0x7F) << shift
        at += 1
        if not octet & 0x80:
            break
        shift += 7
        if shift > 28:
            raise unreadable("json")
    if at + length > len(data):
        raise unreadable("json")
    return data[at : at + length]


def _container(kind: int, data: bytes, begin: int, depth: int) -> Node:
    large = kind in {_LARGE_OBJECT, _LARGE_ARRAY}
    width = 4 if large else 2
    count = _number(data, begin, width)
    at = begin + 2 * width
    keys: list[str] = []
    if kind in {_SMALL_OBJECT, _LARGE_OBJECT}:
        if count * (2 * width + 3) > len(data):
            raise unreadable("json")
        for _ in range(count):
            offset, length = begin + _number(data, at, width), _number(data, at + width, 2)
            keys.append(_slice(data, offset, length).decode())
            at += width + 2
    values = list(_values(data, (begin, at, count), large=large, depth=depth))
    return dict(zip(keys, values, strict=True)) if kind in {_SMALL_OBJECT, _LARGE_OBJECT} else values


def _values(data: bytes, where: tuple[int, int, int], *, large: bool, depth: int) -> Iterator[Node]:
    begin, at, count = where
    width = 4 if large else 2
    inline = _INLINE_LARGE if large else _INLINE_SMALL
    for _ in range(count):
        kind = data[at]
        offset = at + 1 if kind in inline else begin + _number(data, at + 1, width)
        yield _value(kind, data, offset, depth)
        at += 1 + width


def _number(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(_slice(data, at, width), "little")


def _slice(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise unreadable("json")
    return data[at : at + length]


def _opaque(kind: int, octets: bytes) -> Node:
    if kind == kinds.NEWDECIMAL:
        value = packed_decimal(octets[0], octets[1])(octets[2:])
        return Printed(f"{value:f}" if isinstance(value, Decimal) else str(value))
    if kind in {kinds.DATE, kinds.TIME, kinds.DATETIME, kinds.TIMESTAMP, kinds.NEWDATE}:
        return Printed(f'"{_moment(kind, int.from_bytes(octets, "little", signed=True))}"')
    return Printed(f'"base64:type{kind}:{b64encode(octets).decode("ascii")}"')


def _moment(kind: int, packed: int) -> str:
    sign = "-" if packed < 0 else ""
    whole, micros = abs(packed) >> 24, abs(packed) & 0xFFFFFF
    clock = f"{whole >> 6 & 63:02}:{whole & 63:02}.{micros:06}"
    if kind == kinds.TIME:
        return f"{sign}{whole >> 12 & 0x3FF:02}:{clock}"
    year, month = divmod(whole >> 22, 13)
    day = f"{year:04}-{month:02}-{whole >> 17 & 31:02}"
    return day if kind in {kinds.DATE, kinds.NEWDATE} else f"{day} {whole >> 12 & 31:02}:{clock}"


def printed(node: Node) -> str:
    """Return a tree as the server prints it."""
    match node:
        case None:
            text = "null"
        case bool():
            text = "true" if node else "false"
        case Printed():
            text = node.text
        case str():
            text = quoted(node)
        case float():
            text = double(node)
        case list():
            text = "[" + ", ".join(map(printed, node)) + "]"
        case dict():
            text = "{" + ", ".join([f"{quoted(key)}: {printed(value)}" for key, value in node.items()]) + "}"
        case _:
            text = str(node)
    return text


def quoted(value: str) -> str:
    """Return a string as the server prints it."""
    return '"' + _ESCAPED.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", value) + '"'


def double(value: float) -> str:
    """Return a double as the server prints it: the fewest digits that read back the same, and a point."""
    if not math.isfinite(value):
        raise BadRecord("cannot read a value of type json: a number is not finite")
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    if not isinstance(exponent, int):
        raise unreadable("json")
    minus = "-" if sign else ""
    number = "".join(map(str, digits)).lstrip("0").rstrip("0")
    if not number:
        return f"{minus}0.0"
    point = len("".join(map(str, digits)).lstrip("0")) + exponent
    if not -_PLAIN_POINT < point <= _PLAIN_POINT:
        rest = f".{number[1:]}" if len(number) > 1 else ""
        return f"{minus}{number[0]}{rest}e{point - 1}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{number}"
    return f"{minus}{number[:point].ljust(point, '0')}.{number[point:] or '0'}"
