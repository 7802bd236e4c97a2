"""A delivery decodes what is looked at, and tells columns by their writer's schema."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from tailrace.codec.connect_schema import connect_schema
from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord
from tailrace.event import Record
from tailrace.schema import DECIMAL, UNAVAILABLE, Field, Schema
from tailrace.testing.deliveries import COLUMNS, Deliveries

FORMATS: list[Literal["avro", "json_schema"]] = ["avro", "json_schema"]


@pytest.mark.parametrize("form", FORMATS)
def test_key_value_change_and_shapes(tmp_path: Path, form: Literal["avro", "json_schema"]) -> None:
    told = Deliveries(tmp_path, format=form)
    [first] = told.insert(1, name="one", price=Decimal("1.50"), note="n")
    assert first.key == {"id": 1}
    change = first.change
    assert change is not None
    assert (change.op, change.before) == ("c", None)
    assert change.after == {"id": 1, "name": "one", "price": Decimal("1.50"), "note": "n"}
    shape, key_shape = first.shape, first.key_shape
    assert shape is not None and key_shape is not None
    assert shape.columns == tuple(Field(column.name, column.schema) for column in COLUMNS)
    assert [column.name for column in key_shape.columns] == ["id"]
    assert shape.name == "contract.public.items.Value"
    [second] = told.update(1, name="uno", note=UNAVAILABLE)
    assert second.shape is shape, "made once"
    assert second.change is not None and second.change.unavailable == {"note"}


@pytest.mark.parametrize("form", FORMATS)
def test_another_schema_is_another_shape(tmp_path: Path, form: Literal["avro", "json_schema"]) -> None:
    told = Deliveries(tmp_path, format=form)
    [first] = told.insert(1)
    told.add_column("colour", Schema("string", optional=True))
    [second] = told.insert(2)
    one, other = first.shape, second.shape
    assert one is not None and other is not None
    assert one.id != other.id
    assert [column.name for column in other.columns] == ["id", "name", "price", "note", "colour"]


def test_tombstones_and_heartbeats_are_no_changes(tmp_path: Path) -> None:
    told = Deliveries(tmp_path)
    told.insert(1)
    delete, tombstone = told.delete(1)
    assert delete.change is not None and delete.change.op == "d"
    assert (tombstone.value, tombstone.change, tombstone.shape) == (None, None, None)
    assert tombstone.key == {"id": 1}
    [beat] = told.heartbeat()
    assert beat.change is None
    assert beat.shape is not None and [column.name for column in beat.shape.columns] == ["ts_ms"]


def test_json_without_a_schema_has_no_shape(tmp_path: Path) -> None:
    [first] = Deliveries(tmp_path, format="json").insert(1, name="one")
    assert first.shape is None and first.key_shape is None
    assert first.change is not None and first.change.after is not None and first.change.after["name"] == "one"


def test_who_looks_at_bytes_alone_needs_no_decoder(tmp_path: Path) -> None:
    told = Deliveries(tmp_path)
    [bad] = told.unreadable()
    assert (bad.record.offset, bad.record.topic) == (0, told.topic)
    for look in ("key", "value", "change", "shape", "key_shape"):
        with pytest.raises(BadRecord):
            getattr(bad, look)
    [no_json] = told.of([Record(told.topic, b"{", b"{", 0)])
    with pytest.raises(BadRecord, match="neither framed Avro nor JSON"):
        _ = no_json.shape


def test_is_told_by_its_place(tmp_path: Path) -> None:
    [first] = Deliveries(tmp_path).insert(1, name="secret")
    assert repr(first) == "Delivery(contract.public.items-0:0)"
    assert not hasattr(first, "__dict__"), "one is made for each record"
    assert isinstance(first, Delivery)


@pytest.mark.parametrize(
    ("avro", "expected"),
    [
        ("string", Schema("string")),
        (["null", "long"], Schema("int64", optional=True)),
        (["long", "null"], Schema("int64", optional=True)),
        ({"type": {"type": "string"}}, Schema("string")),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
            Schema("bytes", DECIMAL, 1, {"scale": "3", "connect.decimal.precision": "9"}),
        ),
        ({"type": "int", "logicalType": "date"}, Schema("int32", "org.apache.kafka.connect.data.Date", 1)),
        ({"type": "enum", "name": "e", "symbols": ["a"]}, Schema("string")),
        ({"type": "fixed", "name": "f", "size": 4}, Schema("bytes")),
        (
            {"type": "record", "name": "R", "namespace": "n", "fields": [{"name": "a", "type": "int", "default": 7}]},
            Schema("struct", "n.R", fields=(Field("a", Schema("int32", default=7)),)),
        ),
    ],
)
def test_schemas_that_others_wrote(avro: object, expected: Schema) -> None:
    assert connect_schema(avro) == expected  # type: ignore[arg-type]


RECURSIVE = {"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}


@pytest.mark.parametrize("avro", [["int", "string"], RECURSIVE, "Nowhere", {"type": "array"}, {}])
def test_schemas_that_connect_does_not_have(avro: object) -> None:
    with pytest.raises(BadRecord):
        connect_schema(avro)  # type: ignore[arg-type]
