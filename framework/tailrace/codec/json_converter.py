"""Values and schemas in the JSON of Kafka Connect's JsonConverter.

    bytes                 => base64
    Decimal               => base64 of its unscaled bytes
    VariableScaleDecimal  => {"scale": …, "value": base64}
    NaN, ±Infinity        => "NaN", "Infinity", "-Infinity"
    map, struct           => object
    with schemas          => {"schema": …, "payload": …}

Nulls stay null, also where the schema has a default (JsonConverter would put the default there: a value that the
database does not hold). Source: `org.apache.kafka.connect.json.JsonConverter`.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from tailrace.codec.avro_schema import decimal_scale, items_of, no_default, shortest_float32
from tailrace.codec.decimals import unscaled_bytes, variable_scale
from tailrace.errors import BadRecord
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Schema

ToJson: TypeAlias = Callable[..., object]
"""From one value to what `json.dumps` takes."""

_TYPE_NAMES = {"float32": "float", "float64": "double"}
_INTEGER_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


def dump(value: object) -> bytes:
    """Return compact JSON text in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def json_schema(schema: Schema) -> dict[str, object]:
    """Return the schema as JsonConverter writes it beside a payload."""
    node: dict[str, object] = {"type": _TYPE_NAMES.get(schema.type, schema.type)}
    if schema.type == "struct":
        node["fields"] = [json_schema(field.schema) | {"field": field.name} for field in schema.fields]
    elif schema.type == "array":
        node["items"] = json_schema(items_of(schema))
    elif schema.type == "map":
        node |= {"keys": {"type": "string", "optional": False}, "values": json_schema(items_of(schema))}
    node["optional"] = schema.optional
    if schema.name is not None:
        node["name"] = schema.name
    if schema.version is not None:
        node["version"] = schema.version
    if schema.doc is not None:
        node["doc"] = schema.doc
    if schema.parameters:
        node["parameters"] = dict(schema.parameters)
    if not no_default(schema):
        node["default"] = json_writer(schema)(schema.default)
    return node


def json_writer(schema: Schema) -> ToJson:
    """Return the function that turns values of `schema` into JSON, null among them where it is optional."""
    convert = _plain(schema)

    def optional(value: object) -> object:
        return None if value is None else convert(value)

    return optional if schema.optional else convert


def _plain(schema: Schema) -> ToJson:
    if schema.name == DECIMAL and schema.type == "bytes":
        scale = decimal_scale(schema)
        return lambda value: _base64(unscaled_bytes(value, scale))
    if schema.name == VARIABLE_SCALE_DECIMAL and schema.type == "struct":
        return _variable_decimal
    if schema.type in _INTEGER_BITS:
        return _integer(_INTEGER_BITS[schema.type])
    if schema.type in _SIMPLE:
        return _SIMPLE[schema.type]
    return _container(schema)


def _container(schema: Schema) -> ToJson:
    if schema.type == "array":
        item = json_writer(items_of(schema))
        return lambda value: [item(element) for element in value]
    if schema.type == "map":
        item = json_writer(items_of(schema))
        return lambda value: {key: item(element) for key, element in value.items()}
    fields = [(field.name, json_writer(field.schema)) for field in schema.fields]
    return lambda value: {name: convert(value.get(name)) for name, convert in fields}


def _integer(bits: int) -> ToJson:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def convert(value: int) -> int:
        if not low <= value <= high:
            raise BadRecord(f"integer does not fit int{bits}")
        return int(value)

    return convert


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _single(value: float) -> float | str:
    return shortest_float32(value) if math.isfinite(value) else _float(value)


def _text(value: str) -> str:
    value.encode()  # lone surrogates are no Unicode, and json.dumps would not notice
    return value


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _boolean(value: bool) -> bool:  # noqa: FBT001 - it is the value itself
    if not isinstance(value, int):
        raise BadRecord("value is not a boolean")
    return bool(value)


def _variable_decimal(value: Decimal) -> dict[str, object]:
    scale, unscaled = variable_scale(value)
    return {"scale": scale, "value": _base64(unscaled)}


_SIMPLE: dict[str, ToJson] = {
    "float32": _single,
    "float64": _float,
    "boolean": _boolean,
    "string": _text,
    "bytes": _base64,
}
