"""Column types of a Postgres replica, the text that COPY reads, and which types can be widened into which."""

from __future__ import annotations

import re
from collections.abc import Callable

from tailrace.errors import BadRecord
from tailrace_replica.kind import Kind
from tailrace_replica.printed import array_literal, printer

_NAMES = {
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "float32": "real",
    "float64": "double precision",
    "boolean": "boolean",
    "text": "text",
    "bytes": "bytea",
    "number": "numeric",
    "date": "date",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
    "uuid": "uuid",
    "json": "json",
    "document": "json",
}
_WIDER = {
    "smallint": {"integer", "bigint", "numeric"},
    "integer": {"bigint", "numeric"},
    "bigint": {"numeric"},
    "real": {"double precision"},
}
_TEXT_OF = {"smallint", "integer", "bigint", "numeric", "uuid", "json", "date", "boolean"}
"""Types whose text, once they became one, is what the source's own would be."""
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def type_of(kind: Kind) -> str:
    """Return the type as `format_type` prints it."""
    match kind.name:
        case "decimal":
            return f"numeric({kind.precision},{kind.scale})" if 0 < kind.precision <= 1000 else "numeric"
        case "time" | "timestamp":
            digits = "(3)" if kind.scale == 1_000 else ""
            return f"{kind.name}{digits} without time zone"
        case "array":
            return f"{type_of(kind.item or Kind('text'))}[]"
        case name:
            return _NAMES[name]


def text_of(kind: Kind) -> Callable[..., str]:
    """Return what prints the values of a kind as Postgres reads them; it raises `BadRecord` where there is no form."""
    if kind.name == "array":
        return array_literal(text_of(kind.item or Kind("text")))
    if kind.name == "bytes":
        return lambda value: f"\\x{value.hex()}"
    # Of a 32-bit float the digits of the double that it equals: it reads back as the same one.
    plain = printer(Kind("float64") if kind.name == "float32" else kind)
    if kind.name == "time":
        return lambda value: _time(value, kind.scale, plain)
    if kind.name in {"text", "json", "document"}:
        return lambda value: _text(plain(value))
    return plain


def _time(value: int, unit: int, plain: Callable[..., str]) -> str:
    if not 0 <= value <= 86_400 * unit:
        raise BadRecord("time is not of a day, and Postgres has no other", hint="a MySQL TIME may be longer than a day")
    return plain(value)


def _text(text: str) -> str:
    if "\0" in text:
        raise BadRecord("text has a zero character, which Postgres does not take")
    return text


def escaped(text: str) -> str:
    """Return text as COPY's text format has it."""
    if "\\" in text or "\n" in text or "\t" in text or "\r" in text:
        return text.translate(_ESCAPES)
    return text


def widens(old: str, new: str) -> bool:
    """Whether every value of a column of type `old` can be kept, as it is, in one of type `new`."""
    if new in _WIDER.get(old, set()) or (new == "text" and (old in _TEXT_OF or old.startswith("character"))):
        return True
    numbers, wider = _NUMERIC.fullmatch(old), _NUMERIC.fullmatch(new)
    if numbers and new == "numeric":
        return True
    if numbers and wider:
        (digits, scale), (more, finer) = map(int, numbers.groups()), map(int, wider.groups())
        return more - finer >= digits - scale and finer >= scale
    plain, finer_clock = old.replace("(3)", ""), new
    return old != new and plain == finer_clock and old.startswith("time")
