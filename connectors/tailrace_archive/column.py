"""Which column of Arrow, and so of Parquet, an Avro schema becomes; and how the core fills it.

    boolean, int, long, float, double   => the same; int with `connect.type` int8 or int16 is as narrow
    bytes, string                       => binary, string
    record, array, map                  => struct, list, map
    Connect's Decimal                   => decimal128 by its precision, 38 where it tells none; above 38: string
    VariableScaleDecimal                => string: every row may have another scale
    Date, Time, Timestamp …             => date32, time32/64, timestamp without zone, in the unit of the name
    ZonedTimestamp                      => timestamp in microseconds, UTC
    Uuid, Json                          => the extension types, which are Parquet's UUID and JSON

A time of MySQL can be negative or longer than a day, so it stays a number. All else that has a name keeps the type that
lies under it, and the name is in the field's metadata as `connect.name`, with its parameters.
Source: Parquet's LogicalTypes.md; Debezium's io.debezium.time and io.debezium.data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import pyarrow as pa

from tailrace.codec.decimals import decimal_of, variable_decimal_of
from tailrace.codec.registry import AvroSchema
from tailrace.core.plan import ColumnKind, ColumnPlan
from tailrace.errors import BadRecord
from tailrace.schema import VARIABLE_SCALE_DECIMAL

MOST_DIGITS = 38
"""Of a decimal that DuckDB, Spark and others read as one."""


@dataclass(frozen=True, slots=True)
class Column:
    """How one value is read, and the type of Arrow that it is given."""

    plan: ColumnPlan
    type: pa.DataType
    optional: bool = False
    metadata: Mapping[str, str] | None = None

    def field(self, name: str) -> pa.Field:
        """Return the field of this column."""
        return pa.field(name, self.type, nullable=self.optional or self.plan.nullable, metadata=self.metadata)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known on the way down: records that were named before, and whether the source is a MySQL."""

    namespace: str
    names: dict[str, Column]
    long_times: bool


_Make: TypeAlias = "Callable[[], tuple[ColumnKind, pa.DataType, int]]"

_PLAIN: Mapping[str, _Make] = {
    "null": lambda: ("null", pa.null(), 0),
    "boolean": lambda: ("boolean", pa.bool_(), 1),
    "int": lambda: ("integer", pa.int32(), 4),
    "long": lambda: ("integer", pa.int64(), 8),
    "float": lambda: ("real", pa.float32(), 4),
    "double": lambda: ("real", pa.float64(), 8),
    "bytes": lambda: ("bytes", pa.binary(), 0),
    "string": lambda: ("text", pa.string(), 0),
}
_NARROW: Mapping[str, _Make] = {
    "int8": lambda: ("integer", pa.int8(), 1),
    "int16": lambda: ("integer", pa.int16(), 2),
}
_NAMED: Mapping[tuple[str, str], _Make] = {
    ("int", "io.debezium.time.Date"): lambda: ("integer", pa.date32(), 4),
    ("int", "org.apache.kafka.connect.data.Date"): lambda: ("integer", pa.date32(), 4),
    ("int", "io.debezium.time.Time"): lambda: ("integer", pa.time32("ms"), 4),
    ("int", "org.apache.kafka.connect.data.Time"): lambda: ("integer", pa.time32("ms"), 4),
    ("long", "io.debezium.time.MicroTime"): lambda: ("integer", pa.time64("us"), 8),
    ("long", "io.debezium.time.NanoTime"): lambda: ("integer", pa.time64("ns"), 8),
    ("long", "io.debezium.time.Timestamp"): lambda: ("integer", pa.timestamp("ms"), 8),
    ("long", "org.apache.kafka.connect.data.Timestamp"): lambda: ("integer", pa.timestamp("ms"), 8),
    ("long", "io.debezium.time.MicroTimestamp"): lambda: ("integer", pa.timestamp("us"), 8),
    ("long", "io.debezium.time.NanoTimestamp"): lambda: ("integer", pa.timestamp("ns"), 8),
    ("string", "io.debezium.time.ZonedTimestamp"): lambda: ("instant", pa.timestamp("us", "UTC"), 8),
    ("string", "io.debezium.data.Uuid"): lambda: ("uuid", pa.uuid(), 16),
    ("string", "io.debezium.data.Json"): lambda: ("text", pa.json_(), 0),
}
_TIMES = frozenset({"io.debezium.time.Time", "io.debezium.time.MicroTime", "io.debezium.time.NanoTime"})
_LONG_TIMES = ("io.debezium.connector.mysql.", "io.debezium.connector.mariadb.")


def column_of(schema: AvroSchema) -> Column:
    """Return the column for values of `schema`; raises `BadRecord` for a shape that has none."""
    long_times = any(name in json.dumps(schema) for name in _LONG_TIMES)
    return _column(schema, Scope("", {}, long_times))


def members_of(column: Column) -> Mapping[str, int]:
    """Return the places of the fields of a struct, by name."""
    struct = cast("pa.StructType", column.type)
    return {struct.field(place).name: place for place in range(struct.num_fields)}


