"""Defaults of columns as Debezium puts them into schemas.

A default is known from declarations only, as the catalogue has it: a literal's text, `b'101'`, or
`CURRENT_TIMESTAMP`, which stands as the type's zero; other expressions have none. Source: what Debezium 3.6
registers, checked by tests/databases.
"""

from __future__ import annotations

import re

from tailrace.errors import BadRecord
from tailrace.schema import MISSING, Missing, Schema, Value
from tailrace_mysql import columntype as kinds
from tailrace_mysql.form import Form
from tailrace_mysql.shape import ColumnShape

_NOW = "CURRENT_TIMESTAMP"
_BITS = re.compile(r"b'([01]*)'")
_HEXADECIMAL = re.compile(r"0x([0-9a-fA-F]*)")
_ZONED = "io.debezium.time.ZonedTimestamp"


def default_of(column: ColumnShape, form: Form) -> Value | Missing:
    """Return the default of a column; `MISSING` where it has none, or one that Debezium does not tell either."""
    text = column.default
    if text is None or column.generated or form.schema.type in {"struct", "array"}:
        return MISSING
    if text.upper().startswith(_NOW):
        return _zero(form.schema)
    try:
        value = _literal(column, form, text)
    except (BadRecord, ValueError, OverflowError):
        return MISSING
    return MISSING if value is None else value


def _zero(schema: Schema) -> Value | Missing:
    if schema.name == _ZONED:
        return "1970-01-01T00:00:00Z"
    return 0 if schema.type in {"int32", "int64"} else MISSING


def _literal(column: ColumnShape, form: Form, text: str) -> Value:
    bits, hexadecimal = _BITS.fullmatch(text), _HEXADECIMAL.fullmatch(text)
    if bits or hexadecimal:
        number = int(bits[1] or "0", 2) if bits else int(hexadecimal[1] or "0", 16) if hexadecimal else 0
        if column.kind == kinds.BIT:
            return form.from_text(number.to_bytes((column.meta + 7) // 8, "big"))
        octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    else:
        octets = text.encode()
    if form.schema.type == "string" and form.schema.name != _ZONED:
        return text
    if form.schema.type == "bytes" and column.kind == kinds.STRING:
        return octets.ljust(column.meta, b"\0")
    return form.from_text(octets)
