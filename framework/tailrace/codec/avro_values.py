"""What is left to do after fastavro has read a value: decimals, exactly.

Logical types are taken out of the schema before reading, since fastavro rounds a decimal to its declared precision and
turns dates into `datetime`s, which end at the year 9999; then the decimals are put back here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from tailrace.codec.decimals import decimal_of, variable_decimal_of
from tailrace.codec.registry import AvroSchema
from tailrace.schema import VARIABLE_SCALE_DECIMAL

FromAvro: TypeAlias = Callable[..., object]
"""From what fastavro read to the value."""

_Names: TypeAlias = "dict[str, FromAvro | None]"


def for_reading(schema: AvroSchema) -> str | list[object] | dict[str, object]:
    """Return the schema without `logicalType`s, so that its values are read as they lie in the bytes.

    Without defaults too: reading does not need them, and fastavro refuses the "Infinity" that AvroData writes.
    """
    if isinstance(schema, str):
        return schema
    if not isinstance(schema, Mapping):
        return [for_reading(cast("AvroSchema", branch)) for branch in schema]
    node = {key: value for key, value in schema.items() if key not in {"logicalType", "default"}}
    for key in ("items", "values", "type"):
        if key in schema:
            node[key] = for_reading(cast("AvroSchema", node[key]))
    if "fields" in node:
        fields = cast("list[AvroSchema]", node["fields"])
        node["fields"] = [for_reading(each) for each in fields]
    return node


def from_avro(schema: AvroSchema) -> FromAvro | None:
    """Return what turns values of `schema` as fastavro reads them into values; None where there is nothing to do."""
    return _converter(schema, "", {})


def _converter(schema: AvroSchema, namespace: str, names: _Names) -> FromAvro | None:
    if isinstance(schema, str):
        return names.get(schema) or names.get(f"{namespace}.{schema}")
    if not isinstance(schema, Mapping):
        return _union(schema, namespace, names)
    kind = schema["type"]
    if kind == "bytes" and schema.get("logicalType") == "decimal":
        scale = cast("int", schema.get("scale", 0))
        return lambda unscaled: decimal_of(unscaled, scale)
    if kind in {"record", "error"}:
        return _record(schema, namespace, names)
    if kind in {"array", "map"}:
        return _container(schema, namespace, names)
    return _converter(cast("AvroSchema", kind), namespace, names)


def _union(schema: object, namespace: str, names: _Names) -> FromAvro | None:
    branches = cast("list[AvroSchema]", schema)
    converters = [_converter(branch, namespace, names) for branch in branches if branch != "null"]
    if len(converters) != 1:  # not one of ours: which branch it was cannot be told from the value
        return None
    convert = converters[0]
    return None if convert is None else lambda value: None if value is None else convert(value)


def _record(schema: Mapping[str, object], namespace: str, names: _Names) -> FromAvro | None:
    name = str(schema["name"])
    namespace = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", namespace))
    full = name if "." in name or not namespace else f"{namespace}.{name}"
    if schema.get("connect.name", full) == VARIABLE_SCALE_DECIMAL:
        names[full] = _variable_decimal
        return _variable_decimal
    fields = cast("list[Mapping[str, object]]", schema["fields"])
    members = [(str(each["name"]), _converter(cast("AvroSchema", each["type"]), namespace, names)) for each in fields]
    todo = [(field, convert) for field, convert in members if convert is not None]
    convert_record = _members(todo) if todo else None
    names[full] = convert_record
    return convert_record


def _members(todo: list[tuple[str, FromAvro]]) -> FromAvro:
    def convert(value: dict[str, object]) -> object:
        for name, convert_member in todo:
            value[name] = convert_member(value[name])
        return value

    return convert


def _container(schema: Mapping[str, object], namespace: str, names: _Names) -> FromAvro | None:
    if schema["type"] == "array":
        item = _converter(cast("AvroSchema", schema["items"]), namespace, names)
        return None if item is None else lambda value: [item(each) for each in value]
    member = _converter(cast("AvroSchema", schema["values"]), namespace, names)
    return None if member is None else lambda value: {key: member(each) for key, each in value.items()}


def _variable_decimal(value: Mapping[str, object]) -> object:
    return variable_decimal_of(cast("int", value["scale"]), cast("bytes", value["value"]))
