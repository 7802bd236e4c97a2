r"""What Postgres prints of values that it sent in binary: the text that its output functions would have given.

    bool                     => 0 | 1 as one octet
    int2, int4, int8, oid    => integer of 2, 4, 8, 4 octets, the last one unsigned
    numeric                  => digits:uint16 weight:int16 sign:uint16 scale:uint16 digit:uint16*
                                the first digit stands for digit x 10000^weight; sign 0: +, 0x4000: -, others below
    date                     => int32, days since 2000-01-01; the ends of the range are -infinity and infinity
    time                     => int64, microseconds since midnight
    timestamp, timestamptz   => int64, microseconds since 2000-01-01 00:00:00 UTC; the ends as for dates
    uuid, macaddr, macaddr8  => 16, 6, 8 octets
    bytea, text and the like => as they are; jsonb and ltree with a version before them, the octet 1
    "char"                   => one octet
    bit, varbit              => bits:int32 octets, the first bit being the highest one
    inet, cidr               => family:byte (2, 3) bits:byte is_cidr:byte octets:byte address
    range                    => flags:byte [size:int32 lower] [size:int32 upper]

These texts are what keys of the snapshot are compared by, and what a value is made of where the type is too rare for a
reader of its own (`binary.py`). Source: the functions `numeric_send`, `date_send` … and `numeric_out`, `date_out` …;
Postgres manual, 8.5 (date/time types). All big-endian. Errors name the type, never the value.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from struct import Struct, unpack_from
from struct import error as struct_error

from tailrace.codec.calendar import civil_from_days
from tailrace.errors import BadRecord
from tailrace_postgres.temporal import DAY, SECOND

Print = Callable[[bytes], bytes]
"""From a value in binary to its text; raises `BadRecord` for what is not of the form above."""

EPOCH_DAYS = 10_957
"""From 1970-01-01 to 2000-01-01."""

_NUMERIC = Struct(">HhHH")
_INT16 = Struct(">h")
_INT32 = Struct(">i")
_UINT32 = Struct(">I")
_INT64 = Struct(">q")

_NEGATIVE = 0x4000
_SPECIALS = {0xC000: b"NaN", 0xD000: b"Infinity", 0xF000: b"-Infinity"}
_MOST_SCALE = 0x3FFF
_INFINITE_DATES = {2**31 - 1: b"infinity", -(2**31): b"-infinity"}
_INFINITE_TIMES = {2**63 - 1: b"infinity", -(2**63): b"-infinity"}

_EMPTY, _LOWER_IN, _UPPER_IN, _NO_LOWER, _NO_UPPER = 1, 2, 4, 8, 16
_QUOTED_IN_RANGES = set(b'"\\()[], \t\n\r\v\f')


def malformed(type_name: str) -> BadRecord:
    """Return the error for a cell that is not in the binary form that its type has."""
    return BadRecord(
        f"cannot read the binary form of a value of type {type_name}",
        hint="set binary: never to have all values sent as text, and please report it",
    )


def number(packed: Struct, cell: bytes, type_name: str) -> int:
    """Return the one integer that a cell is."""
    try:
        return int(packed.unpack(cell)[0])
    except struct_error:
        raise malformed(type_name) from None


def int2(cell: bytes) -> int:
    """Read 16 bits."""
    return number(_INT16, cell, "int2")


def int4(cell: bytes) -> int:
    """Read 32 bits."""
    return number(_INT32, cell, "int4")


def int8(cell: bytes) -> int:
    """Read 64 bits."""
    return number(_INT64, cell, "int8")


def oid(cell: bytes) -> int:
    """Read 32 bits without a sign."""
    return number(_UINT32, cell, "oid")


def decimal_digits(read: Callable[[bytes], int]) -> Print:
    """Return what prints the integer that `read` reads."""
    return lambda cell: b"%d" % read(cell)


def boolean(cell: bytes) -> bytes:
    """Print a bool."""
    if cell not in {b"\0", b"\1"}:
        raise malformed("bool")
    return b"t" if cell[0] else b"f"


def numeric(cell: bytes) -> bytes:
    """Print a numeric with as many decimals as its scale says."""
    if len(cell) < _NUMERIC.size:
        raise malformed("numeric")
    count, weight, sign, scale = _NUMERIC.unpack_from(cell)
    if len(cell) != _NUMERIC.size + 2 * count:
        raise malformed("numeric")
    if sign in _SPECIALS:
        return _SPECIALS[sign]
    groups = unpack_from(f">{count}H", cell, _NUMERIC.size)
    if sign not in {0, _NEGATIVE} or scale > _MOST_SCALE or any(group > 9999 for group in groups):
        raise malformed("numeric")
    digits = b"".join([b"%04d" % group for group in groups])
    point = (weight + 1) * 4
    whole = digits[:point].ljust(point, b"0") if point > 0 else b""
    fraction = digits[point:] if point > 0 else b"0" * -point + digits
    if fraction[scale:].strip(b"0"):
        raise malformed("numeric")
    text = (b"-" if sign else b"") + (whole.lstrip(b"0") or b"0")
    return text + b"." + fraction[:scale].ljust(scale, b"0") if scale else text


def date(cell: bytes) -> bytes:
    """Print a date."""
    days = number(_INT32, cell, "date")
    if days in _INFINITE_DATES:
        return _INFINITE_DATES[days]
    text, era = _civil(days + EPOCH_DAYS)
    return text + era


def time(cell: bytes) -> bytes:
    """Print a time of day."""
    micros = number(_INT64, cell, "time")
    if not 0 <= micros <= DAY:
        raise malformed("time")
    return _clock(micros)


def timestamp(cell: bytes) -> bytes:
    """Print a timestamp without a zone."""
    return _moment(cell, b"")


def timestamp_with_zone(cell: bytes) -> bytes:
    """Print a timestamp in UTC."""
    return _moment(cell, b"+00")


def _moment(cell: bytes, zone: bytes) -> bytes:
    micros = number(_INT64, cell, "timestamp")
    if micros in _INFINITE_TIMES:
        return _INFINITE_TIMES[micros]
    days, clock = divmod(micros, DAY)
    text, era = _civil(days + EPOCH_DAYS)
    return text + b" " + _clock(clock) + zone + era


def _civil(days: int) -> tuple[bytes, bytes]:
    year, month, day = civil_from_days(days)
    era = b"" if year > 0 else b" BC"
    return b"%04d-%02d-%02d" % (year if year > 0 else 1 - year, month, day), era


def _clock(micros: int) -> bytes:
    seconds, fraction = divmod(micros, SECOND)
    text = b"%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text + (b".%06d" % fraction).rstrip(b"0") if fraction else text


def text(cell: bytes) -> bytes:
    """Print a text, which is the same in both forms."""
    return cell


def versioned(cell: bytes) -> bytes:
    """Print what has its version before it."""
    if cell[:1] != b"\1":
        raise malformed("jsonb or ltree")
    return cell[1:]


def char(cell: bytes) -> bytes:
    """Print a "char": an octet that is no ASCII character as Postgres 16 and later do."""
    if len(cell) != 1:
        raise malformed("char")
    return cell.strip(b"\0") if cell[0] < 0x80 else b"\\%03o" % cell[0]


def uuid(cell: bytes) -> bytes:
    """Print a UUID."""
    if len(cell) != 16:
        raise malformed("uuid")
    digits = cell.hex().encode()
    return b"-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


def bytea(cell: bytes) -> bytes:
    """Print bytes in hex form."""
    return b"\\x" + cell.hex().encode()


def bits(cell: bytes) -> bytes:
    """Print a bit string."""
    if len(cell) < 4:
        raise malformed("bit string")
    size = number(_INT32, cell[:4], "bit string")
    if size < 0 or len(cell) != 4 + (size + 7) // 8:
        raise malformed("bit string")
    digits = f"{int.from_bytes(cell[4:], 'big'):0{8 * (len(cell) - 4)}b}" if size else ""
    return digits[:size].encode()


def address(cell: bytes) -> bytes:
    """Print a network or the address of a host."""
    family = {2: socket.AF_INET, 3: socket.AF_INET6}.get(cell[0]) if len(cell) > 4 else None
    if family is None or cell[2] > 1 or cell[3] != len(cell) - 4 or len(cell) != (8 if cell[0] == 2 else 20):
        raise malformed("inet")
    host = socket.inet_ntop(family, cell[4:]).encode()
    return host + b"/%d" % cell[1] if cell[2] or cell[1] != 8 * cell[3] else host


def hardware_address(octets: int) -> Print:
    """Return what prints a macaddr or macaddr8."""

    def printed(cell: bytes) -> bytes:
        if len(cell) != octets:
            raise malformed("macaddr")
        return cell.hex(":").encode()

    return printed


def range_of(bound: Print) -> Print:
    """Return what prints a range whose bounds `bound` prints."""

    def printed(cell: bytes) -> bytes:
        flags, at = cell[0] if cell else 0xFF, 1
        if flags == _EMPTY and len(cell) == 1:
            return b"empty"
        texts = []
        for absent in (_NO_LOWER, _NO_UPPER):
            size = 0
            if not flags & absent:
                size = number(_INT32, cell[at : at + 4], "range")
                at += 4
            if size < 0 or at + size > len(cell):
                raise malformed("range")
            texts.append(b"" if flags & absent else _quoted(bound(cell[at : at + size])))
            at += size
        if at != len(cell) or flags & ~(_LOWER_IN | _UPPER_IN | _NO_LOWER | _NO_UPPER):
            raise malformed("range")
        return (b"[" if flags & _LOWER_IN else b"(") + b",".join(texts) + (b"]" if flags & _UPPER_IN else b")")

    return printed


def _quoted(bound: bytes) -> bytes:
    return b'"' + bound + b'"' if not _QUOTED_IN_RANGES.isdisjoint(bound) else bound
