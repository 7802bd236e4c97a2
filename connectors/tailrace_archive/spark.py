"""What Spark is told of a file's columns, in the footer: it refuses types that Parquet has and Spark has not.

    TIME in milliseconds, microseconds, nanoseconds   => integer, long, long
    TIMESTAMP in nanoseconds                          => long
    UUID                                              => binary, 16 octets

One such column, and Spark reads nothing of a file whose types it has to find out by itself. It does not where the
footer has them in its own words, and no other reader looks there.
Source: Spark's ParquetReadSupport, `SPARK_METADATA_KEY`; the JSON form of its `DataType`.
"""

from __future__ import annotations

import json
from typing import TypeAlias, cast

import pyarrow as pa

KEY = "org.apache.spark.sql.parquet.row.metadata"

_Type: TypeAlias = "str | dict[str, object]"

_NAMES = {
    pa.null(): "void",
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.binary(16): "binary",
    pa.date32(): "date",
    pa.time32("ms"): "integer",
    pa.time64("us"): "long",
    pa.time64("ns"): "long",
    pa.timestamp("ms"): "timestamp_ntz",
    pa.timestamp("us"): "timestamp_ntz",
    pa.timestamp("ns"): "long",
    pa.timestamp("ms", "UTC"): "timestamp",
    pa.timestamp("us", "UTC"): "timestamp",
}
_REFUSED = frozenset({pa.binary(16), pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.timestamp("ns")})


def footer(schema: pa.Schema) -> dict[str, str]:
    """Return what the footer of a file with these columns has for Spark: nothing, where Spark knows all of them."""
    if not any(_refused(field.type) for field in schema):
        return {}
    return {KEY: json.dumps(_struct([schema.field(place) for place in range(len(schema))]))}


def _stored(type_: pa.DataType) -> pa.DataType:
    """Return the type that the values have in the file."""
    if isinstance(type_, pa.BaseExtensionType):
        return type_.storage_type
    return type_.value_type if isinstance(type_, pa.DictionaryType) else type_


def _fields(type_: pa.StructType) -> list[pa.Field]:
    return [type_.field(place) for place in range(type_.num_fields)]


def _refused(type_: pa.DataType) -> bool:
    if pa.types.is_struct(type_):
        return any(_refused(field.type) for field in _fields(cast("pa.StructType", type_)))
    if pa.types.is_list(type_):
        return _refused(cast("pa.ListType[pa.DataType]", type_).value_type)
    if pa.types.is_map(type_):
        return _refused(cast("pa.MapType", type_).item_type)
    return _stored(type_) in _REFUSED


def _type(type_: pa.DataType) -> _Type:
    if pa.types.is_struct(type_):
        return _struct(_fields(cast("pa.StructType", type_)))
    if pa.types.is_list(type_):
        items = cast("pa.ListType[pa.DataType]", type_).value_field
        return {"type": "array", "elementType": _type(items.type), "containsNull": items.nullable}
    if pa.types.is_map(type_):
        of = cast("pa.MapType", type_)
        values = of.item_field
        told: dict[str, object] = {"type": "map", "keyType": _type(of.key_type), "valueType": _type(values.type)}
        return told | {"valueContainsNull": values.nullable}
    if pa.types.is_decimal(type_):
        digits = cast("pa.Decimal128Type", type_)
        return f"decimal({digits.precision},{digits.scale})"
    return _NAMES[_stored(type_)]


def _struct(fields: list[pa.Field]) -> dict[str, object]:
    told = [{"name": each.name, "type": _type(each.type), "nullable": each.nullable, "metadata": {}} for each in fields]
    return {"type": "struct", "fields": told}
