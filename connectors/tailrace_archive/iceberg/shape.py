"""From the columns of an archive's file to those of an Iceberg table.

    int8, int16           => int                    timestamp of any unit but ns  => timestamp, microseconds
    dictionary, json      => string                 time of any unit but ns       => time, microseconds
    uuid, decimal, date   => the same               what is in nanoseconds        => long, exact
    null                  => string, always null    struct, list, map             => the same, of such

Files have the table's columns with its field ids, so that a reader finds them whatever they are called later.
Source: Iceberg table specification, "Parquet" and "Column Projection".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, IcebergType, ListType, MapType, NestedField, StructType

_FIELD_ID = b"PARQUET:field_id"
_LARGE = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}


def plain(type_: pa.DataType) -> pa.DataType:
    """Return the type that a column of an Iceberg table has instead."""
    if isinstance(type_, pa.ExtensionType | pa.BaseExtensionType):
        return type_ if type_.extension_name == "arrow.uuid" else plain(type_.storage_type)
    if pa.types.is_struct(type_):
        struct = cast("pa.StructType", type_)
        return pa.struct([plain_field(struct.field(place)) for place in range(struct.num_fields)])
    if pa.types.is_list(type_):
        return pa.list_(plain_field(cast("pa.ListType[pa.DataType]", type_).value_field))
    if pa.types.is_map(type_):
        of = cast("pa.MapType", type_)
        return pa.map_(plain(of.key_type), plain_field(of.item_field))
    return _plain_primitive(type_)


def _plain_primitive(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(type_) or pa.types.is_null(type_):
        return pa.string()
    if pa.types.is_int8(type_) or pa.types.is_int16(type_):
        return pa.int32()
    if pa.types.is_timestamp(type_) or pa.types.is_time(type_):
        unit = cast("pa.TimestampType", type_).unit
        zone = cast("pa.TimestampType", type_).tz if pa.types.is_timestamp(type_) else None
        if unit == "ns":
            return pa.int64()
        return pa.timestamp("us", zone) if pa.types.is_timestamp(type_) else pa.time64("us")
    return type_


def plain_field(field: pa.Field, *, required: bool = False) -> pa.Field:
    """Return the field of an Iceberg table; it may be null unless it is required, so that it can be dropped later."""
    return pa.field(field.name, plain(field.type), nullable=not required)


def file_schema(schema: Schema) -> pa.Schema:
    """Return what the files of a table look like: its columns, with their ids."""
    return pa.schema([_file_field(field) for field in schema.fields])


def _file_field(field: NestedField, name: str = "") -> pa.Field:
    told = {_FIELD_ID: str(field.field_id).encode()}
    return pa.field(name or field.name, _file_type(field.field_type), nullable=field.optional, metadata=told)


def _file_type(type_: IcebergType) -> pa.DataType:
    match type_:
        case StructType():
            return pa.struct([_file_field(field) for field in type_.fields])
        case ListType():
            return pa.list_(_file_field(type_.element_field, "element"))
        case MapType():
            return pa.map_(_file_field(type_.key_field, "key"), _file_field(type_.value_field, "value"))
        case _:
            found = cast("pa.DataType", schema_to_pyarrow(type_))
            return _LARGE.get(found, found)


def fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of `schema`, found by name; what they have not is null.

    Raises `pyarrow.ArrowInvalid` for a value that does not fit.
    """
    columns = []
    for field in schema:
        if field.name not in rows.column_names:
            columns.append(pa.chunked_array([pa.nulls(rows.num_rows, field.type)]))
            continue
        chunks = [_fit(chunk, field.type) for chunk in rows.column(field.name).chunks]
        columns.append(pa.chunked_array(chunks, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _fit(array: pa.Array, type_: pa.DataType) -> pa.Array:
    if array.type.equals(type_, check_metadata=True):
        return array
    if isinstance(type_, pa.BaseExtensionType):
        return array if array.type == type_ else pa.ExtensionArray.from_storage(type_, array.cast(type_.storage_type))
    if isinstance(array, pa.ExtensionArray):
        return _fit(array.storage, type_)
    if pa.types.is_nested(type_):
        return _fit_nested(array, type_)
    nanoseconds = pa.types.is_int64(type_) and pa.types.is_temporal(array.type)
    return array.view(type_) if nanoseconds else array.cast(type_)


def _fit_nested(array: pa.Array, type_: pa.DataType) -> pa.Array:
    if array.offset:
        array = pa.concat_arrays([array.slice(0, 0), array])  # what is cut out of another cannot be put together anew
    if pa.types.is_struct(type_):
        return _fit_struct(array, cast("pa.StructType", type_))
    if pa.types.is_map(type_):
        of = cast("pa.MapType", type_)
        keys, items = _fit(array.keys, of.key_type), _fit(array.items, of.item_type)
        return pa.MapArray.from_arrays(array.offsets, keys, items, of, mask=_nulls(array))
    items = _fit(array.values, cast("pa.ListType[pa.DataType]", type_).value_type)
    return pa.ListArray.from_arrays(array.offsets.cast(pa.int32()), items, type_, mask=_nulls(array))


def _fit_struct(array: pa.Array, type_: pa.StructType) -> pa.Array:
    have = cast("pa.StructType", array.type)
    names = [have.field(place).name for place in range(have.num_fields)]
    fields = [type_.field(place) for place in range(type_.num_fields)]
    members = [
        _fit(array.field(field.name), field.type) if field.name in names else pa.nulls(len(array), field.type)
        for field in fields
    ]
    return pa.StructArray.from_arrays(members, fields=fields, mask=_nulls(array))


def _nulls(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None


def decimals(fields: pa.Schema | pa.StructType, path: str = "") -> Iterator[tuple[str, int]]:
    """Return the decimals among columns by their paths, and how many digits each has behind the point."""
    for place in range(len(fields)):
        field = fields.field(place)
        yield from _decimals(field.type, f"{path}{field.name}")


def _decimals(type_: pa.DataType, path: str) -> Iterator[tuple[str, int]]:
    if pa.types.is_decimal(type_):
        yield path, cast("pa.Decimal128Type", type_).scale
    elif pa.types.is_struct(type_):
        yield from decimals(cast("pa.StructType", type_), f"{path}.")
    elif pa.types.is_list(type_):
        yield from _decimals(cast("pa.ListType[pa.DataType]", type_).value_type, f"{path}.element")
    elif pa.types.is_map(type_):
        yield from _decimals(cast("pa.MapType", type_).item_type, f"{path}.value")


def scales(schema: Schema) -> dict[str, int]:
    """Return the same of a table that is there."""
    found = {}
    for name in schema.column_names:
        type_ = schema.find_type(name)
        if isinstance(type_, DecimalType):
            found[name] = type_.scale
    return found
