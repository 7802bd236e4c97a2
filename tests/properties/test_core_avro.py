"""The compiled reader of Avro gives the values that fastavro gives, and never one for bytes that fastavro refuses."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from properties.test_codec_avro import rows
from tailrace.codec.avro_reader import ValueReader, by_fastavro, read_plan
from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.avro_writer import writer
from tailrace.codec.registry import AvroSchema
from tailrace.core.avro import Reader
from tailrace.core.plan import ReadPlan
from tailrace.errors import BadRecord
from tailrace.schema import Schema, Value

START = 5


def outcome(read: Callable[[bytes, int], object], data: bytes) -> str:
    """The value as `repr` has it, where NaN equals NaN and 1.50 is not 1.5; or the class of what was raised.

    What is both cut short and no number is refused for the one or the other, by whichever is come upon first.
    """
    try:
        return repr(read(data, START))
    except (BadRecord, EOFError):
        return "refused"
    except Exception as error:  # noqa: BLE001 - whatever it is, both have to raise it
        return type(error).__name__


def stored(schema: Schema) -> AvroSchema:
    """The schema as a registry gives it back."""
    found: AvroSchema = json.loads(json.dumps(avro_schema(schema)))
    return found


@given(rows())
@settings(max_examples=300, deadline=None)
def test_values_are_fastavros(row: tuple[Schema, dict[str, Value]]) -> None:
    schema, value = row
    plan = read_plan(stored(schema))
    assume(plan is not None)
    assert plan is not None
    data = bytes(START) + writer(schema)(value)
    core = Reader(plan)
    expected = outcome(by_fastavro(stored(schema)), data)
    assert outcome(core.read, data) == expected
    assert outcome(core.read, data) == expected  # texts are remembered


@given(rows(), st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))
@settings(max_examples=500, deadline=None)
def test_damage_is_judged_as_by_fastavro(
    row: tuple[Schema, dict[str, Value]], place: int, octets: bytes, gone: int
) -> None:
    schema, value = row
    assume(read_plan(stored(schema)) is not None)
    whole = writer(schema)(value)
    at = place % (len(whole) + 1)
    data = bytes(START) + whole[:at] + octets + whole[at + gone :]
    assert outcome(ValueReader(stored(schema)).read, data) == outcome(by_fastavro(stored(schema)), data)


BLOCKS: AvroSchema = {"type": "record", "name": "R", "fields": [
                      {"name": "a", "type": {"type": "array", "items": "int"}},
                      {"name": "m", "type": {"type": "map", "values": ["null", "boolean"]}}]}  # fmt: skip


@pytest.mark.parametrize(
    "octets",
    [
        b"\x03\x04\x02\x04\x02\x06\x00\x02\x02k\x02\x01\x01\x06\x02l\x00\x00",  # counts below zero, with sizes
        b"\x00\x00",
        b"\x04\x02\x04\x00\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00",  # the lowest count that there is
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02\x00",  # 65 bits
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
        b"\x03",
        b"\x00\x02\x02\xff\x00\x00",
        b"\x00\x02\x02k\x02\x02\x00",
        b"",
    ],
)
def test_blocks_are_read_as_by_fastavro(octets: bytes) -> None:
    data = bytes(START) + octets
    assert outcome(ValueReader(BLOCKS).read, data) == outcome(by_fastavro(BLOCKS), data)


NODE: AvroSchema = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
TWO: AvroSchema = ["null", "string", "int"]
ENUM: AvroSchema = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
NULLS: AvroSchema = {"type": "array", "items": "null"}


@pytest.mark.parametrize(
    ("schema", "octets", "value"),
    [
        (NODE, b"\x02\x02\x00", {"next": {"next": {"next": None}}}),
        (TWO, b"\x04\x06", 3),
        (ENUM, b"\x02", "B"),
        (NULLS, b"\x06\x00", [None, None, None]),
    ],
)
def test_shapes_that_the_core_does_not_know_are_left_to_fastavro(
    schema: AvroSchema, octets: bytes, value: object
) -> None:
    assert read_plan(schema) is None
    assert ValueReader(schema).read(bytes(START) + octets, START) == value


def test_a_record_that_was_named_before_is_known() -> None:
    inner = {"type": "record", "name": "a.Inner", "fields": [{"name": "n", "type": "long"}]}
    schema: AvroSchema = {"type": "record", "name": "a.Outer", "fields": [
        {"name": "one", "type": inner}, {"name": "other", "type": ["null", "Inner"]}]}  # fmt: skip
    plan = read_plan(schema)
    assert plan is not None
    assert Reader(plan).read(b"\x02\x02\x03", 0) == {"one": {"n": 1}, "other": {"n": -2}}


@pytest.mark.parametrize("start", [-1, 2])
def test_nothing_is_read_outside_of_the_bytes(start: int) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        Reader(ReadPlan("integer")).read(b"\x02", start)


@pytest.mark.parametrize("plan", [ReadPlan("record", (), ("a",)), ReadPlan("array"), ReadPlan("optional")])
def test_a_plan_without_its_members_is_refused(plan: ReadPlan) -> None:
    with pytest.raises(ValueError, match=plan.kind):
        Reader(plan)
