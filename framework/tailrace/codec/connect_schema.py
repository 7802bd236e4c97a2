"""Connect schemas out of what stands in a registry or beside a JSON payload: the inverse of `avro_schema`.

    union with null                  => optional
    `connect.name`, `connect.…`      => name, version, parameters, doc, default, int8 and int16
    `logicalType` without them       => Connect's Decimal, Date, Time, Timestamp, as AvroData reads them
    record that has no `connect.name` => named as in Avro
    enum, fixed                      => string, bytes

What Avro has and Connect has not is refused: unions of several types, records that hold themselves.
Source: `AvroData.toConnectSchema`, Confluent Schema Registry 7.0; `JsonConverter.asConnectSchema`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from tailrace.codec.avro_schema import decimal_scale, items_of
from tailrace.codec.decimals import decimal_of, variable_decimal_of
from tailrace.codec.json_values import payload_value
from tailrace.codec.registry import AvroSchema
from tailrace.errors import BadRecord
from tailrace.schema import DECIMAL, MISSING, VARIABLE_SCALE_DECIMAL, Field, Schema, SchemaType, Value

_Names: TypeAlias = "dict[str, Schema | None]"
"""What was defined so far; None while it is being defined."""

_TYPES: dict[str, SchemaType] = {
    "boolean": "boolean",
    "int": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "bytes": "bytes",
    "fixed": "bytes",
    "string": "string",
    "enum": "string",
}
_LOGICAL_NAMES = {
    "date": "org.apache.kafka.connect.data.Date",
    "time-millis": "org.apache.kafka.connect.data.Time",
    "timestamp-millis": "org.apache.kafka.connect.data.Timestamp",
}
_UNNAMED = "io.confluent.connect.avro.ConnectDefault"
_JSON_TYPES: dict[str, SchemaType] = {"float": "float32", "double": "float64"}


def connect_schema(schema: AvroSchema) -> Schema:
    """Return the Connect schema that `avro_schema` made `schema` of; raises `BadRecord` where there is none.

    A schema that another writer made is read as AvroData reads it.
    """
    try:
        return _of(schema, "", {})
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecord(f"cannot read an Avro schema: {type(error).__name__} in its JSON") from error


def schema_of_json(schema: object) -> Schema:
    """Return the schema that JsonConverter wrote beside a payload; raises `BadRecord` where it is none."""
    try:
        return _of_json(cast("Mapping[str, object]", schema))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRecord("cannot read the schema beside a JSON payload") from error


def _of(schema: AvroSchema, namespace: str, names: _Names) -> Schema:
    if isinstance(schema, str):
        return Schema(_TYPES[schema]) if schema in _TYPES else _defined(schema, namespace, names)
    if not isinstance(schema, Mapping):
        return _optional(schema, namespace, names)
    kind = schema["type"]
    if kind == "record":
        return _record(schema, namespace, names)
    if kind == "array":
        found = Schema("array", items=_of(cast("AvroSchema", schema["items"]), namespace, names))
    elif kind == "map":
        found = Schema("map", items=_of(cast("AvroSchema", schema["values"]), namespace, names))
    elif isinstance(kind, str) and kind in _TYPES:
        found = _logical(Schema(_TYPES[kind]), schema)
    else:
        found = _of(cast("AvroSchema", kind), namespace, names)
    found = _with_properties(found, schema)
    if "name" in schema:  # enum, fixed
        names[_full_name(schema, namespace)] = found
    return found


def _defined(name: str, namespace: str, names: _Names) -> Schema:
    full = name if "." in name or not namespace else f"{namespace}.{name}"
    found = names.get(full, names.get(name))
    if found is None:
        raise BadRecord(f"Avro type {full} is not defined, or holds itself", hint="Connect has no such schemas")
    return found


def _optional(branches: Sequence[object], namespace: str, names: _Names) -> Schema:
    some = [branch for branch in branches if branch != "null"]
    if len(some) != 1:
        raise BadRecord(f"Avro union of {len(some)} types has no Connect schema")
    found = _of(cast("AvroSchema", some[0]), namespace, names)
    return found.as_optional() if len(some) < len(branches) else found


def _full_name(schema: Mapping[str, object], namespace: str) -> str:
    name = str(schema["name"])
    own = str(schema.get("namespace", namespace))
    return name if "." in name or not own else f"{own}.{name}"


def _record(schema: Mapping[str, object], outer: str, names: _Names) -> Schema:
    full = _full_name(schema, outer)
    names[full] = None
    namespace = full.rpartition(".")[0]
    fields = tuple(
        [_field(member, namespace, names) for member in cast("Sequence[Mapping[str, object]]", schema["fields"])]
    )
    named = None if full.startswith(_UNNAMED) else full
    found = _with_properties(Schema("struct", name=named, fields=fields), schema)
    names[full] = found
    return found


def _field(member: Mapping[str, object], namespace: str, names: _Names) -> Field:
    found = _of(cast("AvroSchema", member["type"]), namespace, names)
    default = member.get("default")
    if found.default is MISSING and default is not None and found.type != "struct":
        found = replace(found, default=_value(found, default))
    return Field(str(member["name"]), found)


def _logical(found: Schema, schema: Mapping[str, object]) -> Schema:
    logical = schema.get("logicalType")
    if logical == "decimal" and found.type == "bytes" and "connect.name" not in schema:
        parameters = {"scale": str(schema.get("scale", 0)), "connect.decimal.precision": str(schema["precision"])}
        return replace(found, name=DECIMAL, version=1, parameters=parameters)
    if logical in _LOGICAL_NAMES and "connect.name" not in schema:
        return replace(found, name=_LOGICAL_NAMES[str(logical)], version=1)
    return found


def _with_properties(found: Schema, schema: Mapping[str, object]) -> Schema:
    if "connect.name" in schema:
        found = replace(found, name=str(schema["connect.name"]))
    if "connect.version" in schema:
        found = replace(found, version=cast("int", schema["connect.version"]))
    if "connect.parameters" in schema:
        found = replace(found, parameters=dict(cast("Mapping[str, str]", schema["connect.parameters"])))
    if "connect.doc" in schema:
        found = replace(found, doc=str(schema["connect.doc"]))
    if "connect.type" in schema:
        found = replace(found, type=cast("SchemaType", schema["connect.type"]))
    if "connect.default" in schema:
        found = replace(found, default=_value(found, schema["connect.default"]))
    return found


def _value(schema: Schema, default: object) -> Value:
    """Return a default out of the JSON that `avro_schema` writes."""
    if default is None:
        return None
    match schema.type:
        case "float32":
            value: Value = _single(float(cast("str", default)))
        case "float64":
            value = float(cast("str", default))
        case "bytes":
            octets = str(default).encode("latin-1")
            value = decimal_of(octets, decimal_scale(schema)) if schema.name == DECIMAL else octets
        case "array":
            value = [_value(items_of(schema), item) for item in cast("list[object]", default)]
        case "map":
            members = cast("dict[str, object]", default)
            value = {name: _value(items_of(schema), member) for name, member in members.items()}
        case "struct":
            value = _struct(schema, cast("dict[str, object]", default))
        case _:
            value = cast("Value", default)
    return value


def _struct(schema: Schema, default: Mapping[str, object]) -> Value:
    if schema.name == VARIABLE_SCALE_DECIMAL:
        return variable_decimal_of(cast("int", default["scale"]), str(default["value"]).encode("latin-1"))
    return {field.name: _value(field.schema, default[field.name]) for field in schema.fields}


def _of_json(schema: Mapping[str, object]) -> Schema:
    named = str(schema["type"])
    kind = _JSON_TYPES.get(named, cast("SchemaType", named))
    fields = [
        Field(str(each["field"]), _of_json(each))
        for each in cast("Sequence[Mapping[str, object]]", schema.get("fields", ()))
    ]
    items = schema.get("items", schema.get("values"))
    found = Schema(
        kind,
        cast("str | None", schema.get("name")),
        cast("int | None", schema.get("version")),
        dict(cast("Mapping[str, str]", schema.get("parameters") or {})),
        optional=bool(schema.get("optional")),
        fields=tuple(fields),
        items=None if items is None else _of_json(cast("Mapping[str, object]", items)),
        doc=cast("str | None", schema.get("doc")),
    )
    if schema.get("default") is None:
        return found
    return replace(found, default=_narrowed(found, cast("Value", payload_value(schema, schema["default"]))))


def _narrowed(schema: Schema, value: Value) -> Value:
    """Return a default out of JSON, which prints a 32-bit float with the fewest digits that tell it."""
    match value:
        case float() if schema.type == "float32":
            return _single(value)
        case list():
            return [_narrowed(items_of(schema), item) for item in value]
        case dict():
            members = {field.name: field.schema for field in schema.fields}
            return {name: _narrowed(members.get(name) or items_of(schema), member) for name, member in value.items()}
        case _:
            return value


def _single(value: float) -> float:
    single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return single
