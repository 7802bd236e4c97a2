r"""Postgres' numbers, bits and bytes, from the text of the wire to exact values.

    int2, int4, int8, oid    => [-] digits
    float4, float8           => shortest decimal that reads back the same | NaN | [-]Infinity
    numeric                  => [-] digits [. digits] | NaN | [-]Infinity; as many decimals as its scale
    money                    => as `lc_monetary` prints it: -$1,234.56
    bool                     => t | f
    bit, varbit              => digits 0 and 1, most significant first
    bytea                    => \x hex digits (`bytea_output = hex`)

Source: Postgres manual, chapter 8 (data types); the functions `numeric_out`, `cash_out`, `byteaout`. Nothing here
rounds, and nothing is checked against the range of the column: the encoder does that. Errors name the type, never the
value.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from tailrace.errors import BadRecord
from tailrace.schema import Value

Decode = Callable[[bytes], Value]

_MONEY_DIGITS = 2
"""Debezium's `money.fraction.digits` unless told otherwise."""


def unreadable(type_name: str) -> BadRecord:
    """Return the error for a cell that is not in the form that its type has."""
    return BadRecord(
        f"cannot read the text of a value of type {type_name}",
        hint="DateStyle, IntervalStyle, bytea_output or client_encoding of the connection may have been changed",
    )


def integer(cell: bytes) -> Value:
    """Read an integer of any size."""
    if cell.isdigit() or (cell[:1] == b"-" and cell[1:].isdigit()):
        return int(cell)
    raise unreadable("integer")


def float8(cell: bytes) -> Value:
    """Read a float; Postgres' own spelling of the specials is also Python's."""
    if b"_" in cell:
        raise unreadable("float")
    try:
        return float(cell)
    except ValueError:
        raise unreadable("float") from None


def decimal(cell: bytes) -> Value:
    """Read a numeric with the very digits that were sent."""
    if b"_" not in cell:  # which Python allows between digits
        try:
            return Decimal(cell.decode("ascii"))
        except (InvalidOperation, ValueError):
            pass
    raise unreadable("numeric")


def stripped_decimal(cell: bytes) -> Value:
    """Read a numeric of no fixed scale: zeros at the end of the fraction are not part of the value, as in Debezium."""
    return decimal(cell.rstrip(b"0").rstrip(b".") if b"." in cell else cell)


def money(cell: bytes) -> Value:
    """Read an amount in whatever way the server's locale prints it, at a scale of two."""
    text = cell.decode("utf-8", "replace")
    digits = "".join(character for character in text if character in "0123456789")
    if not digits:
        raise unreadable("money")
    point = max(text.rfind("."), text.rfind(","))
    tail = sum(character in "0123456789" for character in text[point:]) if point >= 0 else 0
    shift = tail if 0 < tail <= _MONEY_DIGITS else 0
    unscaled = int(digits) * 10 ** (_MONEY_DIGITS - shift)
    return scaled(-unscaled if "-" in text or "(" in text else unscaled, _MONEY_DIGITS)


def scaled(unscaled: int, scale: int) -> Decimal:
    """Return `unscaled` / 10^`scale`, exactly."""
    return Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -scale))


_BOOLEANS = {b"t": True, b"f": False}


def boolean(cell: bytes) -> Value:
    """Read a bool."""
    try:
        return _BOOLEANS[cell]
    except KeyError:
        raise unreadable("bool") from None


def single_bit(cell: bytes) -> Value:
    """Read a bit(1), which Debezium takes for a boolean."""
    return _bits(cell) != 0


def bit_string(cell: bytes) -> Value:
    """Read bits as little-endian bytes without zeros at the end, as Java's `BitSet.toByteArray` gives them."""
    number = _bits(cell)
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def bytea(cell: bytes) -> Value:
    """Read bytes in hex form."""
    if cell[:2] != b"\\x":
        raise unreadable("bytea")
    try:
        return unhexlify(cell[2:])
    except ValueError:
        raise unreadable("bytea") from None


def _bits(cell: bytes) -> int:
    if cell.strip(b"01"):
        raise unreadable("bit string")
    return int(cell, 2) if cell else 0
