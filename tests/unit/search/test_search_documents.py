"""Documents and their ids: every value is told exactly, and in JSON."""

from __future__ import annotations

import json
import struct
from decimal import Decimal

import pytest

from tailrace.codec.delivery import Shape
from tailrace.errors import BadRecord
from tailrace.schema import Field, Schema
from tailrace_search.document import Document, DocumentPlan, JsonChoice, PointChoice
from tailrace_search.identity import LONGEST_ID, document_id

DATE = Schema("int32", "io.debezium.time.Date", 1)
MILLIS = Schema("int64", "io.debezium.time.Timestamp", 1)
MICROS = Schema("int64", "io.debezium.time.MicroTimestamp", 1)
NANOS = Schema("int64", "io.debezium.time.NanoTimestamp", 1)
TIME = Schema("int64", "io.debezium.time.MicroTime", 1)
DECIMAL = Schema("bytes", "org.apache.kafka.connect.data.Decimal", 1, {"scale": "2"})
JSON = Schema("string", "io.debezium.data.Json", 1)
GEOMETRY = Schema("struct", "io.debezium.data.geometry.Geometry", 1)
STRUCT = Schema("struct", fields=(Field("at", DATE), Field("n", Schema("int32"))))


def documented(
    schema: Schema, value: object, *, json_as: JsonChoice = "flat", points_as: PointChoice = "object"
) -> object:
    shape = Shape(1, "t.Value", (Field("id", Schema("int32")), Field("x", schema)))
    document: Document = DocumentPlan(shape, json_as=json_as, points_as=points_as).document({"id": 1, "x": value})
    json.dumps(document, allow_nan=False)
    assert document["id"] == 1
    return document["x"]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (Schema("string"), None, None),
        (Schema("int64"), 2**63 - 1, 2**63 - 1),
        (Schema("float64"), float("nan"), "NaN"),
        (Schema("float32"), float("-inf"), "-Infinity"),
        (Schema("float64"), 1.5, 1.5),
        (Schema("bytes"), b"\x00\xff", "AP8="),
        (Schema("bytes", "io.debezium.data.Bits", 1, {"length": "10"}), b"\x05\x02", "1000000101"),
        (DECIMAL, Decimal("12.50"), "12.50"),
        (DECIMAL, Decimal(18446744073709551615), "18446744073709551615"),
        (DECIMAL, Decimal("NaN"), "NaN"),
        (DATE, 19844, "2024-05-01"),
        (DATE, -719528, "0000-01-01"),
        (DATE, 2932897, "+010000-01-01"),
        (DATE, -1_000_000, "-000768-02-04"),
        (MILLIS, 1714557600123, "2024-05-01T10:00:00.123000"),
        (MICROS, 1714557600000000, "2024-05-01T10:00:00"),
        (MICROS, -1, "1969-12-31T23:59:59.999999"),
        (MICROS, 253402300800000000, "+010000-01-01T00:00:00"),
        (NANOS, 1714557600000000001, "2024-05-01T10:00:00.000000001"),
        (TIME, 36_615_123_456, "10:10:15.123456"),
        (TIME, -(838 * 3600 + 59 * 60 + 59) * 1_000_000, "-838:59:59"),
        (JSON, '{"a": [1]}', {"a": [1]}),
        (JSON, "[1]", {"value": [1]}),
        (Schema("string", "io.debezium.data.EnumSet", 1), "a,b", ["a", "b"]),
        (Schema("string", "io.debezium.data.EnumSet", 1), "", []),
        (Schema("array", items=DATE), [0, None], ["1970-01-01", None]),
        (Schema("array", items=Schema("int32")), [1, None], [1, None]),
        (Schema("map", items=Schema("bytes")), {"k": b"\x00"}, {"k": "AA=="}),
        (STRUCT, {"at": 0, "n": 7}, {"at": "1970-01-01", "n": 7}),
    ],
)  # fmt: skip
def test_values(schema: Schema, value: object, expected: object) -> None:
    assert documented(schema, value) == expected


def test_json_and_points_by_choice() -> None:
    point = Schema("struct", "io.debezium.data.geometry.Point", 1)
    assert documented(JSON, "[1]", json_as="object") == [1]
    assert documented(JSON, "[1]", json_as="text") == "[1]"
    assert documented(point, {"x": 1.0, "y": 2.0, "wkb": None, "srid": None}, points_as="geo_point") == {
        "lon": 1.0,
        "lat": 2.0,
    }


@pytest.mark.parametrize(
    ("octets", "wkt"),
    [
        (b"\x01" + struct.pack("<Idd", 1, 1.5, -2.0), "POINT (1.5 -2.0)"),
        (b"\x00" + struct.pack(">IIdd", 0x20000001, 4326, 1.0, 2.0), "POINT (1.0 2.0)"),
        (b"\x01" + struct.pack("<Idd", 2, 1.5, -2.0), None),
        (b"\x01", None),
    ],
)
def test_points_of_geometries(octets: bytes, wkt: str | None) -> None:
    document = documented(GEOMETRY, {"wkb": octets, "srid": 4326})
    assert isinstance(document, dict)
    assert document.get("wkt") == wkt
    assert document["srid"] == 4326


def test_what_was_not_sent_is_not_there() -> None:
    shape = Shape(1, "t.Value", (Field("id", Schema("int32")), Field("note", JSON)))
    row = {"id": 1, "note": "__debezium_unavailable_value"}
    assert DocumentPlan(shape).document(row, frozenset({"note"})) == {"id": 1}


def test_rows_without_a_schema() -> None:
    row = {"id": 1, "x": float("inf"), "y": [b"\x00", Decimal("1.50")], "z": {"n": None}}
    assert DocumentPlan(None).document(row) == {"id": 1, "x": "Infinity", "y": ["AA==", "1.50"], "z": {"n": None}}


@pytest.mark.parametrize(
    ("key", "identity"),
    [
        ({"id": 42}, "42"),
        ({"code": "ab/ü"}, "ab/ü"),
        ({"code": ""}, '[""]'),
        ({"code": '["x"]'}, '["[\\"x\\"]"]'),
        ({"code": "sha256:x"}, '["sha256:x"]'),
        ({"on": True}, "true"),
        ({"raw": b"\x00\x01"}, "AAE="),
        ({"price": Decimal("1E+3")}, "1000"),
        ({"a": 7, "b": "de"}, '[7,"de"]'),
        ({"a": Decimal("1.50"), "b": b"\x00"}, '["1.50","AA=="]'),
        ({"at": 1.5}, "1.5"),
    ],
)
def test_ids(key: dict[str, object], identity: str) -> None:
    assert document_id(key) == identity


def test_ids_that_are_too_long() -> None:
    longest = "ü" * (LONGEST_ID // 2)
    assert document_id({"code": longest}) == longest
    assert document_id({"code": longest + "x"}).startswith("sha256:")
    assert document_id({"code": longest + "x"}) != document_id({"code": longest + "y"})


def test_keys_that_are_none() -> None:
    with pytest.raises(BadRecord, match="key is no struct"):
        document_id("plain")
