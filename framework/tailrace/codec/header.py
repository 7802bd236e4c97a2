r"""Header values as Kafka Connect's SimpleHeaderConverter writes them: text that is nearly, but not quite, JSON.

    struct   => {"id":1,"name":"a"}     the fields in order
    string   => "a"                     only `"` and `\` escaped; at the top level as it is, without quotes
    bytes    => base64, quoted within a struct
    decimal  => Java's BigDecimal.toString
    float    => Java's Double.toString and Float.toString: 1.0E10, NaN

Source: `org.apache.kafka.connect.data.Values.convertToString`.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Sequence
from decimal import Decimal

from tailrace.codec.avro_schema import items_of, shortest_float32
from tailrace.codec.decimals import variable_scale
from tailrace.schema import VARIABLE_SCALE_DECIMAL, Schema

UNAVAILABLE_COLUMNS = "__tailrace.unavailable"
"""Names, as a JSON list, the fields whose value the database did not send: the placeholder in band is no data."""
DEFAULTED_COLUMNS = "__tailrace.defaulted"
"""Names, as a JSON list, required fields that held null: what stands in `after` is the field's fallback."""
SPECIAL_COLUMNS = "__tailrace.special"
"""Names, as a JSON list, fields whose value could not be told as it is.

A decimal that is NaN or infinite, whose bytes some readers take for a zero; a date that no calendar has, told as null.
"""
OLD_KEY = "__debezium.oldkey"
NEW_KEY = "__debezium.newkey"


def names_header(header: str, names: Sequence[str]) -> tuple[str, bytes]:
    """Return a header that lists field names, each of them once."""
    return header, json.dumps(list(dict.fromkeys(names)), ensure_ascii=False, separators=(",", ":")).encode()


def struct_text(schema: Schema, values: Sequence[object]) -> str:
    """Return the text of a struct whose fields have `values`, in order."""
    parts = [
        f"{_quoted(field.name)}:{_text(field.schema, value)}"
        for field, value in zip(schema.fields, values, strict=True)
    ]
    return "{" + ",".join(parts) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(schema: Schema, value: object) -> str:
    match value:
        case None:
            text = "null"
        case bool():
            text = "true" if value else "false"
        case str():
            text = _quoted(value)
        case bytes():
            text = _quoted(b64encode(value).decode("ascii"))
        case Decimal():
            text = _decimal_text(schema, value)
        case float():
            text = java_float(value, single=schema.type == "float32")
        case list():
            text = "[" + ",".join([_text(items_of(schema), item) for item in value]) + "]"
        case dict():
            text = _dict_text(schema, value)
        case _:
            text = str(value)
    return text


def _decimal_text(schema: Schema, value: Decimal) -> str:
    if schema.name != VARIABLE_SCALE_DECIMAL:
        return str(value)
    scale, unscaled = variable_scale(value)
    octets = _quoted(b64encode(unscaled).decode("ascii"))
    parts = {"scale": str(scale), "value": octets}
    return "{" + ",".join([f'"{field.name}":{parts[field.name]}' for field in schema.fields]) + "}"


def _dict_text(schema: Schema, value: dict[str, object]) -> str:
    if schema.type == "struct":
        return struct_text(schema, [value.get(field.name) for field in schema.fields])
    items = items_of(schema)
    return "{" + ",".join([f"{_quoted(key)}:{_text(items, item)}" for key, item in value.items()]) + "}"


def java_float(value: float, *, single: bool) -> str:
    """Return `value` as Java prints a double, or a float where `single`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    digits_and_exponent = repr(shortest_float32(value) if single else value)
    sign = "-" if digits_and_exponent.startswith("-") else ""
    number = Decimal(digits_and_exponent)
    if number == 0:
        return f"{sign}0.0"
    if Decimal("1e-3") <= abs(number) < Decimal("1e7"):
        text = f"{number:f}"
        return text if "." in text else f"{text}.0"
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{number.adjusted()}"
