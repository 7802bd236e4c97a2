"""Column defaults as Debezium puts them into schemas.

A default is an SQL expression. Debezium does not evaluate it: it takes the first quoted literal, or else the whole
expression, as the value; a call of a function or a current date or time gives the type's zero; what then cannot be
read as a value of the type gives no default. So do we, to the letter, because schemas have to be equal. Source: what
Debezium 3.6 registers, checked by tests/databases; its `PostgresDefaultValueConverter` has the rules.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from decimal import Decimal

from tailrace.errors import BadRecord
from tailrace.schema import DECIMAL, MISSING, Missing, Schema, Value
from tailrace_postgres.numeric import Decode

_LITERAL = re.compile(r"'([^']*(?:''[^']*)*)'")
_CALL = re.compile(r"^[(]?[A-Za-z0-9_.]+\((?:.+(?:, ?.+)*)?\)")
_CURRENT = frozenset({"current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"})

_GENERATED: Mapping[str, str] = {
    "bit": "0",
    "varbit": "0",
    "bool": "f",
    "bpchar": "",
    "varchar": "",
    "text": "",
    "numeric": "0",
    "float4": "0",
    "float8": "0",
    "int2": "0",
    "int4": "0",
    "int8": "0",
    "json": "{}",
    "jsonb": "{}",
    "xml": "",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "date": "1970-01-01",
    "time": "00:00:00",
    "timestamp": "1970-01-01 00:00:00",
    "timestamptz": "1970-01-01 00:00:00+00",
    "interval": "00:00:00",
}
"""The types that have defaults at all, and the wire text that stands for one made by a function."""

_BOOLEANS = {"true": "t", "false": "f"}

_SINGLE = struct.Struct("<f")
"""Avro schemas print a default of 32 bits as the double that it equals."""


def column_default(type_name: str, expression: str, schema: Schema, decode: Decode) -> Value | Missing:
    """Return the default of a column of a built-in type; `MISSING` where Debezium has none either."""
    if type_name not in _GENERATED or schema.type == "struct":
        return MISSING
    expression = expression.strip()
    if _CALL.match(expression) or expression.lower() in _CURRENT:
        text: str | None = _GENERATED[type_name]
    else:
        text = _literal(expression)
        if type_name == "bool" and text is not None:
            text = _BOOLEANS.get(text.lower(), "f")
    if text is None:
        return MISSING
    try:
        value = decode(text.encode())
    except BadRecord:
        return MISSING
    return _checked(value, schema)


def enum_default(expression: str) -> Value | Missing:
    """Return the default of an enum column: the text before the cast, its doubled quotes left as they are."""
    quoted, cast, _ = expression.rpartition("::")
    if cast and len(quoted) >= 2 and quoted[0] == quoted[-1] == "'":
        return quoted[1:-1]
    return MISSING


def _literal(expression: str) -> str | None:
    found = _LITERAL.search(expression)
    if found is not None:
        return found[1].replace("''", "'")
    return None if expression.startswith("NULL::") else expression


def _checked(value: Value, schema: Schema) -> Value | Missing:
    if schema.name == "io.debezium.time.ZonedTimestamp" and value in {"infinity", "-infinity"}:
        return MISSING
    if schema.type == "float32" and isinstance(value, float):
        return _SINGLE.unpack(_SINGLE.pack(value))[0]  # type: ignore[no-any-return]  # a float
    if schema.name != DECIMAL or not isinstance(value, Decimal):
        return value
    if not value.is_finite():
        return MISSING
    return _at_scale(value, int(schema.parameters["scale"]))


def _at_scale(value: Decimal, scale: int) -> Decimal | Missing:
    """Give `value` the digits of its column, unless that would lose some."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    shift = exponent + scale
    if shift >= 0:
        return Decimal((sign, digits + (0,) * shift, -scale)) if any(digits) else Decimal((sign, (0,), -scale))
    if any(digits[shift:]):
        return MISSING
    return Decimal((sign, digits[:shift] or (0,), -scale))
