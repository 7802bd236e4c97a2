"""Lines of COPY by the compiled core are those that Python writes; what it leaves to Python, it says so."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.codec.delivery import Delivery
from tailrace.codec.registry import AvroSchema
from tailrace.errors import BadRecord
from tailrace.event import Column
from tailrace.schema import DECIMAL, Field, Schema, Value
from tailrace.testing.deliveries import ID, Deliveries
from tailrace_replica.copyline import is_tuple
from tailrace_replica.postgres import PostgresWriter
from tailrace_replica.target import Target, target_of

DEBEZIUM = "io.debezium.time."
KINDS: list[tuple[str, Schema, st.SearchStrategy[Value]]] = [
    ("small", Schema("int16"), st.integers(-(2**15), 2**15 - 1)),
    ("large", Schema("int64"), st.integers(-(2**63), 2**63 - 1)),
    ("flag", Schema("boolean"), st.booleans()),
    ("single", Schema("float32"), st.floats(width=32)),
    ("double", Schema("float64"), st.floats()),
    ("words", Schema("string"), st.text(st.characters(codec="utf-8")) | st.text("\\\n\r\t\b\va")),
    ("octets", Schema("bytes"), st.binary(max_size=40)),
    (
        "price",
        Schema("bytes", DECIMAL, 1, {"scale": "3"}),
        st.integers(-(10**20), 10**20).map(lambda number: Decimal(number).scaleb(-3)),
    ),
    ("day", Schema("int32", f"{DEBEZIUM}Date", 1), st.integers(-(2**31), 2**31 - 1) | st.integers(-800_000, 3_000_000)),
    ("clock", Schema("int32", f"{DEBEZIUM}Time", 1), st.integers(0, 86_400_000)),
    ("micro", Schema("int64", f"{DEBEZIUM}MicroTime", 1), st.integers(-1, 86_400_000_001)),
    ("moment", Schema("int64", f"{DEBEZIUM}Timestamp", 1), st.integers(-(10**14), 10**15)),
    (
        "instant",
        Schema("int64", f"{DEBEZIUM}MicroTimestamp", 1),
        st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**17), 10**17),
    ),
    (
        "zoned",
        Schema("string", f"{DEBEZIUM}ZonedTimestamp", 1),
        st.sampled_from(["2024-06-30T10:00:00.120000Z", "-4712-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", "infinity"]),
    ),
    ("id4", Schema("string", "io.debezium.data.Uuid", 1), st.uuids().map(str)),
    ("doc", Schema("string", "io.debezium.data.Json", 1), st.sampled_from(["{}", '{"a": "\\n"}', "[1,\t2]"])),
]


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="tailrace-lines-"))


def schema_of(delivery: Delivery) -> AvroSchema:
    known = delivery.writer_schema
    assert known is not None
    return known[1]


def delivered(folder: Path, schema: Schema, value: Value, name: str) -> tuple[Delivery, Target]:
    told = Deliveries(folder, topic=f"shop.{name}.t", columns=[ID, Column("value", schema, bytes)])
    told.insert(1, value=value)
    [delivery] = told.update(1, value=value)
    shape = delivery.shape
    assert shape is not None
    return delivery, target_of(("t",), shape, delivery.key_shape)


@pytest.mark.parametrize(("name", "schema", "values"), KINDS, ids=[name for name, *_ in KINDS])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_lines_are_those_of_python(
    folder: Path, name: str, schema: Schema, values: st.SearchStrategy[Value], data: st.DataObject
) -> None:
    value = data.draw(st.none() | values)
    delivery, target = delivered(folder, schema.as_optional(), value, name)
    writer = PostgresWriter(target)
    lines = writer.lines(schema_of(delivery), new=True)
    assert lines is not None, "the core knows this kind"
    try:
        expected: bytes | None = writer.row((1, value))
    except BadRecord:
        expected = None
    assert delivery.record.value is not None
    try:
        line = lines(delivery.record.value, 5)
    except ValueError:
        line = ("u", None)
    assert line in {("u", expected), ("u", None)}
    usual = value is None or (isinstance(value, int) and 0 <= value < 2_000_000) or (name == "words" and expected)
    if usual:
        assert line[1] == expected, "what is usual is not left to Python"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_octets_that_are_no_envelope_are_left_to_python(folder: Path, noise: bytes, cut: int) -> None:
    delivery, target = delivered(folder, Schema("string", optional=True), "some text", "noise")
    for new in (True, False):
        _try_noise(delivery, target, noise, cut, new=new)


def _try_noise(delivery: Delivery, target: Target, noise: bytes, cut: int, *, new: bool) -> None:
    lines = PostgresWriter(target).lines(schema_of(delivery), new=new)
    assert lines is not None
    assert delivery.record.value is not None
    for octets in (b"\0\0\0\0\1" + noise, delivery.record.value[:5] + noise, delivery.record.value[:cut]):
        try:
            op, line = lines(octets, 5)
        except ValueError:
            continue
        assert len(op) == 1
        assert line is None or (line.endswith(b"\n") if new else is_tuple(line))


def test_kinds_that_the_core_does_not_know_are_left_to_python(folder: Path) -> None:
    point = Schema("struct", "io.debezium.data.geometry.Point", 1, fields=(Field("x", Schema("float64")),))
    for name, schema, value in (
        ("list", Schema("array", items=Schema("int32")), [1]),
        ("point", point, {"x": 1.5}),
    ):
        delivery, target = delivered(folder, schema.as_optional(), value, name)  # type: ignore[arg-type]
        assert PostgresWriter(target).lines(schema_of(delivery), new=True) is None
        assert PostgresWriter(target).lines(schema_of(delivery), new=False) is None


def test_a_table_with_a_column_that_has_no_tuple_has_lines(folder: Path) -> None:
    schema = Schema("string", f"{DEBEZIUM}ZonedTime", 1, optional=True)
    delivery, target = delivered(folder, schema, "10:00:00Z", "of_day")
    lines = PostgresWriter(target).lines(schema_of(delivery), new=False)
    assert lines is not None
    assert delivery.record.value is not None
    assert lines(delivery.record.value, 5) == ("u", b"1\t10:00:00Z\n")
