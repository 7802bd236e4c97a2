"""Postgres' dates, times and intervals, from the text of the wire to Debezium's integers and ISO-8601 texts.

    date          => YYYY-MM-DD [ BC] | [-]infinity                years have four digits or more, BC counts from 1
    time          => HH:MM:SS[.ffffff]                             24:00:00 is a time of its own
    timetz        => time ±HH[:MM[:SS]]
    timestamp     => date time [ BC] | [-]infinity
    timestamptz   => date time ±HH[:MM[:SS]] [ BC] | [-]infinity   +00, the connection's time zone being UTC
    interval      => [±n years] [±n mons] [±n days] [±HH:MM:SS[.ffffff]]

All in integer arithmetic on the proleptic Gregorian calendar, because `datetime` ends at the years 1 and 9999. The
usual shapes take a short way (`DateStyle = ISO`, a year of four digits): days and minutes are looked up by their bytes.
Source: Postgres manual, 8.5 (date/time types); Debezium's `Date`, `MicroTime`, `MicroTimestamp`, `ZonedTimestamp`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tailrace.codec.calendar import civil_from_days, days_from_civil
from tailrace.errors import BadRecord
from tailrace.schema import Value
from tailrace_postgres.numeric import Decode, unreadable

SECOND = 1_000_000
DAY = 86_400 * SECOND
MONTH = 2_629_800 * SECOND
"""Debezium's average month: 365.25 / 12 days."""

INFINITY_MICROS = 9_223_372_036_825_200_000
NEGATIVE_INFINITY_MICROS = -9_223_372_036_832_400_000
"""What pgjdbc, and so Debezium, has for a timestamp's infinities."""

INFINITY_DAYS = 2**31 - 1
NEGATIVE_INFINITY_DAYS = -(2**31)
"""The ends of a date's 32 bits. Debezium's own values wrapped round, and differ between snapshot and stream."""

_CIVIL = re.compile(
    rb"(?P<year>\d{4,7})-(?P<month>\d\d)-(?P<day>\d\d)"
    rb"(?: (?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?)?"
    rb"(?P<zone>[+-]\d\d(?::\d\d(?::\d\d)?)?)?(?P<bc> BC)?"
)
_CLOCK = re.compile(
    rb"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?(?P<zone>[+-]\d\d(?::\d\d(?::\d\d)?)?)?"
)
_INTERVAL = re.compile(
    rb"(?:(?P<years>[+-]?\d+) years? ?)?(?:(?P<months>[+-]?\d+) mons? ?)?(?:(?P<days>[+-]?\d+) days? ?)?"
    rb"(?:(?P<sign>[+-]?)(?P<hour>\d+):(?P<minute>[0-5]\d):(?P<second>[0-5]\d)(?:\.(?P<fraction>\d{1,6}))?)?"
)

_MINUTES = {
    b"%02d:%02d" % (hour, minute): (hour * 60 + minute) * 60 * SECOND for hour in range(24) for minute in range(60)
}
_SECONDS = {b":%02d" % second: second * SECOND for second in range(60)}
_FRACTION = [0, 100_000, 10_000, 1_000, 100, 10, 1]
_DAYS_KEPT = 8192
"""Dates seen lately; a day costs 150 bytes, and a table rarely spans more than two decades."""


class Moment(NamedTuple):
    """A point in time without a zone, and how far east of UTC its zone is."""

    micros: int
    offset: int


class _Days(dict[bytes, int]):
    """The days since 1970 of the dates met lately, by their ten bytes; refuses what is not such a date."""

    def __missing__(self, text: bytes) -> int:
        found = _CIVIL.fullmatch(text)
        if found is None or found["hour"] or found["zone"] or found["bc"] or len(text) != 10:
            raise KeyError(text)
        try:
            days = _days(found, "date")
        except BadRecord:  # 29 February of a leap year BC, say: the text may go on
            raise KeyError(text) from None
        if len(self) >= _DAYS_KEPT:
            self.clear()
        self[text] = days
        return days


_days_of = _Days()


def date(cell: bytes) -> Value:
    """Read a date as days since 1970-01-01."""
    try:
        return _days_of[cell]
    except KeyError:
        pass
    if cell in _DATE_SPECIALS:
        return _DATE_SPECIALS[cell]
    found = _CIVIL.fullmatch(cell)
    if found is None or found["hour"] or found["zone"]:
        raise unreadable("date")
    return _days(found, "date")


_DATE_SPECIALS = {b"infinity": INFINITY_DAYS, b"-infinity": NEGATIVE_INFINITY_DAYS}


def time_micros(cell: bytes) -> int:
    """Read a time of day as microseconds since midnight."""
    try:
        micros = _MINUTES[cell[:5]] + _SECONDS[cell[5:8]]
        if len(cell) == 8:
            return micros
        if cell[8] == 46 and cell[9:].isdigit():
            return micros + int(cell[9:]) * _FRACTION[len(cell) - 9]
    except (KeyError, IndexError):
        pass
    found = _CLOCK.fullmatch(cell)
    if found is None or found["zone"]:
        raise unreadable("time")
    return _clock(found, "time")


def time_millis(cell: bytes) -> Value:
    """Read a time of day as milliseconds since midnight."""
    return time_micros(cell) // 1000


def time_with_zone(cell: bytes) -> Value:
    """Read a time with a zone as ISO-8601 text in UTC: seconds always, the fraction without zeros at its end."""
    found = _CLOCK.fullmatch(cell)
    if found is None or found["zone"] is None:
        raise unreadable("timetz")
    return iso_time(_clock(found, "timetz"), _offset(found["zone"]))


