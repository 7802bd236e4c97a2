"""Column types of a MySQL or MariaDB replica, the values that are bound, and which types can be widened into which.

Text compares by its octets (utf8mb4_bin): keys that the source tells apart must not be one here. A key column of text
has 255 characters at most, for an index cannot hold more. Zoned timestamps are DATETIME(6) in UTC, since TIMESTAMP ends
in 2038.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from tailrace.errors import BadRecord
from tailrace_replica.kind import Kind
from tailrace_replica.printed import printer

_TYPES = {
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float32": "float",
    "float64": "double",
    "boolean": "tinyint(1)",
    "date": "date",
    "timestamptz": "datetime(6)",
    "timetz": "varchar(32)",
    "uuid": "char(36)",
}
_WIDER: Mapping[str, set[str]] = {
    "smallint": {"int", "bigint"},
    "int": {"bigint"},
    "float": {"double"},
    "datetime(3)": {"datetime(6)"},
    "time(3)": {"time(6)"},
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_WIDTH = re.compile(r"^(smallint|int|bigint)\(\d+\)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d( .*)?")
_LONGEST_TIME = 839 * 3600


def type_of(kind: Kind, *, key: bool) -> str:
    """Return the type as `information_schema` prints it."""
    match kind.name:
        case "decimal" if 0 < kind.precision <= 65 and kind.scale <= 30:
            return f"decimal({kind.precision},{kind.scale})"
        case "time":
            return f"time({3 if kind.scale == 1_000 else 6})"
        case "timestamp":
            return f"datetime({3 if kind.scale == 1_000 else 6})"
        case "bytes":
            return "varbinary(255)" if key else "longblob"
        case name:
            return _TYPES.get(name, "varchar(255)" if key else "longtext")


def normal(declared: str) -> str:
    """Return a type without the display width that older servers print."""
    return _WIDTH.sub(r"\1", declared)


def widens(old: str, new: str) -> bool:
    """Whether every value of a column of type `old` can be kept, as it is, in one of type `new`."""
    if new in _WIDER.get(old, set()):
        return True
    small, large = _DECIMAL.fullmatch(old), _DECIMAL.fullmatch(new)
    if small and large:
        (digits, scale), (more, finer) = map(int, small.groups()), map(int, large.groups())
        return (digits, scale) != (more, finer) and more - finer >= digits - scale and finer >= scale
    return new == "longtext" and old in {"smallint", "int", "bigint", "char(36)", "varchar(255)"}


def binder_of(kind: Kind) -> Callable[..., object]:
    """Return what makes a value to bind; it raises `BadRecord` for what the column's type does not hold exactly."""
    text = printer(kind)
    match kind.name:
        case "int16" | "int32" | "int64" | "bytes" | "boolean":
            bind: Callable[..., object] = _as_it_is
        case "float32" | "float64":
            bind = _finite(text)
        case "decimal" if type_of(kind, key=False) != "longtext":
            bind = _number
        case "date" | "timestamp":
            bind = _within_calendar(text)
        case "timestamptz":
            bind = _within_calendar(lambda value: text(value).replace("T", " ").replace("Z", ""))
        case "time":
            bind = _time(kind)
        case _:
            bind = text
    return bind


def _as_it_is(value: object) -> object:
    return value


def _finite(text: Callable[..., str]) -> Callable[[float], object]:
    def bind(value: float) -> object:
        if not math.isfinite(value):
            raise BadRecord("float is not finite, and MySQL has no such numbers")
        return text(value)

    return bind


def _number(value: object) -> object:
    text = f"{value:f}"
    if not text[-1].isdigit():
        raise BadRecord("decimal is not finite, and MySQL has no such numbers")
    return text


def _within_calendar(text: Callable[..., str]) -> Callable[..., object]:
    def bind(value: object) -> object:
        printed = text(value)
        if not _DATE.fullmatch(printed) or printed.endswith(" BC") or printed < "0001":
            raise BadRecord("date is not between the years 1 and 9999, and MySQL has no others")
        return printed

    return bind


def _time(kind: Kind) -> Callable[[int], object]:
    text = printer(kind)

    def bind(value: int) -> object:
        if abs(value) >= _LONGEST_TIME * kind.scale:
            raise BadRecord("time is longer than the 838 hours that MySQL has")
        return text(value)

    return bind
