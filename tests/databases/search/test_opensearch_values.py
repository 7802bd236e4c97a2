"""Every type of column in a real index: documents hold the exact value, and queries of its kind find it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from databases.search.stage import ClusterStage
from servers.opensearch_node import OpenSearchNode
from tailrace.event import Column
from tailrace.schema import Field, Schema, Value
from tailrace.testing.deliveries import TOPIC, Deliveries

ID = Column("id", Schema("int64"), int)


def named(kind: Any, name: str, **more: Any) -> Schema:
    return Schema(kind, name, 1, optional=True, **more)


def plain(kind: Any, **more: Any) -> Schema:
    return Schema(kind, optional=True, **more)


DECIMAL = named("bytes", "org.apache.kafka.connect.data.Decimal", parameters={"scale": "2"})
UNSIGNED = named("bytes", "org.apache.kafka.connect.data.Decimal", parameters={"scale": "0"})
VARIABLE = named(
    "struct", "io.debezium.data.VariableScaleDecimal",
    fields=(Field("scale", Schema("int32")), Field("value", Schema("bytes"))),
)  # fmt: skip
POINT = named(
    "struct", "io.debezium.data.geometry.Point",
    fields=(
        Field("x", Schema("float64")), Field("y", Schema("float64")), Field("wkb", plain("bytes")),
        Field("srid", plain("int32")),
    ),
)  # fmt: skip
DATE = named("int32", "io.debezium.time.Date")
MICROS = named("int64", "io.debezium.time.MicroTimestamp")
ZONED = named("string", "io.debezium.time.ZonedTimestamp")
JSON = named("string", "io.debezium.data.Json")

CASES: list[tuple[str, Schema, Value, object, dict[str, Any]]] = [
    ("flag", plain("boolean"), True, True, {"term": {"flag": True}}),
    ("small", plain("int16"), 7, 7, {"term": {"small": 7}}),
    ("big", plain("int64"), 2**63 - 1, 2**63 - 1, {"term": {"big": 2**63 - 1}}),
    ("unsigned", UNSIGNED, Decimal(2**64 - 1), str(2**64 - 1), {"term": {"unsigned": str(2**64 - 1)}}),
    ("real", plain("float32"), 1.5, 1.5, {"range": {"real": {"gt": 1.4, "lt": 1.6}}}),
    ("price", DECIMAL, Decimal("12.50"), "12.50", {"range": {"price.number": {"gte": 12.5, "lt": 12.6}}}),
    ("exact", DECIMAL, Decimal("12.50"), "12.50", {"term": {"exact": "12.50"}}),
    ("any_scale", VARIABLE, Decimal("0.00001"), "0.00001", {"range": {"any_scale.number": {"lt": 0.0001, "gt": 0}}}),
    ("note", plain("string"), "A red Pear", "A red Pear", {"match": {"note": "pear"}}),
    ("word", plain("string"), "A red Pear", "A red Pear", {"term": {"word.keyword": "A red Pear"}}),
    ("raw", plain("bytes"), b"\x00\xff", "AP8=", {"ids": {"values": ["1"]}}),
    ("mood", named("string", "io.debezium.data.Enum", parameters={"allowed": "ok,sad"}), "ok", "ok",
     {"term": {"mood": "ok"}}),
    ("tags", plain("array", items=plain("string")), ["a", None, "b"], ["a", None, "b"], {"match": {"tags": "b"}}),
    ("day", DATE, 19844, "2024-05-01", {"range": {"day": {"gte": "2024-05-01", "lt": "2024-05-02"}}}),
    ("bc", DATE, -1_000_000, "-000768-02-04", {"range": {"bc": {"lt": "0001-01-01"}}}),
    ("at", MICROS, 1714557600123456, "2024-05-01T10:00:00.123456",
     {"range": {"at": {"gte": "2024-05-01T10:00:00.123Z", "lt": "2024-05-01T10:00:00.124Z"}}}),
    ("zoned", ZONED, "2024-05-01T10:00:00.123456Z", "2024-05-01T10:00:00.123456Z",
     {"range": {"zoned": {"gte": "2024-05-01", "lt": "2024-05-02"}}}),
    ("clock", named("int64", "io.debezium.time.MicroTime"), 36_000_000_000, "10:00:00",
     {"term": {"clock": "10:00:00"}}),
    ("extra", JSON, '{"colour": {"name": "red"}}', {"colour": {"name": "red"}}, {"term": {"extra.colour.name": "red"}}),
    ("place", POINT, {"x": 13.4, "y": 52.5, "wkb": None, "srid": None},
     {"x": 13.4, "y": 52.5, "wkb": None, "srid": None}, {"range": {"place.x": {"gt": 13}}}),
]  # fmt: skip

SPECIAL: list[tuple[str, Schema, Value, object]] = [
    ("nan", plain("float64"), float("nan"), "NaN"),
    ("infinite", plain("float64"), float("-inf"), "-Infinity"),
    ("no_number", VARIABLE, Decimal("NaN"), "NaN"),
    ("huge", VARIABLE, Decimal("1E+400"), "1" + "0" * 400),
    ("far", DATE, 2**31 - 1, "+5881580-07-11"),
    ("forever", MICROS, 9_223_372_036_825_200_000, "+294247-01-10T04:00:25.200000"),
    ("endless", ZONED, "infinity", "infinity"),
    ("long", named("string", "io.debezium.data.Enum"), "x" * 40_000, "x" * 40_000),
    ("list", JSON, "[1, {}]", {"value": [1, {}]}),
    ("nothing", JSON, "null", {"value": None}),
]


def loaded(node: OpenSearchNode, folder: Path, columns: dict[str, Schema], row: dict[str, Value]) -> ClusterStage:
    table = [ID, *(Column(name, schema, bytes.decode) for name, schema in columns.items())]
    stage = ClusterStage(node, Deliveries(folder, columns=table))
    stage.load(stage.told.insert(1, **row), stage.told.insert(2))
    assert stage.rejected == []
    return stage


def test_values_are_exact_and_are_found(opensearch: OpenSearchNode, tmp_path: Path) -> None:
    columns = {name: schema for name, schema, *_ in CASES}
    stage = loaded(opensearch, tmp_path, columns, {name: value for name, _, value, *_ in CASES})
    first, second = (hit["_source"] for hit in sorted(stage.hits(), key=lambda hit: str(hit["_id"])))
    for name, _, _, expected, query in CASES:
        assert first[name] == expected, name
        assert second[name] is None, name
        found = opensearch.call("POST", f"/{TOPIC}/_search", {"query": query})
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ["1"], name


def test_values_that_no_index_can_hold_are_kept(opensearch: OpenSearchNode, tmp_path: Path) -> None:
    columns = {name: schema for name, schema, *_ in SPECIAL}
    stage = loaded(opensearch, tmp_path, columns, {name: value for name, _, value, _ in SPECIAL})
    first = next(hit["_source"] for hit in stage.hits() if hit["_id"] == "1")
    assert {name: first[name] for name in columns} == {name: expected for name, _, _, expected in SPECIAL}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"strings_as": "keyword"}, {"note": "keyword"}),
        ({"strings_as": "text", "decimals_as": "double"}, {"note": "text", "price": "double"}),
        ({"json_as": "object", "points_as": "geo_point"}, {"place": "geo_point"}),
        ({"fields": {f"{TOPIC}.note": {"type": "text", "analyzer": "english"}}}, {"note": "text"}),
    ],
)
def test_mappings_by_choice(
    opensearch: OpenSearchNode, tmp_path: Path, settings: dict[str, object], kind: dict[str, str]
) -> None:
    chosen = {name: schema for name, schema, *_ in CASES if name in {"note", "price", "extra", "place"}}
    row = {name: value for name, _, value, *_ in CASES if name in chosen}
    table = [ID, *(Column(name, schema, bytes.decode) for name, schema in chosen.items())]
    stage = ClusterStage(opensearch, Deliveries(tmp_path, columns=table), **settings)
    stage.load(stage.told.insert(1, **row))
    assert stage.rejected == []
    (mapping,) = opensearch.call("GET", f"/{TOPIC}/_mapping").values()
    found = mapping["mappings"]["properties"]
    assert {name: found[name]["type"] for name in kind} == kind
    assert stage.stored() == [1]
