"""What lies in the log is read back exactly, and malformed bytes are refused."""

from __future__ import annotations

import io
import json
import math
from decimal import Decimal
from pathlib import Path

import fastavro
import pytest

from tailrace.codec.avro_envelope import frame
from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.avro_writer import writer
from tailrace.codec.decoder import Decoder, plain, row_change
from tailrace.codec.json_converter import dump, json_schema, json_writer
from tailrace.codec.registry import UnknownSchema
from tailrace.codec.registry_store import BundledRegistry
from tailrace.errors import BadRecord
from tailrace.schema import Field, Schema, Value
from unit.codec.shop import PRICE, VARIABLE


@pytest.fixture
def registry(tmp_path: Path) -> BundledRegistry:
    return BundledRegistry(tmp_path)


ROW = Schema(
    "struct",
    "a.Row",
    fields=(
        Field("price", PRICE),
        Field("prices", Schema("array", items=PRICE.as_optional())),
        Field("amount", VARIABLE.as_optional()),
        Field("amounts", Schema("map", items=VARIABLE)),
        Field("raw", Schema("bytes", optional=True)),
        Field("real", Schema("float64")),
        Field("inner", Schema("struct", "a.Inner", fields=(Field("amount", VARIABLE),), optional=True)),
    ),
)
VALUE: dict[str, Value] = {
    "price": Decimal("1.50"),
    "prices": [Decimal("-0.01"), None],
    "amount": Decimal("123456789012345678901234567890.123456789"),
    "amounts": {"a": Decimal("1E+3")},
    "raw": b"\x00\xff",
    "real": 0.1,
    "inner": {"amount": Decimal(7)},
}


def framed(registry: BundledRegistry, schema: Schema, value: Value) -> bytes:
    return frame(registry.register("s", avro_schema(schema), force=True).id) + writer(schema)(value)


def wrapped(schema: Schema, value: Value) -> bytes:
    return dump({"schema": json_schema(schema), "payload": json_writer(schema)(value)})


def test_avro_and_json_with_schema_come_back_as_they_went(registry: BundledRegistry) -> None:
    decoder = Decoder(registry)
    for data in (framed(registry, ROW, VALUE), wrapped(ROW, VALUE)):
        assert decoder.value(data) == VALUE
        assert decoder.plain(data) == {
            "price": "1.50",
            "prices": ["-0.01", None],
            "amount": "123456789012345678901234567890.123456789",
            "amounts": {"a": "1000"},
            "raw": "AP8=",
            "real": 0.1,
            "inner": {"amount": "7"},
        }


@pytest.mark.parametrize("special", ["NaN", "Infinity", "-Infinity"])
def test_special_decimals_come_back(registry: BundledRegistry, special: str) -> None:
    schema = Schema("struct", "a.Row", fields=(Field("amount", VARIABLE), Field("real", Schema("float64"))))
    value: Value = {"amount": Decimal(special), "real": float(special)}
    for data in (framed(registry, schema, value), wrapped(schema, value)):
        decoded = Decoder(registry).value(data)
        assert isinstance(decoded, dict)
        assert str(decoded["amount"]) == special
        assert Decoder(registry).plain(data) == {"amount": special, "real": special}


def test_nan_of_a_fixed_scale_comes_back(registry: BundledRegistry) -> None:
    schema = Schema("struct", "a.Row", fields=(Field("price", PRICE),))
    data = framed(registry, schema, {"price": Decimal("NaN")})
    assert Decoder(registry).plain(data) == {"price": "NaN"}
    assert data[5:] == b"\x00"  # no bytes at all: what a Java BigInteger refuses


def test_more_digits_than_declared_are_not_rounded(registry: BundledRegistry) -> None:
    schema = Schema("struct", "a.Row", fields=(Field("price", PRICE),))
    long = Decimal("123456789012345678901234567890.12")
    assert Decoder(registry).value(framed(registry, schema, {"price": long})) == {"price": long}


def test_logical_types_of_others_are_left_as_they_lie(registry: BundledRegistry) -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "day", "type": {"type": "int", "logicalType": "date"}},
            {"name": "either", "type": ["null", "string", {"type": "bytes", "logicalType": "decimal", "precision": 4}]},
            {"name": "kind", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        ],
    }
    stream = io.BytesIO()
    bare = json.loads(json.dumps(schema).replace('"logicalType"', '"was"'))
    fastavro.schemaless_writer(stream, bare, {"day": 2**31 - 1, "either": b"\x01", "kind": "B"})
    data = frame(registry.register("s", schema).id) + stream.getvalue()
    assert Decoder(registry).plain(data) == {"day": 2**31 - 1, "either": "AQ==", "kind": "B"}


def test_tombstones_and_plain_json() -> None:
    decoder = Decoder(BundledRegistry(Path("nowhere")))
    assert decoder.value(None) is None
    assert decoder.plain(b'{"a":[1,null]}') == {"a": [1, None]}
    assert decoder.plain(b'"text"') == "text"


def test_a_name_that_starts_with_a_digit_inside_is_read(registry: BundledRegistry) -> None:
    schema = Schema("struct", "shop.public.2nd-try.Value".replace("-", "_"), fields=(Field("a", Schema("int32")),))
    assert Decoder(registry).value(framed(registry, schema, {"a": 1})) == {"a": 1}


def test_every_cut_and_every_addition_is_refused(registry: BundledRegistry) -> None:
    decoder = Decoder(registry)
    data = framed(registry, ROW, VALUE)
    for end in range(len(data)):
        with pytest.raises(BadRecord):
            decoder.value(data[:end])
    with pytest.raises(BadRecord, match="it ends at"):
        decoder.value(data + b"\x00")


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00\x00", b"{", b"\xff\xfe", b"\x01\x02"])
def test_what_is_neither_is_refused(registry: BundledRegistry, data: bytes) -> None:
    with pytest.raises(BadRecord):
        Decoder(registry).value(data)


@pytest.mark.parametrize("payload", [{"price": "%%"}, {"price": 5}, [], "x"])
def test_a_payload_that_does_not_fit_its_schema_is_refused(registry: BundledRegistry, payload: object) -> None:
    schema = json_schema(Schema("struct", "a.Row", fields=(Field("price", PRICE),)))
    with pytest.raises(BadRecord):
        Decoder(registry).value(dump({"schema": schema, "payload": payload}))


def test_an_unknown_schema_is_named(registry: BundledRegistry) -> None:
    with pytest.raises(UnknownSchema, match="id 77"):
        Decoder(registry).value(frame(77) + b"\x00")


def test_plain_is_json() -> None:
    value = {"a": [math.nan, math.inf, -math.inf, 1.5], "b": (b"x", True, None), "c": Decimal("1E+2")}
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "a": ["NaN", "Infinity", "-Infinity", 1.5],
        "b": ["eA==", True, None],
        "c": "100",
    }


def test_rows_for_sinks() -> None:
    envelope = {"op": "u", "before": None, "after": {"id": 1, "note": "…"}, "source": {"lsn": 5}}
    found = row_change(envelope, [("__tailrace.unavailable", b'["note"]')])
    assert (found.op, found.before, found.after) == ("u", None, {"id": 1, "note": "…"})
    assert found.unavailable == {"note"}
    assert row_change(envelope).unavailable == frozenset()
    with pytest.raises(BadRecord, match="not a change envelope"):
        row_change({"ts_ms": 5})
