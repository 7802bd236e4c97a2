"""Avro schemas, Avro bytes, JSON and header text equal what Kafka Connect and Confluent's AvroData made of them."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.avro_writer import writer
from tailrace.codec.header import struct_text
from tailrace.codec.json_converter import dump, json_schema, json_writer
from tailrace.schema import Schema, SchemaType
from unit.codec.connect.cases import CASES, answers, cases

ANSWERED = list(zip(cases(), answers(), strict=True))


def test_there_is_an_answer_for_every_case() -> None:
    assert len(ANSWERED) == CASES


@pytest.mark.parametrize("number", range(CASES))
def test_avro_schema(number: int) -> None:
    (schema, _), answer = ANSWERED[number]
    assert json.loads(json.dumps(avro_schema(schema))) == answer["avro"]


@pytest.mark.parametrize("number", range(CASES))
def test_avro_bytes(number: int) -> None:
    (schema, value), answer = ANSWERED[number]
    assert writer(schema)(value) == b64decode(str(answer["bytes"]))


@pytest.mark.parametrize("number", range(CASES))
def test_json(number: int) -> None:
    (schema, value), answer = ANSWERED[number]
    payload = json.loads(dump(json_writer(schema)(value)))
    assert payload == answer["json"]
    assert {"schema": json_schema(schema), "payload": payload} == answer["json_schema"]


@pytest.mark.parametrize("number", range(CASES))
def test_header_text(number: int) -> None:
    (schema, value), answer = ANSWERED[number]
    assert struct_text(schema, [value[field.name] for field in schema.fields]) == answer["header"]


@pytest.mark.parametrize(
    ("name", "type_", "avro", "logical"),
    [
        ("Date", "int32", "int", "date"),
        ("Time", "int32", "int", "time-millis"),
        ("Timestamp", "int64", "long", "timestamp-millis"),
    ],
)
def test_connects_own_times_have_logical_types(name: str, type_: SchemaType, avro: str, logical: str) -> None:
    full = f"org.apache.kafka.connect.data.{name}"
    expected = {"type": avro, "connect.version": 1, "connect.name": full, "logicalType": logical}
    assert avro_schema(Schema(type_, full, 1)) == expected
    assert avro_schema(Schema(type_, full, 1, optional=True)) == ["null", expected]
