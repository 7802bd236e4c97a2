"""The schemas of a table's topic, and of the topics beside it, are Debezium's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.envelope import (
    HEARTBEAT_KEY,
    HEARTBEAT_VALUE,
    envelope_schema,
    field_names,
    heartbeat_topic,
    key_schema,
    schema_name,
    transaction_topic,
)
from tailrace.schema import Schema
from unit.codec.shop import EMAIL, ID, MYSQL, VARIABLE, column, table

SCHEMAS = Path(__file__).parent / "schemas"


def golden(name: str) -> object:
    return json.loads((SCHEMAS / f"{name}.json").read_text())


def as_json(schema: Schema | None) -> object:
    assert schema is not None
    return json.loads(json.dumps(avro_schema(schema)))


def test_postgres_value() -> None:
    assert as_json(envelope_schema(table())) == golden("postgres_users_value")


def test_mysql_value() -> None:
    assert as_json(envelope_schema(table(topic="shop.inventory.users", source=MYSQL))) == golden("mysql_users_value")


def test_key() -> None:
    assert as_json(key_schema(table())) == golden("users_key")


def test_key_columns_stand_in_the_order_of_the_key() -> None:
    key = key_schema(table(ID, EMAIL, key=(1, 0)))
    assert key is not None
    assert [field.name for field in key.fields] == ["email", "id"]


def test_a_table_without_a_key_has_no_key_schema() -> None:
    assert key_schema(table(key=())) is None


def test_a_record_that_comes_again_is_referred_to_by_its_full_name() -> None:
    optional = VARIABLE.as_optional()
    avro = as_json(envelope_schema(table(ID, column("a", VARIABLE), column("b", optional))))
    row = avro["fields"][0]["type"][1]["fields"]  # type: ignore[index]
    assert row[1]["type"]["namespace"] == "io.debezium.data"
    assert row[2] == {"name": "b", "type": ["null", "io.debezium.data.VariableScaleDecimal"], "default": None}


@pytest.mark.parametrize(
    ("name", "adjusted"),
    [
        ("shop.public.users.Value", "shop.public.users.Value"),
        ("my-shop.public.order lines.Value", "my_shop.public.order_lines.Value"),
        ("1shop.public.users.Key", "_1shop.public.users.Key"),
        ("shop.public.größe.Key", "shop.public.gr__e.Key"),
        ("shop.public.𝄞.Key", "shop.public.__.Key"),
    ],
)
def test_schema_names_are_adjusted_as_debezium_does(name: str, adjusted: str) -> None:
    assert schema_name(name) == adjusted


@pytest.mark.parametrize(
    ("names", "adjusted"),
    [
        (["id", "unit price", "2nd", "a.b"], ["id", "unit_price", "_2nd", "a_b"]),
        (["a-b", "a b", "a_b"], ["a_b_2", "a_b_3", "a_b"]),
        (["a-b", "a_b_2", "a_b"], ["a_b_3", "a_b_2", "a_b"]),
    ],
)
def test_field_names_are_adjusted_and_each_occurs_once(names: list[str], adjusted: list[str]) -> None:
    assert field_names([column(name, Schema("string")) for name in names]) == adjusted


def test_heartbeats() -> None:
    assert heartbeat_topic("shop") == "__debezium-heartbeat.shop"
    assert as_json(HEARTBEAT_KEY) == {
        "type": "record",
        "name": "ServerNameKey",
        "namespace": "io.debezium.connector.common",
        "fields": [{"name": "serverName", "type": "string"}],
        "connect.version": 1,
        "connect.name": "io.debezium.connector.common.ServerNameKey",
    }
    assert as_json(HEARTBEAT_VALUE) == {
        "type": "record",
        "name": "Heartbeat",
        "namespace": "io.debezium.connector.common",
        "fields": [{"name": "ts_ms", "type": "long"}],
        "connect.version": 1,
        "connect.name": "io.debezium.connector.common.Heartbeat",
    }


def test_transaction_topic() -> None:
    assert transaction_topic("shop") == "shop.transaction"
