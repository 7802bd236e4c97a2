"""Values as text, exactly: what SQL databases read, and what a text column keeps where there is no type for it.

date         YYYY-MM-DD[ BC], infinity, -infinity     timestamp likewise, with HH:MM:SS[.ffffff]
timestamptz  YYYY-MM-DDTHH:MM:SS[.ffffff]Z[ BC]
decimal      all its digits, NaN, Infinity, -Infinity
float        the shortest digits that tell it, NaN, Infinity, -Infinity
array, document   JSON, for where there are no such types
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias, cast

from tailrace.codec.avro_schema import shortest_float32
from tailrace.codec.calendar import civil_from_days
from tailrace.codec.decoder import plain
from tailrace.errors import BadRecord
from tailrace_replica.kind import Kind, KindName

Print: TypeAlias = Callable[..., str]

_DAY = 86_400
_INFINITE_DAYS = {2**31 - 1: "infinity", -(2**31): "-infinity"}
_INFINITE_MICROS = {9_223_372_036_825_200_000: "infinity", -9_223_372_036_832_400_000: "-infinity"}
_INFINITE_MILLIS = {9_223_372_036_825_200: "infinity", -9_223_372_036_832_400: "-infinity"}
_LONG_YEAR = re.compile(r"([+-])(\d{4,})(-.*)")


def printer(kind: Kind) -> Print:
    """Return what prints the values of a kind, null excepted."""
    if kind.name in {"time", "timestamp"}:
        return _clock_printer(kind)
    return _PRINTERS[kind.name]


def _integer(value: int) -> str:
    return str(int(value))


def _boolean(value: object) -> str:
    return "true" if value else "false"


def _float(value: float) -> str:
    return repr(value) if math.isfinite(value) else _special(value)


def _single(value: float) -> str:
    return repr(shortest_float32(value)) if math.isfinite(value) else _special(value)


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal) -> str:
    return f"{value:f}" if value.is_finite() else _special(float(value))


def date_text(days: int) -> str:
    """Return a date by its days since 1970-01-01."""
    if days in _INFINITE_DAYS:
        return _INFINITE_DAYS[days]
    year, month, day = civil_from_days(days)
    return f"{year:04d}-{month:02d}-{day:02d}" if year > 0 else f"{1 - year:04d}-{month:02d}-{day:02d} BC"


def _clock_printer(kind: Kind) -> Print:
    unit, digits = kind.scale, 3 if kind.scale == 1_000 else 6
    infinite = _INFINITE_MILLIS if kind.scale == 1_000 else _INFINITE_MICROS

    def clock(rest: int) -> str:
        seconds, fraction = divmod(rest, unit)
        text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        return f"{text}.{fraction:0{digits}d}" if fraction else text

    def time(value: int) -> str:
        return clock(value) if value >= 0 else f"-{clock(-value)}"

    def timestamp(value: int) -> str:
        if value in infinite:
            return infinite[value]
        days, rest = divmod(value, _DAY * unit)
        date, era, _ = date_text(days).partition(" BC")
        return f"{date} {clock(rest)}{era}"

    return time if kind.name == "time" else timestamp


def zoned(value: str) -> str:
    """Return a zoned timestamp with its era where its year has not just four digits: `-4712-…` is `4713-… BC`."""
    found = _LONG_YEAR.fullmatch(value)
    if found is None:
        return value
    sign, year, rest = found.groups()
    return f"{year}{rest}" if sign == "+" else f"{int(year) + 1:04d}{rest} BC"


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise BadRecord("value is no text")
    return value


def _hexadecimal(value: bytes) -> str:
    return value.hex()


def document(value: object) -> str:
    """Return JSON: octets as base64, decimals and what is not finite as texts."""
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


_PRINTERS: dict[KindName, Print] = {
    "int16": _integer,
    "int32": _integer,
    "int64": _integer,
    "float32": _single,
    "float64": _float,
    "boolean": _boolean,
    "text": _text,
    "bytes": _hexadecimal,
    "decimal": _decimal,
    "number": _decimal,
    "date": date_text,
    "timestamptz": zoned,
    "timetz": _text,
    "uuid": _text,
    "json": _text,
    "document": document,
    "array": document,
}


def array_literal(item: Print) -> Print:
    """Return what prints an array as Postgres reads it: `{"a",NULL}`."""

    def literal(values: object) -> str:
        parts = ["NULL" if each is None else _quoted(item(each)) for each in cast("list[object]", values)]
        return "{" + ",".join(parts) + "}"

    return literal


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
