"""Dates and times, from the binlog and from text, to Debezium's integers and ISO-8601 texts.

    DATE         u24, little-endian: year << 9 | month << 5 | day
    TIME2        u24, big-endian, + 0x800000: hour << 12 | minute << 6 | second; then the fraction; negative as a whole
    DATETIME2    u40, big-endian, + 2^39: (year * 13 + month) << 22 | day << 17 | hour << 12 | minute << 6 | second;
                 fraction
    TIMESTAMP2   u32, big-endian: seconds since 1970; fraction
    fraction     1 octet of hundredths, 2 of ten-thousandths, or 3 of millionths, big-endian; for 1-2, 3-4, 5-6 digits
    TIME         i24, little-endian, the decimal digits HHMMSS         as tables made before MySQL 5.6 still have them
    DATETIME     u64, little-endian, the decimal digits YYYYMMDDHHMMSS
    TIMESTAMP    u32, little-endian: seconds since 1970
    text         YYYY-MM-DD · [-]HH:MM:SS[.ffffff], up to 838 hours · YYYY-MM-DD HH:MM:SS[.ffffff], UTC for a timestamp

A date that no calendar has (zeros in it, 31 February) is None, or the epoch, or refused: `invalid_dates`. All in
integer arithmetic. Source: MySQL manual of the internals, "Date and Time Data Type Representation".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

from tailrace.codec.calendar import civil_from_days, days_from_civil
from tailrace.errors import BadRecord
from tailrace.schema import Value
from tailrace_mysql.numeric import Decode, unreadable

Policy: TypeAlias = Literal["null", "epoch", "fail"]

SECOND = 1_000_000
DAY = 86_400 * SECOND
_MONTH_DAYS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FRACTION = (0, 10_000, 100, 1)
"""Microseconds in a unit of the fraction, by its octets."""

_DATE = re.compile(rb"(\d{4})-(\d\d)-(\d\d)")
_DATETIME = re.compile(rb"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_TIME = re.compile(rb"(-?)(\d{2,3}):([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?")

Micros: TypeAlias = Callable[[bytes], int | None]
"""Reads a cell as microseconds since 1970; None for a date that no calendar has."""


def _days(year: int, month: int, day: int) -> int | None:
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month]):
        return None
    if month == 2 and day == 29 and (year % 4 or (year % 100 == 0 and year % 400)):
        return None
    return days_from_civil(year, month, day)


def _micros(days: int | None, clock: tuple[int, int, int], micros: int) -> int | None:
    hour, minute, second = clock
    if hour > 23 or minute > 59 or second > 59 or micros >= SECOND:
        raise unreadable("datetime")
    return None if days is None else days * DAY + ((hour * 60 + minute) * 60 + second) * SECOND + micros


def _sized(cell: bytes, octets: int, kind: str) -> None:
    if len(cell) != octets:
        raise unreadable(kind)


def _matched(pattern: re.Pattern[bytes], cell: bytes, kind: str) -> re.Match[bytes]:
    found = pattern.fullmatch(cell)
    if found is None:
        raise unreadable(kind)
    return found


def _text_fraction(digits: bytes | None) -> int:
    return int(digits.ljust(6, b"0")) if digits else 0


def date_binlog(cell: bytes) -> int | None:
    """Read a date of the binlog as days since 1970."""
    _sized(cell, 3, "date")
    packed = int.from_bytes(cell, "little")
    return _days(packed >> 9, packed >> 5 & 15, packed & 31)


def date_text(cell: bytes) -> int | None:
    """Read a date from text as days since 1970."""
    year, month, day = map(int, _matched(_DATE, cell, "date").groups())
    return _days(year, month, day)


def datetime_binlog(digits: int) -> Micros:
    """Return the reader of datetimes of the binlog."""
    octets = (digits + 1) // 2

    def datetime(cell: bytes) -> int | None:
        _sized(cell, 5 + octets, "datetime")
        packed = int.from_bytes(cell[:5], "big") - (1 << 39)
        if packed < 0:
            raise unreadable("datetime")
        year, month = divmod(packed >> 22, 13)
        micros = int.from_bytes(cell[5:], "big") * _FRACTION[octets]
        days = _days(year, month, packed >> 17 & 31)
        return _micros(days, (packed >> 12 & 31, packed >> 6 & 63, packed & 63), micros)

    return datetime


def datetime_digits(cell: bytes) -> int | None:
    """Read a datetime of the binlog in the old form."""
    _sized(cell, 8, "datetime")
    day, clock = divmod(int.from_bytes(cell, "little"), 1_000_000)
    days = _days(day // 10_000, day // 100 % 100, day % 100)
    return _micros(days, (clock // 10_000, clock // 100 % 100, clock % 100), 0)


def datetime_text(cell: bytes) -> int | None:
    """Read a datetime, or a timestamp in UTC, from text."""
    found = _matched(_DATETIME, cell, "datetime")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    return _micros(_days(year, month, day), (hour, minute, second), _text_fraction(found[7]))


def timestamp_binlog(digits: int) -> Micros:
    """Return the reader of timestamps of the binlog; no second and no fraction is the zero timestamp."""
    octets = (digits + 1) // 2

    def timestamp(cell: bytes) -> int | None:
        _sized(cell, 4 + octets, "timestamp")
        micros = int.from_bytes(cell[4:], "big") * _FRACTION[octets]
        return int.from_bytes(cell[:4], "big") * SECOND + micros or None

    return timestamp


def timestamp_seconds(cell: bytes) -> int | None:
    """Read a timestamp of the binlog in the old form."""
    _sized(cell, 4, "timestamp")
    return int.from_bytes(cell, "little") * SECOND or None


def time_binlog(digits: int) -> Decode:
    """Return the reader of times of the binlog as microseconds, negative ones included."""
    octets = (digits + 1) // 2
    bits = 8 * octets

    def time(cell: bytes) -> Value:
        _sized(cell, 3 + octets, "time")
        packed = int.from_bytes(cell, "big") - (0x800000 << bits)
        whole, fraction = abs(packed) >> bits, abs(packed) & (1 << bits) - 1
        seconds = ((whole >> 12) * 60 + (whole >> 6 & 63)) * 60 + (whole & 63)
        micros = seconds * SECOND + fraction * _FRACTION[octets]
        return -micros if packed < 0 else micros

    return time


def time_digits(cell: bytes) -> Value:
    """Read a time of the binlog in the old form."""
    _sized(cell, 3, "time")
    packed = int.from_bytes(cell, "little", signed=True)
    digits = abs(packed)
    micros = ((digits // 10_000 * 60 + digits // 100 % 100) * 60 + digits % 100) * SECOND
    return -micros if packed < 0 else micros


def time_text(cell: bytes) -> Value:
    """Read a time from text."""
    sign, hour, minute, second, fraction = _matched(_TIME, cell, "time").groups()
    micros = ((int(hour) * 60 + int(minute)) * 60 + int(second)) * SECOND + _text_fraction(fraction)
    return -micros if sign else micros


def days(read: Callable[[bytes], int | None], policy: Policy) -> Decode:
    """Return the decoder of dates."""
    return _decoder(read, policy, lambda day: day)


def millis(read: Micros, policy: Policy) -> Decode:
    """Return the decoder of datetimes as milliseconds since 1970."""
    return _decoder(read, policy, lambda micros: micros // 1000)


def micros(read: Micros, policy: Policy) -> Decode:
    """Return the decoder of datetimes as microseconds since 1970."""
    return _decoder(read, policy, lambda micros: micros)


def zoned(read: Micros, policy: Policy, digits: int) -> Decode:
    """Return the decoder of timestamps as ISO-8601 text in UTC with `digits` digits of the second."""

    def text(micros: int) -> str:
        day, rest = divmod(micros, DAY)
        year, month, day_of_month = civil_from_days(day)
        seconds, fraction = divmod(rest, SECOND)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        point = f".{fraction:06}"[: digits + 1] if digits else ""
        return f"{year:04}-{month:02}-{day_of_month:02}T{clock}{point}Z"

    return _decoder(read, policy, text)


def _decoder(read: Callable[[bytes], int | None], policy: Policy, form: Callable[[int], Value]) -> Decode:
    def decode(cell: bytes) -> Value:
        value = read(cell)
        if value is not None:
            return form(value)
        if policy == "fail":
            raise BadRecord("a date is one that no calendar has, and invalid_dates is fail")
        return form(0) if policy == "epoch" else None

    return decode
