"""Connect schemas as Avro schemas by the rules of Confluent's AvroData, property for property as Debezium has them.

    optional                 => union with null; null first, or last where there is a non-null default
    struct                   => record; a name that was defined before is only referred to
    map with string keys     => map
    name, version, doc,
    parameters, default      => `connect.name`, `connect.version`, …, on the type, beside the field's own `default`
    int8, int16              => int with `connect.type`
    Connect's Decimal        => bytes with `logicalType` decimal; Date, Time and Timestamp likewise

Enum stays a string, as AvroData has it unless told otherwise. What AvroData refuses and we do not: two structs of one
name that differ (a required VariableScaleDecimal with a comment beside one without); the first one's definition counts.
Source: `AvroData.fromConnectSchema`, Confluent Schema Registry 7.0.
"""

from __future__ import annotations

import contextlib
import math
import struct
from decimal import Decimal
from typing import TypeAlias

from tailrace.codec.decimals import unscaled_bytes, variable_scale
from tailrace.codec.registry import AvroSchema
from tailrace.errors import Fatal
from tailrace.schema import DECIMAL, MISSING, VARIABLE_SCALE_DECIMAL, Schema, Value

Node: TypeAlias = "dict[str, object] | list[object] | str"

_PRIMITIVES = {
    "int8": "int",
    "int16": "int",
    "int32": "int",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "boolean": "boolean",
    "string": "string",
    "bytes": "bytes",
}
_LOGICAL_TYPES = {
    "org.apache.kafka.connect.data.Date": "date",
    "org.apache.kafka.connect.data.Time": "time-millis",
    "org.apache.kafka.connect.data.Timestamp": "timestamp-millis",
}
_DEFAULT_PRECISION = 64
"""What AvroData declares for a decimal that does not say how many digits it has."""
_UNNAMED_NAMESPACE = "io.confluent.connect.avro"
_UNNAMED = "ConnectDefault"


def avro_schema(schema: Schema) -> AvroSchema:
    """Return the Avro schema that AvroData makes of `schema`."""
    return _Writer().node(schema, "")


class _Writer:
    """Writes one schema: remembers which names it has defined."""

    def __init__(self) -> None:
        self._defined: set[str] = set()
        self._unnamed = 0

    def node(self, schema: Schema, namespace: str) -> Node:
        if schema.type == "struct":
            record = self._record(schema, namespace)
            return ["null", record] if schema.optional else record
        base = self._base(schema, namespace)
        base |= _properties(schema)
        node: Node = str(base["type"]) if len(base) == 1 else base
        if not schema.optional:
            return node
        return ["null", node] if no_default(schema) else [node, "null"]

    def _base(self, schema: Schema, namespace: str) -> dict[str, object]:
        if schema.type == "array":
            return {"type": "array", "items": self.node(items_of(schema), namespace)}
        if schema.type == "map":
            return {"type": "map", "values": self.node(items_of(schema), namespace)}
        return {"type": _PRIMITIVES[schema.type]} | _logical_type(schema)

    def _record(self, schema: Schema, outer: str) -> Node:
        namespace, name = self._split_name(schema)
        full = f"{namespace}.{name}" if namespace else name
        if full in self._defined:
            return name if namespace == outer else full
        self._defined.add(full)
        node: dict[str, object] = {"type": "record", "name": name}
        if namespace != outer:
            node["namespace"] = namespace
        node["fields"] = [self._field(field.name, field.schema, namespace) for field in schema.fields]
        return node | _properties(schema)

    def _split_name(self, schema: Schema) -> tuple[str, str]:
        if schema.name is not None:
            namespace, _, name = schema.name.rpartition(".")
            return namespace, name
        self._unnamed += 1
        return _UNNAMED_NAMESPACE, _UNNAMED + (str(self._unnamed) if self._unnamed > 1 else "")

    def _field(self, name: str, schema: Schema, namespace: str) -> Node:
        field: dict[str, object] = {"name": name, "type": self.node(schema, namespace)}
        if no_default(schema):
            if schema.optional:
                field["default"] = None
        elif not (schema.optional and schema.type == "struct"):  # null comes first there, so no record can be a default
            field["default"] = _json_default(schema, schema.default, wide=True)
        return field


def no_default(schema: Schema) -> bool:
    """Whether `schema` has no default but null."""
    return schema.default is MISSING or schema.default is None


def items_of(schema: Schema) -> Schema:
    """Return the schema of an array's elements or a map's values; raises `Fatal` where the connector gave none."""
    if schema.items is None:
        raise Fatal(f"schema of type {schema.type} has no items")
    return schema.items


def decimal_scale(schema: Schema) -> int:
    """Return the scale that a schema of Connect's Decimal declares."""
    return int(schema.parameters.get("scale", "0"))


def _logical_type(schema: Schema) -> dict[str, object]:
    if schema.name in _LOGICAL_TYPES:
        return {"logicalType": _LOGICAL_TYPES[schema.name]}
    if schema.name != DECIMAL:
        return {}
    precision = int(schema.parameters.get("connect.decimal.precision", _DEFAULT_PRECISION))
    return {"scale": decimal_scale(schema), "precision": precision, "logicalType": "decimal"}


def _properties(schema: Schema) -> dict[str, object]:
    properties: dict[str, object] = {}
    if schema.doc is not None:
        properties["connect.doc"] = schema.doc
    if schema.version is not None:
        properties["connect.version"] = schema.version
    if schema.parameters:
        properties["connect.parameters"] = dict(schema.parameters)
    if not no_default(schema):
        properties["connect.default"] = _json_default(schema, schema.default, wide=False)
    if schema.name is not None:
        properties["connect.name"] = schema.name
    if schema.type in {"int8", "int16"}:
        properties["connect.type"] = schema.type
    return properties


def _json_default(schema: Schema, value: object, *, wide: bool) -> object:
    """Return a default as JSON; `wide` prints a float as the double it equals, as Avro's own `default` has it."""
    match value:
        case Decimal():
            default = _decimal_default(schema, value)
        case bytes():
            default = value.decode("latin-1")
        case float():
            default = _float_default(value, narrow=schema.type == "float32" and not wide)
        case list():
            default = [_json_default(items_of(schema), item, wide=wide) for item in value]
        case dict() if schema.type == "map":
            default = {key: _json_default(items_of(schema), item, wide=wide) for key, item in value.items()}
        case dict():
            members = [(field.name, field.schema) for field in schema.fields]
            default = {name: _json_default(member, value.get(name), wide=wide) for name, member in members}
        case _:
            default = value
    return default


def _decimal_default(schema: Schema, value: Decimal) -> object:
    if schema.name == VARIABLE_SCALE_DECIMAL:
        scale, unscaled = variable_scale(value)
        return {"scale": scale, "value": unscaled.decode("latin-1")}
    return unscaled_bytes(value, decimal_scale(schema)).decode("latin-1")


def _float_default(value: float, *, narrow: bool) -> object:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return shortest_float32(value) if narrow else value


def shortest_float32(value: float) -> float:
    """Return the double with the fewest digits that is still `value` as a 32-bit float: what Java prints of it."""
    single = struct.pack("<f", value)
    for digits in range(1, 10):
        candidate = float(f"{value:.{digits}g}")
        with contextlib.suppress(OverflowError):  # rounded up beyond the largest float
            if struct.pack("<f", candidate) == single:
                return candidate
    return value


def value_of_default(schema: Schema) -> Value:
    """Return the default of a schema that has one."""
    return None if schema.default is MISSING else schema.default
