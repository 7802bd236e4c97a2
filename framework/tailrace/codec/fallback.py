"""What stands in a required field for a value that is not there.

A delete under Postgres' default identity carries the key alone, yet `before` must hold every column that is NOT NULL.
Debezium fills such a field with the column's default, or else with the zero of its type; so do we, in `before`.
In `after` the same happens only if the database sent a null for a column that it had called NOT NULL; the record then
says so in a header (`header.DEFAULTED_COLUMNS`). Source: Debezium's JdbcValueConverters.convertValue and its callers.
"""

from __future__ import annotations

from decimal import Decimal

from tailrace.codec.avro_schema import decimal_scale, no_default, value_of_default
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Schema, Value

_BY_NAME: dict[str, Value] = {
    "io.debezium.time.ZonedTimestamp": "1970-01-01T00:00:00Z",
    "io.debezium.time.ZonedTime": "00:00:00Z",
    "io.debezium.time.IsoDate": "1970-01-01Z",
    "io.debezium.time.IsoTime": "00:00:00Z",
    "io.debezium.time.IsoTimestamp": "1970-01-01T00:00:00Z",
    "io.debezium.time.Interval": "P0Y0M0DT0H0M0S",
    VARIABLE_SCALE_DECIMAL: Decimal(0),
}
_BY_TYPE: dict[str, Value] = {
    "int8": 0,
    "int16": 0,
    "int32": 0,
    "int64": 0,
    "float32": 0.0,
    "float64": 0.0,
    "boolean": False,
    "string": "",
    "bytes": b"",
}


def fallback(schema: Schema) -> Value:
    """Return the value that stands for a missing one: null where that is allowed, else the default, else a zero."""
    if schema.optional:
        return None
    if not no_default(schema):
        return value_of_default(schema)
    return _BY_NAME[schema.name] if schema.name in _BY_NAME else _zero(schema)


def _zero(schema: Schema) -> Value:
    if schema.name == DECIMAL:
        return Decimal(0).scaleb(-decimal_scale(schema))
    if schema.type == "array":
        return []
    if schema.type in {"map", "struct"}:
        return {field.name: fallback(field.schema) for field in schema.fields}
    return _BY_TYPE[schema.type]
