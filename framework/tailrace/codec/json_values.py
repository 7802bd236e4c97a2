"""Reads the payload of Connect's JSON by the schema that stands beside it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, cast

from tailrace.codec.decimals import decimal_of, variable_decimal_of
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL

_Schema = Mapping[str, Any]


def payload_value(schema: object, payload: object) -> object:
    """Return the value of `payload`; raises ValueError, TypeError or LookupError where it does not fit `schema`."""
    if payload is None or schema is None:
        return payload
    return _value(cast("_Schema", schema), payload)


def _value(schema: _Schema, payload: Any) -> object:
    match schema["type"]:
        case "struct" if schema.get("name") == VARIABLE_SCALE_DECIMAL:
            value: object = variable_decimal_of(payload["scale"], b64decode(payload["value"], validate=True))
        case "struct":
            value = {
                member["field"]: payload_value(member, payload.get(member["field"])) for member in schema["fields"]
            }
        case "array":
            value = [payload_value(schema["items"], item) for item in payload]
        case "map":
            value = {key: payload_value(schema["values"], item) for key, item in payload.items()}
        case "bytes" if schema.get("name") == DECIMAL:
            value = decimal_of(b64decode(payload, validate=True), int(schema["parameters"]["scale"]))
        case "bytes":
            value = b64decode(payload, validate=True)
        case "float" | "double":
            value = float(payload)
        case _:
            value = payload
    return value