def _column(schema: AvroSchema, scope: Scope) -> Column:
    if isinstance(schema, str):
        return _named(schema, scope)
    if isinstance(schema, Mapping):
        return _of_node(schema, scope)
    branches = list(schema)
    some = [branch for branch in branches if branch != "null"]
    if len(branches) != 2 or len(some) != 1:
        raise BadRecord(f"no column for a union of {len(branches)} types")
    value = _column(cast("AvroSchema", some[0]), scope)
    if value.plan.null_branch >= 0 or value.plan.kind == "null":
        raise BadRecord("no column for a union within a union")
    return replace(value, plan=replace(value.plan, null_branch=branches.index("null")), optional=True)


def _named(name: str, scope: Scope) -> Column:
    if name in _PLAIN:
        kind, type_, width = _PLAIN[name]()
        return Column(ColumnPlan(kind, width=width, nullable=kind == "null"), type_)
    full = name if "." in name or not scope.namespace else f"{scope.namespace}.{name}"
    if full not in scope.names:
        raise BadRecord(f"no column for the type {name}", hint="the archive knows no types that contain themselves")
    return scope.names[full]


def _of_node(schema: Mapping[str, object], scope: Scope) -> Column:
    kind = schema.get("type")
    match kind:
        case "record":
            column = _record(schema, scope)
        case "array":
            items = _column(cast("AvroSchema", schema["items"]), scope)
            if _takes_nothing(items.plan):
                raise BadRecord("no column for items that have no value")
            column = Column(ColumnPlan("list", (items.plan,)), pa.list_(items.field("element")))
        case "map":
            values = _column(cast("AvroSchema", schema["values"]), scope)
            plan = ColumnPlan("map", (ColumnPlan("text"), values.plan))
            column = Column(plan, pa.map_(pa.string(), values.field("value")))
        case str() if kind in _PLAIN:
            column = _semantic(kind, schema, scope)
        case dict() | list():
            column = _column(cast("AvroSchema", kind), scope)
        case _:
            raise BadRecord(f"no column for the type {kind}")
    return replace(column, metadata=_metadata(schema)) if column.metadata is None else column


def _takes_nothing(plan: ColumnPlan) -> bool:
    if plan.null_branch >= 0 or plan.kind not in {"null", "record"}:
        return False
    return all(_takes_nothing(member) for member in plan.members)


def _metadata(schema: Mapping[str, object]) -> Mapping[str, str] | None:
    if "connect.name" not in schema:
        return None
    parameters = schema.get("connect.parameters")
    told = {"connect.name": str(schema["connect.name"])}
    return told if parameters is None else told | {"connect.parameters": json.dumps(parameters)}


def _semantic(kind: str, schema: Mapping[str, object], scope: Scope) -> Column:
    if kind == "bytes" and schema.get("logicalType") == "decimal":
        return _decimal(cast("int", schema.get("scale", 0)), schema)
    name = str(schema.get("connect.name"))
    make = _NAMED.get((kind, name)) if not (scope.long_times and name in _TIMES) else None
    make = make or _NARROW.get(str(schema.get("connect.type"))) or _PLAIN[kind]
    made, type_, width = make()
    # Where there is no UUID an empty text stands for it, which no column of UUIDs can hold.
    return Column(ColumnPlan(made, width=width, nullable=made in {"uuid", "null"}), type_)


def _decimal(scale: int, schema: Mapping[str, object]) -> Column:
    declared = cast("Mapping[str, str]", schema.get("connect.parameters") or {})
    told = "connect.decimal.precision" in declared or "connect.name" not in schema
    precision = cast("int", schema.get("precision", MOST_DIGITS)) if told else MOST_DIGITS
    if precision > MOST_DIGITS or not 0 <= scale <= precision:
        return Column(ColumnPlan("variable_decimal", parameter=-1 - scale, convert=_fixed_text), pa.string())
    # NaN is made a null; the record's header says so, and with it the column `__special`.
    plan = ColumnPlan("decimal", nullable=True, width=16, parameter=precision)
    return Column(plan, pa.decimal128(precision, scale))


def _fixed_text(scale: int, octets: bytes) -> bytes:
    return f"{decimal_of(octets, scale):f}".encode()


def _variable_text(scale: int, octets: bytes) -> bytes:
    try:
        return f"{variable_decimal_of(scale, octets):f}".encode()
    except BadRecord as error:
        raise ValueError from error


def _record(schema: Mapping[str, object], scope: Scope) -> Column:
    name = str(schema["name"])
    namespace = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", scope.namespace))
    full = name if "." in name or not namespace else f"{namespace}.{name}"
    fields = cast("list[Mapping[str, object]]", schema["fields"])
    inner = replace(scope, namespace=namespace)
    named = {str(field["name"]): _column(cast("AvroSchema", field["type"]), inner) for field in fields}
    if schema.get("connect.name", full) == VARIABLE_SCALE_DECIMAL and set(named) == {"scale", "value"}:
        first = int(next(iter(named)) == "value")
        column = Column(ColumnPlan("variable_decimal", parameter=first, convert=_variable_text), pa.string())
    else:
        plan = ColumnPlan("record", tuple([member.plan for member in named.values()]))
        column = Column(plan, pa.struct([member.field(name) for name, member in named.items()]))
    column = replace(column, metadata=_metadata(schema))
    scope.names[full] = column
    return column
