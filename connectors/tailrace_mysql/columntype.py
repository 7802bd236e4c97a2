"""The types of columns in the binlog: their numbers, what their metas mean, how wide their cells are.

    type               meta in the table map         meta here            cell
    FLOAT, DOUBLE      octets u8                     the same             that many octets
    VARCHAR            most octets u16               the same             length u8, u16 from 256 on · octets
    BLOB, JSON, …      octets of the length u8       the same             length · octets
    NEWDECIMAL         precision u8 · scale u8       precision << 8 | scale   packed digits
    BIT                bits u8 · octets u8           bits in all          big-endian octets
    TIMESTAMP2, …      digits of the fraction u8     the same             big-endian octets
    STRING             real type u8 · size u8        most octets          as VARCHAR
      ENUM, SET        (in place of STRING)          octets of a cell     little-endian number
    all others         none                          0                    fixed

Two bits of a STRING's size are hidden, inverted, in its real type, so that CHAR(255) can have more than 255 octets.
Source: MySQL's manual of the binlog events (`Table_map_event`), `enum_field_types`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

TINY, SHORT, LONG, FLOAT, DOUBLE, NULL, TIMESTAMP, LONGLONG, INT24 = range(1, 10)
DATE, TIME, DATETIME, YEAR, NEWDATE, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = range(10, 20)
BLOB_COMPRESSED, VARCHAR_COMPRESSED = 140, 141
VECTOR, JSON, NEWDECIMAL, ENUM, SET = 242, 245, 246, 247, 248
TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING, GEOMETRY = range(249, 256)

POINT = 1
"""The kind of geometry that has two coordinates."""

NUMERIC = frozenset({TINY, SHORT, INT24, LONG, LONGLONG, NEWDECIMAL, FLOAT, DOUBLE, YEAR})
"""Those whose signedness is told."""
TEXTUAL = frozenset({VARCHAR, STRING, VAR_STRING, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB})
TOLD_BY_MYSQL = TEXTUAL | {VECTOR}
TOLD_BY_MARIADB = TEXTUAL | {GEOMETRY, BLOB_COMPRESSED, VARCHAR_COMPRESSED}
"""Those whose collation is told, by either server."""
COMPRESSED = frozenset({BLOB_COMPRESSED, VARCHAR_COMPRESSED})
"""MariaDB's columns with the attribute COMPRESSED."""

_META_SIZES: Mapping[int, int] = {
    **dict.fromkeys((FLOAT, DOUBLE, TIMESTAMP2, DATETIME2, TIME2, BLOB_COMPRESSED, VECTOR, JSON), 1),
    **dict.fromkeys((TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, GEOMETRY), 1),
    **dict.fromkeys((VARCHAR, VAR_STRING, BIT, NEWDECIMAL, STRING, ENUM, SET, VARCHAR_COMPRESSED), 2),
    **dict.fromkeys((TINY, SHORT, LONG, NULL, TIMESTAMP, LONGLONG, INT24, DATE, TIME, DATETIME, YEAR, NEWDATE), 0),
}
_FIXED: Mapping[int, int] = {
    TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8, NULL: 0, TIMESTAMP: 4, DATE: 3, NEWDATE: 3, TIME: 3, DATETIME: 8,
    YEAR: 1,
}  # fmt: skip
_DIGIT_OCTETS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Octets of a packed group of so many decimal digits."""


def meta_size(kind: int) -> int:
    """Return how many octets a type's meta has in a table map; raises `ValueError` for an unknown type."""
    try:
        return _META_SIZES[kind]
    except KeyError:
        raise ValueError(f"column type {kind} is unknown") from None


def real(kind: int, meta: bytes) -> tuple[int, int]:
    """Return a column's type and meta as they are used here from those of a table map."""
    if kind in {STRING, ENUM, SET}:
        return _real_string(*meta)
    if kind == BIT:
        return kind, meta[1] * 8 + meta[0]
    return kind, int.from_bytes(meta, "big" if kind == NEWDECIMAL else "little")


def _real_string(first: int, second: int) -> tuple[int, int]:
    if first & 0x30 != 0x30:
        return first | 0x30, second | (first & 0x30 ^ 0x30) << 4
    return first, second


def width(kind: int, meta: int) -> int:
    """Return the width of a column's cells: their octets or, negative, the octets of the length before them."""
    if kind in _FIXED:
        return _FIXED[kind]
    wide = _WIDTHS.get(kind)
    octets = wide(meta) if wide else None
    if octets is None:
        raise ValueError(f"column type {kind} has the unknown meta {meta}")
    return octets


def decimal_octets(precision: int, scale: int) -> int:
    """Return the octets of a packed decimal: four for each nine digits on either side of the point."""
    if not 0 <= scale <= precision <= 65:
        raise ValueError(f"a decimal has {precision} digits, {scale} of them after the point")
    whole, rest = divmod(precision - scale, 9)
    fraction, fraction_rest = divmod(scale, 9)
    return 4 * (whole + fraction) + _DIGIT_OCTETS[rest] + _DIGIT_OCTETS[fraction_rest]


def _octets_told(meta: int) -> int | None:
    return meta if 1 <= meta <= 8 else None


def _length_told(meta: int) -> int | None:
    return -meta if 1 <= meta <= 4 else None


def _with_fraction(octets: int) -> Callable[[int], int | None]:
    return lambda meta: octets + (meta + 1) // 2 if 0 <= meta <= 6 else None


_WIDTHS: Mapping[int, Callable[[int], int | None]] = {
    **dict.fromkeys((FLOAT, DOUBLE, ENUM, SET), _octets_told),
    **dict.fromkeys((VARCHAR, VAR_STRING, STRING, VARCHAR_COMPRESSED), lambda meta: -1 if meta < 256 else -2),
    **dict.fromkeys((TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, BLOB_COMPRESSED), _length_told),
    **dict.fromkeys((GEOMETRY, JSON, VECTOR), _length_told),
    NEWDECIMAL: lambda meta: decimal_octets(meta >> 8, meta & 0xFF),
    BIT: lambda meta: (meta + 7) // 8,
    TIMESTAMP2: _with_fraction(4),
    DATETIME2: _with_fraction(5),
    TIME2: _with_fraction(3),
}
