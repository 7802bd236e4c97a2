"""Dates and times: the fixed points of the calendar, and agreement with `datetime` where that reaches."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.codec.calendar import civil_from_days, days_from_civil
from tailrace.errors import BadRecord
from tailrace_postgres.temporal import (
    DAY,
    interval,
    time_micros,
    time_millis,
    time_with_zone,
    timestamp_micros,
    timestamp_millis,
    timestamp_with_zone,
)
from tailrace_postgres.temporal import date as days_of

zoned = timestamp_with_zone(6)
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a timestamp without a zone is what is tested


def fraction(microsecond: int) -> str:
    return f".{microsecond:06}".rstrip("0") if microsecond else ""


@pytest.mark.parametrize(
    ("text", "days"),
    [
        (b"1970-01-01", 0),
        (b"1969-12-31", -1),
        (b"2024-02-29", 19782),
        (b"0001-01-01", -719162),
        (b"0001-12-31 BC", -719163),
        (b"0001-01-01 BC", -719528),
        (b"4713-01-01 BC", -2440550),
        (b"10000-01-01", 2932897),
        (b"5874897-12-31", 2145042905),
        (b"infinity", 2147483647),
        (b"-infinity", -2147483648),
    ],
)
def test_dates(text: bytes, days: int) -> None:
    assert days_of(text) == days
    assert days_of(text) == days  # from the days seen lately


@given(st.dates())
def test_dates_agree_with_datetime(value: date) -> None:
    assert days_of(value.isoformat().encode()) == (value - date(1970, 1, 1)).days


@given(st.integers(-3_000_000, 2_200_000_000))
def test_the_calendar_goes_both_ways(days: int) -> None:
    assert days_from_civil(*civil_from_days(days)) == days


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        (b"00:00:00", 0),
        (b"24:00:00", DAY),
        (b"23:59:59.999999", DAY - 1),
        (b"12:00:00.1", 43_200_100_000),
        (b"12:00:00.000001", 43_200_000_001),
        (b"12:00", 43_200_000_000),
    ],
)
def test_times(text: bytes, micros: int) -> None:
    assert time_micros(text) == micros
    assert time_millis(text) == micros // 1000


@given(st.times())
def test_times_agree_with_datetime(value: time) -> None:
    text = f"{value:%H:%M:%S}{fraction(value.microsecond)}".encode()
    micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    assert time_micros(text) == micros


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        (b"10:00:00+01", "09:00:00Z"),
        (b"12:00:00.1+05:30", "06:30:00.1Z"),
        (b"01:00:00.12+05:30:15", "19:29:45.12Z"),
        (b"23:59:59.999999+15:59", "08:00:59.999999Z"),
        (b"23:59:59.99-15:59", "15:58:59.99Z"),
        (b"00:00:00+00", "00:00:00Z"),
        (b"24:00:00+00", "24:00:00Z"),
        (b"24:00:00+02", "22:00:00Z"),
        (b"24:00:00-02", "02:00:00Z"),
    ],
)
def test_times_with_zone(text: bytes, iso: str) -> None:
    assert time_with_zone(text) == iso


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        (b"1970-01-01 00:00:00", 0),
        (b"1969-12-31 23:59:59.999999", -1),
        (b"0001-01-01 00:00:00 BC", -62_167_219_200_000_000),
        (b"4713-01-01 00:00:00 BC", -210_863_520_000_000_000),
        (b"3269-02-29 12:00:00 BC", -165_290_241_600_000_000),  # a leap year before Christ alone
        (b"10000-01-01 00:00:00.5", 253_402_300_800_500_000),
        (b"294276-12-31 23:59:59.999999", 9_224_318_015_999_999_999),
        (b"infinity", 9_223_372_036_825_200_000),
        (b"-infinity", -9_223_372_036_832_400_000),
    ],
)
def test_timestamps(text: bytes, micros: int) -> None:
    assert timestamp_micros(text) == micros
    assert timestamp_millis(text) == (micros // 1000)


@given(st.datetimes())
def test_timestamps_agree_with_datetime(value: datetime) -> None:
    text = f"{value.year:04}{value:-%m-%d %H:%M:%S}{fraction(value.microsecond)}".encode()
    assert timestamp_micros(text) == (value - EPOCH) // timedelta(microseconds=1)
    assert zoned(text + b"+00") == value.isoformat(timespec="microseconds") + "Z"


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-15 * 60 - 59, 15 * 60 + 59))  # noqa: DTZ001 - the zone is what is added
def test_any_zone_becomes_utc(value: datetime, minutes: int) -> None:
    sign, offset = "-" if minutes < 0 else "+", abs(minutes)
    zone = f"{sign}{offset // 60:02}" + (f":{offset % 60:02}" if offset % 60 else "")
    text = f"{value.year:04}{value:-%m-%d %H:%M:%S}{fraction(value.microsecond)}{zone}".encode()
    utc = (value - timedelta(minutes=minutes)).replace(tzinfo=UTC)
    assert zoned(text) == utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


@pytest.mark.parametrize(
    ("text", "precision", "iso"),
    [
        (b"2024-06-30 12:00:00.12+00", 6, "2024-06-30T12:00:00.120000Z"),
        (b"2024-06-30 12:00:00+00", 6, "2024-06-30T12:00:00.000000Z"),
        (b"2024-06-30 12:00:00.1+00", 3, "2024-06-30T12:00:00.100Z"),
        (b"2024-06-30 12:00:00+00", 0, "2024-06-30T12:00:00Z"),
        (b"2024-06-30 12:00:00.5+05:30", 1, "2024-06-30T06:30:00.5Z"),
        (b"0001-01-01 00:00:00+00", 6, "0001-01-01T00:00:00.000000Z"),
        (b"0001-01-01 00:00:00+00 BC", 6, "0000-01-01T00:00:00.000000Z"),
        (b"4713-01-01 00:00:00+00 BC", 6, "-4712-01-01T00:00:00.000000Z"),
        (b"10000-01-01 00:00:00.5+00", 3, "+10000-01-01T00:00:00.500Z"),
        (b"294276-12-31 23:59:59.999999+00", 6, "+294276-12-31T23:59:59.999999Z"),
        (b"infinity", 6, "infinity"),
        (b"-infinity", 0, "-infinity"),
    ],
)
def test_timestamps_with_zone(text: bytes, precision: int, iso: str) -> None:
    assert timestamp_with_zone(precision)(text) == iso


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        (b"00:00:00", 0),
        (b"1 day", DAY),
        (b"1 mon", 2_629_800_000_000),
        (b"1 year", 31_557_600_000_000),
        (b"-1 years", -31_557_600_000_000),
        (b"1 mon -1 days", 2_543_400_000_000),
        (b"1 year 2 mons 3 days 04:05:06.789", 37_091_106_789_000),
        (b"-00:00:00.000001", -1),
        (b"3 days -04:05:06", 3 * DAY - 14_706_000_000),
        (b"02:55:00", 10_500_000_000),
        (b"178000000 years", 5_617_252_800_000_000_000_000),
        (b"100:00:00", 360_000_000_000),
    ],
)
def test_intervals(text: bytes, micros: int) -> None:
    assert interval(text) == micros


MALFORMED = [
    b"",
    b"x",
    b"2024-13-01",
    b"2024-02-30",
    b"2023-02-29",
    b"2024-1-1",
    b"20240101",
    b"2024-W01-1",
    b"12:60:00",
]
MORE = [
    b"2024-01-01 25:00:00",
    b"2024-01-01 12:00:00.",
    b"2024-01-01 12:00:00.1234567",
    b"2024-01-01x12:00:00",
]


@pytest.mark.parametrize("text", [*MALFORMED, *MORE, b"1e5", b"2024-01-01 12:00:00+00 AD"])
@pytest.mark.parametrize(
    "read", [days_of, time_micros, time_with_zone, timestamp_micros, timestamp_millis, zoned, interval]
)
def test_malformed_texts_are_refused(read: object, text: bytes) -> None:
    assert callable(read)
    with pytest.raises(BadRecord) as refused:
        read(text)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("read", [time_micros, time_with_zone])
def test_no_time_is_later_than_midnight(read: object) -> None:
    assert callable(read)
    with pytest.raises(BadRecord):
        read(b"24:00:01" if read is time_micros else b"24:00:01+00")
