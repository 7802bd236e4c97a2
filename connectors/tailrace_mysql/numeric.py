"""Numbers, bits and plain octets, from the binlog and from text, to exact values.

    TINY … LONGLONG, YEAR   little-endian integer; of a year, what was added to 1900, 0 being the year 0000
    FLOAT, DOUBLE           IEEE 754, little-endian
    NEWDECIMAL              groups of nine digits, four octets each, big-endian, counted from the point; the outer
                            groups may have fewer digits and octets; the first bit is inverted, and of a negative
                            number all are
    BIT                     big-endian octets
    text                    digits as the server prints them; bits and octets as in the binlog

Nothing here rounds, and nothing is checked against the range of the column: the encoder does that. Errors name the
type, never the value. Source: MySQL manual, chapter 13; the comment on `decimal2bin` in MySQL's source.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from tailrace.errors import BadRecord
from tailrace.schema import Value
from tailrace_mysql.columntype import decimal_octets

Decode = Callable[[bytes], Value]

_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
_DIGITS, _OCTETS = 9, 4
_LONG_END = 1 << 63


def unreadable(kind: str) -> BadRecord:
    """Return the error for a cell that is not in the form that its type has."""
    return BadRecord(
        f"cannot read a value of type {kind}", hint="the table's shape does not fit its rows; please report it"
    )


def unsigned(cell: bytes) -> Value:
    """Read an unsigned integer of the binlog."""
    return int.from_bytes(cell, "little")


def signed(cell: bytes) -> Value:
    """Read a signed integer of the binlog."""
    return int.from_bytes(cell, "little", signed=True)


def integer(cell: bytes) -> Value:
    """Read an integer from text."""
    if cell.isdigit() or (cell[:1] == b"-" and cell[1:].isdigit()):
        return int(cell)
    raise unreadable("integer")


def as_long(read: Decode) -> Decode:
    """Return `read` for unsigned numbers of 64 bits that have to fit a signed one; those that do not are refused."""

    def long(cell: bytes) -> Value:
        value = read(cell)
        if isinstance(value, int) and value >= _LONG_END:
            raise BadRecord("an unsigned bigint is beyond 9223372036854775807: set bigint_unsigned to precise")
        return value

    return long


def as_decimal(read: Decode) -> Decode:
    """Return `read` for integers that become decimals without a fraction."""

    def whole(cell: bytes) -> Value:
        value = read(cell)
        return Decimal(value) if isinstance(value, int) else value

    return whole


def float_single(cell: bytes) -> Value:
    """Read a float of the binlog."""
    return _unpacked(_FLOAT, cell)


def float_double(cell: bytes) -> Value:
    """Read a double of the binlog."""
    return _unpacked(_DOUBLE, cell)


def _unpacked(form: struct.Struct, cell: bytes) -> Value:
    try:
        return form.unpack(cell)[0]  # type: ignore[no-any-return]  # a float
    except struct.error:
        raise unreadable("float") from None


def float_text(cell: bytes) -> Value:
    """Read a float from text: a double, which tells a float exactly where the server was asked for a double."""
    try:
        if b"_" not in cell:
            return float(cell)
    except ValueError:
        pass
    raise unreadable("float")


def packed_decimal(precision: int, scale: int) -> Decode:
    """Return the reader of decimals of the binlog."""
    size = decimal_octets(precision, scale)
    whole = _groups(precision - scale, reverse=True)
    fraction = _groups(scale, reverse=False)

    def decimal(cell: bytes) -> Value:
        if len(cell) != size:
            raise unreadable("decimal")
        mask = 0 if cell[0] & 0x80 else 0xFF
        octets = bytes((cell[0] ^ 0x80 ^ mask, *(octet ^ mask for octet in cell[1:])))
        number, at = 0, 0
        for digits, width in (*whole, *fraction):
            group = int.from_bytes(octets[at : at + width], "big")
            if group >= 10**digits:
                raise unreadable("decimal")
            number = number * 10**digits + group
            at += width
        return Decimal((int(mask and number > 0), tuple(map(int, str(number))), -scale))

    return decimal


def _groups(digits: int, *, reverse: bool) -> list[tuple[int, int]]:
    """Return (digits, octets) of each group on one side of the point, from the left."""
    whole, rest = divmod(digits, _DIGITS)
    groups = [(_DIGITS, _OCTETS)] * whole + ([(rest, (rest + 1) // 2)] if rest else [])
    return groups[::-1] if reverse else groups


def decimal_text(cell: bytes) -> Value:
    """Read a decimal from text, with the very digits that were sent."""
    if b"_" not in cell:  # which Python allows between digits
        try:
            return Decimal(cell.decode("ascii"))
        except (InvalidOperation, ValueError):
            pass
    raise unreadable("decimal")


def year(cell: bytes) -> Value:
    """Read a year of the binlog."""
    if len(cell) != 1:
        raise unreadable("year")
    return cell[0] + 1900 if cell[0] else 0


def single_bit(cell: bytes) -> Value:
    """Read a bit(1), which Debezium takes for a boolean."""
    return any(cell)


def bits(length: int) -> Decode:
    """Return the reader of bits as little-endian octets, as many as the column has."""
    octets = (length + 7) // 8

    def bit_string(cell: bytes) -> Value:
        if len(cell) != octets:
            raise unreadable("bit")
        return cell[::-1]

    return bit_string


def octets(cell: bytes) -> Value:
    """Return octets as they are."""
    return cell


def padded(length: int) -> Decode:
    """Return the reader of a binary(n) of the binlog, which lacks the zeros at its end."""
    return lambda cell: cell.ljust(length, b"\0")
