"""Schemas of values, in Kafka Connect's type system.

This is the model that Debezium describes tables in: a small set of types, each optionally carrying a semantic
name (`io.debezium.time.MicroTimestamp`), a version, parameters and a default. `codec` turns it into Avro and JSON
schemas. Source: Kafka's `org.apache.kafka.connect.data.Schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from typing import Literal, TypeAlias

SchemaType: TypeAlias = Literal[
    "int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "bytes", "array", "map", "struct"
]

Value: TypeAlias = "None | bool | int | float | str | bytes | Decimal | list[Value] | dict[str, Value] | Unavailable"
"""A value as transforms see it.

int8..int64 → int; float32/float64 → float; Connect's Decimal and Debezium's VariableScaleDecimal → `Decimal` (NaN and
infinities included); array → list; map and struct → dict; semantic types keep their Connect encoding (a date is its
days since 1970-01-01, a timestamp its milli- or microseconds, a zoned timestamp its ISO-8601 text).
"""


class Missing(Enum):
    """`MISSING`: a schema without default; told apart from a default that is null."""

    MISSING = "missing"


class Unavailable(Enum):
    """`UNAVAILABLE`: the database did not send this value (an unchanged TOAST column)."""

    UNAVAILABLE = "unavailable"


MISSING = Missing.MISSING
UNAVAILABLE = Unavailable.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Schema:
    """One Connect schema.

    `fields` for a struct, `items` for an array's elements or a map's values (map keys are strings).
    """

    type: SchemaType
    name: str | None = None
    version: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    default: Value | Missing = MISSING
    fields: tuple[Field, ...] = ()
    items: Schema | None = None
    doc: str | None = None

    def as_optional(self) -> Schema:
        """Return this schema, allowing null."""
        return self if self.optional else replace(self, optional=True)


@dataclass(frozen=True, slots=True)
class Field:
    """A named member of a struct."""

    name: str
    schema: Schema


DECIMAL = "org.apache.kafka.connect.data.Decimal"
VARIABLE_SCALE_DECIMAL = "io.debezium.data.VariableScaleDecimal"