def iso_time(micros: int, offset: int) -> str:
    """Return a time of day, `offset` microseconds east of UTC, as ISO-8601 text in UTC."""
    if micros == DAY and not offset:
        return "24:00:00Z"
    seconds, fraction = divmod((micros - offset) % DAY, SECOND)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:06}".rstrip("0") + "Z" if fraction else text + "Z"


def timestamp_micros(cell: bytes) -> int:
    """Read a timestamp as microseconds since 1970-01-01 00:00:00."""
    try:
        micros = _days_of[cell[:10]] * DAY + _MINUTES[cell[11:16]] + _SECONDS[cell[16:19]]
        if cell[10] == 32:
            if len(cell) == 19:
                return micros
            if cell[19] == 46 and cell[20:].isdigit():
                return micros + int(cell[20:]) * _FRACTION[len(cell) - 20]
    except (KeyError, IndexError):
        pass
    if cell in _TIMESTAMP_SPECIALS:
        return _TIMESTAMP_SPECIALS[cell]
    found = _CIVIL.fullmatch(cell)
    if found is None or found["hour"] is None or found["zone"]:
        raise unreadable("timestamp")
    return _days(found, "timestamp") * DAY + _clock(found, "timestamp")


_TIMESTAMP_SPECIALS = {b"infinity": INFINITY_MICROS, b"-infinity": NEGATIVE_INFINITY_MICROS}


def timestamp_millis(cell: bytes) -> Value:
    """Read a timestamp as milliseconds since 1970-01-01 00:00:00."""
    return timestamp_micros(cell) // 1000 if cell not in _TIMESTAMP_SPECIALS else _MILLI_SPECIALS[cell]


_MILLI_SPECIALS = {b"infinity": INFINITY_MICROS // 1000, b"-infinity": NEGATIVE_INFINITY_MICROS // 1000}


def timestamp_with_zone(precision: int) -> Decode:
    """Return what reads a timestamptz of `precision` digits as ISO-8601 text in UTC, its fraction padded to them."""

    def decode(cell: bytes) -> Value:
        try:
            if cell[-3:] == b"+00" and cell[10] == 32:
                _days_of[cell[:10]] + _MINUTES[cell[11:16]] + _SECONDS[cell[16:19]]
                fraction = cell[19:-3]
                if not fraction or (fraction[0] == 46 and fraction[1:].isdigit() and len(fraction) - 1 <= precision):
                    text = cell.decode("ascii")
                    return f"{text[:10]}T{text[11:19]}{_fraction(text[20:-3], precision)}Z"
        except (KeyError, IndexError):
            pass
        return _zoned(cell, precision)

    return decode


def interval(cell: bytes) -> Value:
    """Read an interval as microseconds, a month being 365.25 / 12 days."""
    found = _INTERVAL.fullmatch(cell)
    if not cell or found is None:
        raise unreadable("interval")
    months = int(found["years"] or 0) * 12 + int(found["months"] or 0)
    clock = 0
    if found["hour"] is not None:
        clock = (int(found["hour"]) * 3600 + int(found["minute"]) * 60 + int(found["second"])) * SECOND
        clock += _fraction_micros(found)
    return months * MONTH + int(found["days"] or 0) * DAY + (-clock if found["sign"] == b"-" else clock)


def _zoned(cell: bytes, precision: int) -> str:
    if cell in _TIMESTAMP_SPECIALS:
        return cell.decode("ascii")
    found = _CIVIL.fullmatch(cell)
    if found is None or found["hour"] is None or found["zone"] is None:
        raise unreadable("timestamptz")
    micros = _days(found, "timestamptz") * DAY + _clock(found, "timestamptz") - _offset(found["zone"])
    return iso_text(micros, precision)


def iso_text(micros: int, precision: int) -> str:
    """Return a moment, in microseconds since 1970, as ISO-8601 text in UTC with `precision` digits of the second."""
    days, clock = divmod(micros, DAY)
    year, month, day = civil_from_days(days)
    seconds, fraction = divmod(clock, SECOND)
    return (
        f"{_iso_year(year)}-{month:02}-{day:02}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        f"{_fraction(f'{fraction:06}', precision)}Z"
    )


def _iso_year(year: int) -> str:
    """Four digits; more of them with a sign, as ISO-8601 and Java want it."""
    if 0 <= year <= 9999:
        return f"{year:04}"
    return f"+{year}" if year > 0 else f"-{-year:04}"


def _fraction(digits: str, precision: int) -> str:
    return f".{digits:0<6}"[: precision + 1] if precision else ""


def _days(found: re.Match[bytes], type_name: str) -> int:
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if found["bc"]:
        year = 1 - year
    days = days_from_civil(year, month, day)
    if not 1 <= month <= 12 or civil_from_days(days) != (year, month, day):
        raise unreadable(type_name)
    return days


def _clock(found: re.Match[bytes], type_name: str) -> int:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    micros = (hour * 3600 + minute * 60 + second) * SECOND + _fraction_micros(found)
    if minute > 59 or second > 59 or micros > DAY:
        raise unreadable(type_name)
    return micros


def _fraction_micros(found: re.Match[bytes]) -> int:
    digits = found["fraction"]
    return int(digits) * _FRACTION[len(digits)] if digits else 0


def _offset(zone: bytes) -> int:
    parts = zone[1:].split(b":")
    seconds = sum(int(part) * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    return (-seconds if zone[:1] == b"-" else seconds) * SECOND
