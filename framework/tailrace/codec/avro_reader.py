"""Reads values from Avro binary: by the compiled core where it knows the shape of the schema, else by fastavro.

fastavro has the last word: what the core declines is read again by it, so that there is one account of what is wrong.
Both give the same values: tests/properties/test_core_avro.py. What the core is not asked to do: enums, fixed, unions of
anything but one type and null, schemas that refer to themselves.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias, cast

from tailrace.codec.avro_values import for_reading, from_avro
from tailrace.codec.decimals import decimal_of, variable_decimal_of
from tailrace.codec.registry import AvroSchema
from tailrace.core.avro import Reader
from tailrace.core.plan import ReadKind, ReadPlan
from tailrace.schema import VARIABLE_SCALE_DECIMAL

_KINDS: dict[str, ReadKind] = {
    "null": "null",
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "float",
    "double": "double",
    "bytes": "bytes",
    "string": "text",
}

_Names: TypeAlias = "dict[str, ReadPlan]"


class _NotPlanned(Exception):
    """The core does not know this shape."""


class ValueReader:
    """Reads the values of one schema."""

    def __init__(self, schema: AvroSchema) -> None:
        self._schema = schema
        self._by_fastavro: Callable[[bytes, int], object] | None = None
        plan = read_plan(schema)
        self._core = None if plan is None else Reader(plan)

    def read(self, data: bytes, start: int) -> object:
        """Return the value that takes all of `data` from `start` on.

        Raises what fastavro raises for bytes that are malformed, `LeftOver` where there are more, `BadRecord` for a
        decimal that there is not.
        """
        if self._core is not None:
            try:
                return self._core.read(data, start)
            except (ValueError, ArithmeticError):
                pass  # said by fastavro, or known better by it
        if self._by_fastavro is None:
            self._by_fastavro = by_fastavro(self._schema)
        return self._by_fastavro(data, start)


class LeftOver(ValueError):
    """A value ended before its bytes did, at `end`."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.end = end


def by_fastavro(schema: AvroSchema) -> Callable[[bytes, int], object]:
    """Return what reads values of `schema` without the core."""
    import fastavro  # here: it is rarely needed, and a good part of what a task imports

    # fastavro would round a decimal to the schema's precision, and fail on the special ones.
    parsed = fastavro.parse_schema(for_reading(schema))
    convert = from_avro(schema)

    def read(data: bytes, start: int) -> object:
        stream = io.BytesIO(data)
        stream.seek(start)
        value: object = fastavro.schemaless_reader(stream, parsed, None)
        if convert is not None:
            value = convert(value)
        if stream.tell() != len(data):
            raise LeftOver(stream.tell())
        return value

    return read


def read_plan(schema: AvroSchema) -> ReadPlan | None:
    """Return how the core reads values of `schema`; None where that is left to fastavro."""
    try:
        return _plan(schema, "", {})
    except _NotPlanned:
        return None


def _plan(schema: AvroSchema, namespace: str, names: _Names) -> ReadPlan:
    if isinstance(schema, str):
        full = schema if "." in schema or not namespace else f"{namespace}.{schema}"
        plan = ReadPlan(_KINDS[schema]) if schema in _KINDS else names.get(full)
        if plan is None:
            raise _NotPlanned
        return plan
    if isinstance(schema, Mapping):
        return _of_node(schema, namespace, names)
    return _optional(cast("list[AvroSchema]", schema), namespace, names)


def _of_node(schema: Mapping[str, object], namespace: str, names: _Names) -> ReadPlan:
    match schema.get("type"):
        case "bytes" if schema.get("logicalType") == "decimal":
            scale = cast("int", schema.get("scale", 0))
            plan = ReadPlan("decimal", parameter=scale, convert=partial(decimal_of, scale=scale))
        case "record":
            plan = _record(schema, namespace, names)
        case "array":
            plan = ReadPlan("array", (_item(schema.get("items"), namespace, names),))
        case "map":
            plan = ReadPlan("map", (_plan(cast("AvroSchema", schema.get("values")), namespace, names),))
        case str(name) if name in _KINDS:
            plan = ReadPlan(_KINDS[name])
        case dict() | list() as inner:
            plan = _plan(cast("AvroSchema", inner), namespace, names)
        case _:
            raise _NotPlanned
    return plan


def _optional(branches: list[AvroSchema], namespace: str, names: _Names) -> ReadPlan:
    some = [branch for branch in branches if branch != "null"]
    if len(branches) != 2 or len(some) != 1:
        raise _NotPlanned
    value = _plan(some[0], namespace, names)
    if value.kind in {"optional", "null"}:
        raise _NotPlanned
    return ReadPlan("optional", (value,), parameter=list(branches).index("null"))


def _item(schema: object, namespace: str, names: _Names) -> ReadPlan:
    """Return the plan of an array's items, which must take an octet at least: the core knows by it how many fit."""
    item = _plan(cast("AvroSchema", schema), namespace, names)
    if _empty(item):
        raise _NotPlanned
    return item


def _empty(plan: ReadPlan) -> bool:
    return plan.kind == "null" or (plan.kind == "record" and all(_empty(member) for member in plan.members))


def _record(schema: Mapping[str, object], namespace: str, names: _Names) -> ReadPlan:
    name = str(schema["name"])
    namespace = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", namespace))
    full = name if "." in name or not namespace else f"{namespace}.{name}"
    fields = cast("list[Mapping[str, object]]", schema["fields"])
    members = tuple([_plan(cast("AvroSchema", field["type"]), namespace, names) for field in fields])
    named = tuple([str(field["name"]) for field in fields])
    if schema.get("connect.name", full) == VARIABLE_SCALE_DECIMAL:
        plan = _variable_decimal(dict(zip(named, members, strict=True)))
    else:
        plan = ReadPlan("record", members, named)
    names[full] = plan
    return plan


def _variable_decimal(fields: Mapping[str, ReadPlan]) -> ReadPlan:
    if {name: plan.kind for name, plan in fields.items()} != {"scale": "integer", "value": "bytes"}:
        raise _NotPlanned
    return ReadPlan("variable_decimal", parameter=int(next(iter(fields)) == "value"), convert=variable_decimal_of)
