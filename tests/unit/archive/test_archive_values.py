"""What values become in files: exact, in Parquet's own types where there are such; read back by other libraries."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake.reading import published
from lake.records import NOON, names, schema, table
from lake.values import EVERY, TYPES, Archive, decimal
from tailrace.codec.header import SPECIAL_COLUMNS, UNAVAILABLE_COLUMNS
from tailrace.errors import BadRecord
from tailrace.schema import Value


@pytest.mark.parametrize("layout", ["envelope", "flat"])
def test_every_type_is_exact_in_parquet(layout: str, tmp_path: Path) -> None:
    archive = Archive(tmp_path, EVERY, layout=layout)
    full = {name: value for name, (_, value, *_) in TYPES.items()}
    empty: dict[str, Value] = dict.fromkeys(TYPES) | {"id": 1}
    read = archive.publish(archive.topic.change("c", full), archive.topic.change("c", empty))
    first, second = (row["after"] for row in read) if layout == "envelope" else read
    assert {name: first[name] for name in TYPES} == {name: each[2] for name, each in TYPES.items()}
    assert {name: second[name] for name in TYPES} == empty
    found = pq.read_schema(published(archive.path)[0])
    fields = found.field("after").type if layout == "envelope" else found
    assert {name: fields.field(name).type for name in TYPES} == {
        name: type_ for name, (_, _, _, type_) in TYPES.items()
    }


def test_duckdb_reads_all_types(tmp_path: Path) -> None:
    archive = Archive(tmp_path, EVERY, layout="flat")
    archive.publish(archive.topic.change("c", {name: value for name, (_, value, *_) in TYPES.items()}))
    files = f"{archive.path}/shop.public.goods/**/*.parquet"
    found = duckdb.connect().execute(f"DESCRIBE SELECT * FROM read_parquet('{files}')").fetchall()
    types = {name: type_ for name, type_, *_ in found}
    wanted = {"price": "DECIMAL(12,2)", "day": "DATE", "clock": "TIME", "moment": "TIMESTAMP", "token": "UUID",
              "zoned": "TIMESTAMP WITH TIME ZONE", "json": "JSON", "list": "VARCHAR[]", "dt": "DATE",
              "hour": "BIGINT"}  # fmt: skip
    assert {name: types[name] for name in wanted} == wanted
    query = f"SELECT price, day, token, list[1], hour FROM read_parquet('{files}') WHERE dt = DATE '2026-03-01'"
    assert duckdb.connect().execute(query).fetchall() == [
        (Decimal("-9999999999.99"), date(2024, 10, 4), UUID("0f9e0a2c-6ac5-4a0b-8a35-000000000001"), "x", 12)
    ]


def test_duckdb_reads_files_from_before_and_behind_a_change_of_columns(tmp_path: Path) -> None:
    archive = Archive(tmp_path, table({"id": schema("int32", optional=False), "old": schema("string")}), layout="flat")
    before = archive.topic.change("c", {"id": 1, "old": "x"})
    archive.topic.table = table({"id": schema("int64", optional=False), "new": decimal("9", "2")})
    archive.publish(before, archive.topic.change("c", {"id": 2**40, "new": Decimal("1.50")}))
    files = f"'{archive.path}/shop.public.goods/**/*.parquet'"
    query = f"SELECT id, old, new FROM read_parquet({files}, union_by_name = true) ORDER BY id"
    assert duckdb.connect().execute(query).fetchall() == [(1, "x", None), (2**40, None, Decimal("1.50"))]


SPARK = "org.apache.spark.sql.parquet.row.metadata"


def test_a_footer_tells_spark_of_types_that_it_refuses(tmp_path: Path) -> None:
    archive = Archive(tmp_path, EVERY, layout="flat")
    archive.publish(archive.topic.change("c", {name: value for name, (_, value, *_) in TYPES.items()}))
    told = json.loads(pq.read_metadata(published(archive.path)[0]).metadata[SPARK.encode()])
    types = {field["name"]: field["type"] for field in told["fields"]}
    assert list(types) == pq.read_schema(published(archive.path)[0]).names
    strings = dict.fromkeys(["text", "huge", "any", "long", "infinite", "json", "mood", "__topic"], "string")
    wanted = {
        **strings, "id": "long", "small": "short", "real": "float", "double": "double", "flag": "boolean",
        "octets": "binary", "price": "decimal(12,2)", "most": "decimal(38,0)", "unsigned": "decimal(38,0)",
        "day": "date", "clock": "long", "second": "integer", "moment": "timestamp_ntz", "milli": "timestamp_ntz",
        "zoned": "timestamp", "token": "binary",
        "list": {"type": "array", "elementType": "string", "containsNull": True},
        "map": {"type": "map", "keyType": "string", "valueType": "integer", "valueContainsNull": True},
    }  # fmt: skip
    assert {name: types[name] for name in wanted} == wanted


def test_a_footer_tells_spark_nothing_of_what_it_knows(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.publish(archive.topic.change("c", {"id": 1, "name": "x"}))
    assert SPARK.encode() not in pq.read_metadata(published(archive.path)[0]).metadata


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("infinity", 2**63 - 1),
        ("-infinity", 1 - 2**63),
        ("-4712-01-01T00:00:00Z", -210_863_520_000_000_000),
        ("+10000-01-01T00:00:00.5Z", 253_402_300_800_500_000),
        ("2000-02-29T00:00:00.000000Z", 951_782_400_000_000),
    ],
)
def test_points_in_time_are_exact_where_a_datetime_is_not(text: str, micros: int, tmp_path: Path) -> None:
    zoned = table({"id": schema("int64", optional=False), "at": schema("string", "io.debezium.time.ZonedTimestamp")})
    archive = Archive(tmp_path, zoned, layout="flat")
    with closing(archive.sink) as sink:
        sink.open("lake")
        sink.write([archive.topic.change("c", {"id": 1, "at": text})])
        sink.commit({})
    column = pq.read_table(published(archive.path)[0]).column("at")
    assert column.cast(pa.int64()).to_pylist() == [micros]


def test_times_of_mysql_stay_numbers(tmp_path: Path) -> None:
    shape = {"id": schema("int64", optional=False), "t": schema("int64", "io.debezium.time.MicroTime")}
    archive = Archive(tmp_path, table(shape, connector="mysql"), layout="flat")
    assert [row["t"] for row in archive.publish(archive.topic.change("c", {"id": 1, "t": -3_020_399_000_000}))] == [
        -3_020_399_000_000
    ]


def test_nan_in_a_decimal_column_is_null_and_told(tmp_path: Path) -> None:
    archive = Archive(tmp_path, table({"id": schema("int64", optional=False), "price": decimal("5", "2")}))
    told = names(SPECIAL_COLUMNS, "price")
    [row] = archive.publish(archive.topic.change("c", {"id": 1, "price": Decimal("NaN")}, headers=[told]))
    assert row["after"]["price"] is None
    assert row["__headers"] == [{"name": told[0], "value": told[1]}]


@pytest.mark.parametrize("layout", ["envelope", "flat"])
def test_what_the_database_did_not_send_is_named(layout: str, tmp_path: Path) -> None:
    archive = Archive(tmp_path, layout=layout)
    held = "__debezium_unavailable_value"
    told = names(UNAVAILABLE_COLUMNS, "name")
    changed, whole = archive.publish(
        archive.topic.change("u", {"id": 1, "name": held}, headers=[told]),
        archive.topic.change("u", {"id": 2, "name": held}),  # a text that only looks like it
    )
    assert (changed["__unavailable"], whole["__unavailable"]) == (["name"], None)
    if layout == "flat":
        assert (changed["name"], whole["name"]) == (None, held)
    else:
        assert changed["after"]["name"] == held


def test_each_kind_of_change_shows_in_the_flat_layout(tmp_path: Path) -> None:
    topic = (archive := Archive(tmp_path, layout="flat")).topic
    read = archive.publish(
        topic.change("r", {"id": 1, "name": "a"}),
        topic.change("u", {"id": 1, "name": "b"}, {"id": 1, "name": "a"}),
        topic.change("d", None, {"id": 1, "name": None}),
        topic.raw(b"key", None),
        topic.change("t"),
    )
    assert [(row["__op"], row["__deleted"], row["id"], row["name"]) for row in read] == [
        ("r", False, 1, "a"),
        ("u", False, 1, "b"),
        ("d", True, 1, None),
        ("t", False, None, None),
    ]
    assert [row["__offset"] for row in read] == [0, 1, 2, 4]
    assert [row["__source"]["lsn"] for row in read] == [1000, 1001, 1002, 1004]
    assert archive.sink.position("lake") == {"at": 5}


def test_coordinates_stand_beside_every_row(tmp_path: Path) -> None:
    for format_ in ("parquet", "avro"):
        archive = Archive(tmp_path / format_, format=format_)
        told = ("__debezium.newkey", b"1")
        [row] = archive.publish(archive.topic.change("c", {"id": 1, "name": None}, headers=[told, ("empty", None)]))
        assert (row["__topic"], row["__partition"], row["__offset"]) == ("shop.public.goods", 0, 0)
        assert row["__timestamp"] == datetime.fromtimestamp(NOON / 1000, UTC)
        assert row["__headers"] == [{"name": told[0], "value": told[1]}, {"name": "empty", "value": None}]
        assert row["after"] == {"id": 1, "name": None}
        assert row["op"] == "c"


@pytest.mark.parametrize(
    ("format_", "compression"),
    [*(("avro", each) for each in ("zstd", "deflate", "snappy", "none")),
     *(("parquet", each) for each in ("zstd", "snappy", "gzip", "lz4", "none"))],
)  # fmt: skip
def test_every_compression_can_be_read(format_: str, compression: str, tmp_path: Path) -> None:
    archive = Archive(tmp_path, format=format_, compression=compression)
    read = archive.publish(*[archive.topic.change("c", {"id": number, "name": "x" * 50}) for number in range(100)])
    assert [row["after"]["id"] for row in read] == list(range(100))


def test_a_column_named_as_ours_gets_another_underscore(tmp_path: Path) -> None:
    about = table({"id": schema("int64", optional=False), "__offset": schema("string")})
    archive = Archive(tmp_path, about, layout="flat")
    [row] = archive.publish(archive.topic.change("c", {"id": 1, "__offset": "mine"}))
    assert (row["__offset"], row["___offset"]) == (0, "mine")


@pytest.mark.parametrize("format_", ["parquet", "avro"])
def test_a_damaged_value_is_handed_back_alone(format_: str, tmp_path: Path) -> None:
    archive = Archive(tmp_path, format=format_)
    topic = archive.topic
    whole = [topic.change("c", {"id": number, "name": "x"}) for number in range(3)]
    damaged = topic.raw(b"k", (whole[0].record.value or b"")[:-3])
    json = topic.raw(b"k", b'{"id": 1}')
    rejected: list[tuple[int, str]] = []
    archive.sink.reject_with(lambda delivery, error: rejected.append((delivery.record.offset, error.message)))
    read = archive.publish(whole[0], damaged, whole[1], json, whole[2])
    assert [row["__offset"] for row in read] == [0, 1, 2]
    assert [offset for offset, _ in rejected] == [3, 4]
    assert "is not what its schema 1 says" in rejected[0][1]
    assert rejected[1][1] == "the value is no Avro"


def test_a_damaged_value_stops_a_sink_that_was_not_told_otherwise(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    whole = archive.topic.change("c", {"id": 1, "name": "x"})
    with pytest.raises(BadRecord, match="is not what its schema 1 says"):
        archive.publish(archive.topic.raw(b"k", (whole.record.value or b"")[:-3]))
