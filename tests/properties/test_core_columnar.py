"""The columns that the compiled core makes of Avro hold the values that the reader gives, and survive any damage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties.test_codec_avro import rows
from tailrace.codec.avro_reader import by_fastavro
from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.avro_writer import writer
from tailrace.codec.decimals import decimal_of, unscaled_bytes, variable_decimal_of, variable_scale
from tailrace.codec.registry import AvroSchema
from tailrace.core.columnar import Columns
from tailrace.errors import BadRecord
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Field, Schema, Value
from tailrace_archive.arrow import array_of
from tailrace_archive.column import Column, column_of

START = 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stored(schema: Schema) -> AvroSchema:
    """The schema as a registry gives it back."""
    found: AvroSchema = json.loads(json.dumps(avro_schema(schema)))
    return found


def bare(type_: pa.DataType) -> pa.DataType:
    """The type without its meaning: what lies in the buffers."""
    if isinstance(type_, pa.BaseExtensionType):
        return type_.storage_type
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(bare(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(pa.string(), type_.item_field.with_type(bare(type_.item_type)))
    if pa.types.is_list(type_):
        return pa.list_(type_.value_field.with_type(bare(type_.value_type)))
    if pa.types.is_timestamp(type_) or pa.types.is_time64(type_):
        return pa.int64()
    return pa.int32() if pa.types.is_date32(type_) or pa.types.is_time32(type_) else type_


def listed(column: Column, columns: Columns) -> list[object]:
    """All values of the columns; taking them makes them empty."""
    array = array_of(bare(column.type), columns.take())
    array.validate(full=True)
    return list(array.to_pylist())


def expected(schema: Schema, value: object) -> object:  # noqa: PLR0911 - one for each meaning
    """What the column holds for a value."""
    if value is None:
        return None
    if schema.name == VARIABLE_SCALE_DECIMAL and isinstance(value, Decimal):
        return f"{variable_decimal_of(*variable_scale(value)):f}"
    if schema.name == DECIMAL and isinstance(value, Decimal):
        return _decimal(schema, value)
    if schema.name == "io.debezium.data.Uuid":
        return UUID(str(value)).bytes if value else None
    if schema.name == "io.debezium.time.ZonedTimestamp":
        return (datetime.fromisoformat(str(value)) - EPOCH) // timedelta(microseconds=1)
    if schema.type == "struct" and isinstance(value, Mapping):
        return {field.name: expected(field.schema, value[field.name]) for field in schema.fields}
    if schema.type == "array" and isinstance(value, list) and schema.items:
        return [expected(schema.items, item) for item in value]
    if schema.type == "map" and isinstance(value, Mapping) and schema.items:
        return [(key, expected(schema.items, item)) for key, item in value.items()]
    return value


def _decimal(schema: Schema, value: Decimal) -> object:
    scale = int(schema.parameters["scale"])
    value = decimal_of(unscaled_bytes(value, scale), scale)
    told = int(schema.parameters.get("connect.decimal.precision", 38))
    if told > 38 or scale > told:
        return f"{value:f}"
    return None if value.is_nan() else value


def takes_nothing(schema: Schema) -> bool:
    """Whether a value is no octets: an array's few octets could then speak of any number of them."""
    return (
        schema.type == "struct" and not schema.optional and all(takes_nothing(field.schema) for field in schema.fields)
    )


def is_refused(schema: Schema) -> bool:
    """Whether there is an array or a map of such values, which no column takes."""
    if schema.items is not None and schema.type == "array" and takes_nothing(schema.items):
        return True
    inner = [field.schema for field in schema.fields] + ([schema.items] if schema.items is not None else [])
    return any(is_refused(each) for each in inner)


ROWS = rows().filter(lambda row: not is_refused(row[0]))


def test_items_that_are_no_octets_have_no_column() -> None:
    nothing = Schema("struct", name="shop.Nothing")
    schema = Schema("struct", name="shop.Row", fields=(Field("f", Schema("array", items=nothing)),))
    with pytest.raises(BadRecord, match="no column for items that have no value"):
        column_of(stored(schema))


@given(st.lists(ROWS, min_size=1, max_size=1), st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_columns_hold_the_values(drawn: list[tuple[Schema, dict[str, Value]]], times: int) -> None:
    [(schema, value)] = drawn
    column = column_of(stored(schema))
    columns = Columns(column.plan)
    data = bytes(START) + writer(schema)(value)
    assert columns.extend([data] * times, START, 0) == times
    assert repr(listed(column, columns)) == repr([expected(schema, value)] * times)
    assert columns.rows == 0
    assert columns.extend([data], START, 0) == 1
    assert repr(listed(column, columns)) == repr([expected(schema, value)])


@given(ROWS, st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))
@settings(max_examples=500, deadline=None)
def test_damage_leaves_the_other_rows_alone(
    row: tuple[Schema, dict[str, Value]], place: int, octets: bytes, gone: int
) -> None:
    schema, value = row
    column = column_of(stored(schema))
    columns = Columns(column.plan)
    whole = writer(schema)(value)
    at = place % (len(whole) + 1)
    damaged = bytes(START) + whole[:at] + octets + whole[at + gone :]
    data = bytes(START) + whole
    assert columns.extend([data], START, 0) == 1
    accepted = columns.extend([damaged], START, 0) == 1
    assert columns.rows == 1 + accepted
    if accepted:  # then fastavro reads it, too
        try:
            by_fastavro(stored(schema))(damaged, START)
        except BadRecord as error:
            raise AssertionError("accepted what is no value") from error
    assert columns.extend([data], START, 0) == 1
    found = listed(column, columns)
    assert repr([found[0], found[-1]]) == repr([expected(schema, value)] * 2)
    assert len(found) == 2 + accepted
