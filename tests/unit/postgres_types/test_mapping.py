"""Schemas of columns. That Debezium has the same is checked by tests/databases."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tailrace.errors import ConfigError
from tailrace.schema import DECIMAL, MISSING, VARIABLE_SCALE_DECIMAL
from tailrace_postgres.types import load_types
from unit.postgres_types.catalogue import (
    ARRAY,
    CITEXT,
    COMPOSITE,
    DEEP_PRICE,
    DOMAIN_OF_MOOD,
    HSTORE,
    MOOD,
    OIDS,
    POSITIVE,
    PRICE,
    REQUIRED,
    column,
    mapper,
    rows,
    types,
)


def numeric(precision: int, scale: int) -> int:
    return (precision << 16 | scale & 0x7FF) + 4


@pytest.mark.parametrize(
    ("type_name", "typmod", "schema_type", "name"),
    [
        ("bool", -1, "boolean", None),
        ("int2", -1, "int16", None),
        ("int4", -1, "int32", None),
        ("int8", -1, "int64", None),
        ("oid", -1, "int64", None),
        ("float4", -1, "float32", None),
        ("float8", -1, "float64", None),
        ("text", -1, "string", None),
        ("varchar", 14, "string", None),
        ("bpchar", 9, "string", None),
        ("name", -1, "string", None),
        ("bytea", -1, "bytes", None),
        ("date", -1, "int32", "io.debezium.time.Date"),
        ("time", -1, "int64", "io.debezium.time.MicroTime"),
        ("time", 3, "int32", "io.debezium.time.Time"),
        ("time", 4, "int64", "io.debezium.time.MicroTime"),
        ("timetz", -1, "string", "io.debezium.time.ZonedTime"),
        ("timestamp", -1, "int64", "io.debezium.time.MicroTimestamp"),
        ("timestamp", 0, "int64", "io.debezium.time.Timestamp"),
        ("timestamp", 3, "int64", "io.debezium.time.Timestamp"),
        ("timestamp", 4, "int64", "io.debezium.time.MicroTimestamp"),
        ("timestamptz", -1, "string", "io.debezium.time.ZonedTimestamp"),
        ("interval", -1, "int64", "io.debezium.time.MicroDuration"),
        ("uuid", -1, "string", "io.debezium.data.Uuid"),
        ("json", -1, "string", "io.debezium.data.Json"),
        ("jsonb", -1, "string", "io.debezium.data.Json"),
        ("xml", -1, "string", "io.debezium.data.Xml"),
        ("bit", 1, "boolean", None),
        ("bit", 5, "bytes", "io.debezium.data.Bits"),
        ("varbit", -1, "bytes", "io.debezium.data.Bits"),
        ("inet", -1, "string", None),
        ("int4range", -1, "string", None),
        ("money", -1, "bytes", DECIMAL),
    ],
)
def test_everyday_types(type_name: str, typmod: int, schema_type: str, name: str | None) -> None:
    schema = column(type_name, typmod).schema
    assert (schema.type, schema.name) == (schema_type, name)
    assert schema.optional
    assert schema.version == (None if name is None else 1)
    assert not mapper().is_fallback(OIDS[type_name])


def test_a_numeric_says_its_scale_and_precision() -> None:
    schema = column("numeric", numeric(10, 2)).schema
    assert schema.name == DECIMAL
    assert schema.parameters == {"scale": "2", "connect.decimal.precision": "10"}


def test_a_numeric_of_negative_scale_is_whole() -> None:
    found = column("numeric", numeric(5, -2))
    assert found.schema.parameters == {"scale": "0", "connect.decimal.precision": "7"}
    assert found.decode(b"-12300") == Decimal(-12300)


def test_a_scale_may_be_greater_than_the_precision() -> None:
    assert column("numeric", numeric(3, 5)).schema.parameters == {"scale": "5", "connect.decimal.precision": "3"}


def test_a_numeric_without_scale_carries_it_in_the_value() -> None:
    schema = column("numeric").schema
    assert schema.name == VARIABLE_SCALE_DECIMAL
    assert [field.name for field in schema.fields] == ["scale", "value"]
    assert schema.doc == "Variable scaled decimal"


@pytest.mark.parametrize(("length", "parameter"), [(5, "5"), (-1, "2147483647")])
def test_bits_say_their_length(length: int, parameter: str) -> None:
    assert column("varbit", length).schema.parameters == {"length": parameter}


def test_an_enum_lists_its_labels_in_order() -> None:
    schema = column(MOOD).schema
    assert schema.name == "io.debezium.data.Enum"
    assert schema.parameters == {"allowed": "sad,it's,a,b"}
    assert column(DOMAIN_OF_MOOD).schema == schema


def test_domains_are_what_they_are_made_of() -> None:
    assert column(POSITIVE).schema.type == "int32"
    assert column(PRICE).schema.parameters == {"scale": "3", "connect.decimal.precision": "12"}
    assert column(DEEP_PRICE).schema == column(PRICE).schema
    assert column(DEEP_PRICE).decode(b"1.500") == Decimal("1.500")


def test_a_domain_may_forbid_null() -> None:
    assert not column(REQUIRED).schema.optional


def test_arrays_hold_optional_elements() -> None:
    items = column("numeric", numeric(10, 2), array=True).schema.items
    assert items is not None
    assert items.optional
    assert items.parameters["scale"] == "2"
    assert column("timestamp", 3, array=True).schema.items == column("timestamp", 3).schema


def test_arrays_of_enums_hold_required_elements() -> None:
    items = column(MOOD, array=True).schema.items
    assert items is not None
    assert not items.optional


def test_arrays_of_domains_are_arrays_of_what_they_are_made_of() -> None:
    assert column(POSITIVE, array=True).schema == column("int4", array=True).schema


def test_extension_types_go_by_name() -> None:
    assert column(CITEXT).schema.type == "string"
    assert column(HSTORE).schema.name == "io.debezium.data.Json"
    assert column(HSTORE).decode(b'"a"=>"1", "b\\"c"=>NULL') == '{"a":"1","b\\"c":null}'


@pytest.mark.parametrize("oid", [COMPOSITE, COMPOSITE + ARRAY, OIDS["pg_lsn"], 999_999])
def test_what_has_no_form_is_sent_as_text(oid: int) -> None:
    assert mapper().is_fallback(oid)


def test_fallbacks_are_texts() -> None:
    assert column(COMPOSITE).schema.type == "string"
    assert column(COMPOSITE).decode(b"(1,x)") == "(1,x)"
    assert column(COMPOSITE, array=True).decode(b'{"(1,x)",NULL}') == ["(1,x)", None]
    assert column(999_999).decode(b"whatever") == "whatever"


def test_a_point_comes_with_its_wkb() -> None:
    value = column("point").decode(b"(1,-2.5)")
    assert isinstance(value, dict)
    assert value["wkb"] == bytes.fromhex("0101000000000000000000f03f00000000000004c0")
    assert (value["x"], value["y"], value["srid"]) == (1.0, -2.5, None)


def test_nullability() -> None:
    assert column("int4").schema.optional
    assert not column("int4", not_null=True).schema.optional
    assert column("int4").schema.default is MISSING


def test_rows_may_be_bytes() -> None:
    encoded = [tuple(cell.encode() if cell is not None else None for cell in row) for row in rows()]
    assert load_types(encoded) == types()


@pytest.mark.parametrize(
    ("type_name", "array", "placeholder"),
    [
        ("text", False, "gone"),
        ("jsonb", False, "gone"),
        ("xml", False, "gone"),
        ("bytea", False, b"gone"),
        ("text", True, ["gone"]),
        ("varchar", True, ["gone"]),
        ("jsonb", True, ["gone"]),
        ("bytea", True, [b"gone"]),
        ("int4", True, [103, 111, 110, 101]),
        ("date", True, [103, 111, 110, 101]),
        ("int8", True, [103, 111, 110, 101]),
        ("numeric", False, None),
        ("float8", True, None),
        ("int2", True, None),
    ],
)
def test_placeholders(type_name: str, array: bool, placeholder: object) -> None:
    found = mapper("gone").column("c", OIDS[type_name] + ARRAY * array, -1, not_null=False, default=None)
    assert found.placeholder == placeholder


def test_the_placeholder_of_uuids_is_the_one_of_debezium() -> None:
    assert column("uuid", array=True).placeholder == ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]


def test_a_placeholder_may_be_octets() -> None:
    found = mapper("hex:ff00").column("c", OIDS["bytea"], -1, not_null=False, default=None)
    assert found.placeholder == b"\xff\x00"
    integers = mapper("hex:ff00").column("c", OIDS["int4"] + ARRAY, -1, not_null=False, default=None)
    assert integers.placeholder == [-1, 0]


def test_a_placeholder_that_is_not_octets() -> None:
    with pytest.raises(ConfigError, match="unavailable_value"):
        mapper("hex:xyz")
