"""Spark, and DuckDB's `iceberg_scan`, read archives and Iceberg tables: for `make readers`, and no part of the suite.

Both are fetched first, half a gigabyte, which is why: see `servers.spark`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from databases.debezium.install import cache_folder
from lake.reading import published, rows
from lake.records import GOODS, NOON, Topic, schema, table
from lake.tables import scanned
from lake.values import EVERY, TYPES, Archive, decimal
from servers import jars, spark
from tailrace.codec.delivery import Delivery
from tailrace.event import Table
from tailrace_archive.iceberg.config import IcebergConfig
from tailrace_archive.iceberg.sink import IcebergSink
from tailrace_archive.manifest import read_manifest

# Spark's own: it leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

HOUR = 3_600_000
TOPIC = "shop.public.goods"
DUCKDB = ("duckdb==1.5.5", "duckdb-extension-iceberg==1.5.5", "duckdb-extension-avro==1.5.5")
TIMES = ("clock", "second")
FULL = {name: value for name, (_, value, *_) in TYPES.items()}
EMPTY = dict.fromkeys(TYPES) | {"id": 1}
NARROW = table({"id": schema("int32", optional=False), "old": schema("int16"), "price": decimal("9", "2")})
WIDE = table({"id": schema("int64", optional=False), "price": decimal("12", "2"), "new": schema("string")})


class Engines:
    """Spark with the catalogue in `folder`."""

    def __init__(self, session: Any, folder: Path) -> None:
        self.spark, self.folder = session, folder

    def table(self, name: str) -> list[dict[str, Any]]:
        return [row.asDict(recursive=True) for row in self.spark.sql(f"SELECT * FROM `default`.{name}").collect()]

    def sink(self, name: str, **settings: object) -> IcebergSink:
        """A sink whose tables are in a namespace of its name."""
        told = {"type": "iceberg", "topics": ["*"], "path": self.folder, "namespace": name, **settings}
        return IcebergSink(name, IcebergConfig.model_validate({**told, "spool": self.folder.parent / name}))

    def load(self, sink: IcebergSink, deliveries: Sequence[Delivery]) -> None:
        with closing(sink):
            sink.open("lake")
            sink.write(deliveries)
            sink.commit({"next": deliveries[-1].record.offset + 1})


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    if reason := jars.missing():
        pytest.fail(reason)
    folder = tmp_path_factory.mktemp("lake") / "tables"
    catalogue = "spark.sql.catalog.default"
    settings = {
        catalogue: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalogue}.type": "jdbc",
        f"{catalogue}.uri": f"jdbc:sqlite:{folder}/catalog.db",
        f"{catalogue}.warehouse": f"file://{folder}",
    }
    with spark.session(settings) as session:
        yield Engines(session, folder)


def seen(value: object, type_: pa.DataType | None = None) -> object:
    """What Spark has for a value of pyarrow's."""
    match value:
        case UUID():
            return value.bytes
        case time():
            micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
            return micros // 1000 if type_ == pa.time32("ms") else micros
        case datetime() if value.tzinfo is not None:
            return value.astimezone().replace(tzinfo=None)  # Python's local time, which pyspark makes of it
        case [(str(), _), *_]:
            return dict(cast("list[tuple[str, object]]", value))
        case _:
            return value


@pytest.mark.parametrize("layout", ["envelope", "flat"])
def test_spark_reads_every_type_of_parquet(layout: str, engines: Engines, tmp_path: Path) -> None:
    archive = Archive(tmp_path, EVERY, layout=layout)
    later = archive.topic.change("d", None, FULL, at=NOON + HOUR)
    truncate = archive.topic.change("t", at=NOON + HOUR)
    archive.publish(archive.topic.change("c", FULL), archive.topic.change("c", EMPTY), later, truncate)
    frame = engines.spark.read.option("mergeSchema", "true").parquet(str(archive.path / TOPIC))
    read = sorted([row.asDict(recursive=True) for row in frame.collect()], key=lambda row: row["__offset"])
    full, empty, deleted, none = (
        [read[2]["after"], read[3]["after"], read[0]["before"], read[1]["before"]]
        if layout == "envelope"
        else [read[2], read[3], read[0], read[1]]
    )
    wanted = {name: seen(value, type_) for name, (_, _, value, type_) in TYPES.items()}
    assert {name: full[name] for name in TYPES} == wanted
    assert {name: empty[name] for name in TYPES} == EMPTY
    assert {name: deleted[name] for name in TYPES} == wanted
    assert none is None if layout == "envelope" else {none[name] for name in TYPES} == {None}
    assert [(f"{row['dt']}", row["hour"]) for row in read] == [("2026-03-01", 13)] * 2 + [("2026-03-01", 12)] * 2
    assert engines.spark.read.parquet(str(archive.path / TOPIC)).where("hour = 13").count() == 2


def test_spark_reads_every_type_of_avro(engines: Engines, tmp_path: Path) -> None:
    archive = Archive(tmp_path, EVERY, format="avro")
    archive.publish(archive.topic.change("c", FULL), archive.topic.change("c", EMPTY))
    (path,) = published(archive.path)
    shape = without_long_decimals(written(path))
    frame = engines.spark.read.format("avro").option("avroSchema", json.dumps(shape)).load(str(archive.path / TOPIC))
    read = sorted([row.asDict(recursive=True) for row in frame.collect()], key=lambda row: row["__offset"])
    with path.open("rb") as file:
        wanted = [dict(row) for row in fastavro.reader(file)]  # type: ignore[arg-type]
    assert differences([row["after"] for row in read], [row["after"] for row in wanted]) == [
        ("unsigned", (2**64 - 1).to_bytes(9, "big"), Decimal(2**64 - 1)),
        ("huge", (15 * 10**63).to_bytes(27, "big"), Decimal("1.5") * 10**34),
    ]
    assert [row["__timestamp"] for row in read] == [seen(row["__timestamp"]) for row in wanted]


def differences(found: Sequence[Mapping[str, object]], wanted: Sequence[Mapping[str, object]]) -> list[object]:
    """Where rows differ: short enough to be read."""
    pairs = list(zip(found, wanted, strict=True))
    return [(key, a.get(key), b.get(key)) for a, b in pairs for key in {**a, **b} if a.get(key) != b.get(key)]


def written(path: Path) -> Any:
    """The schema of an Avro file."""
    with path.open("rb") as file:
        return json.loads(fastavro.reader(file).metadata["avro.schema"])


def without_long_decimals(shape: Any) -> Any:
    """The schema with bytes for decimals of more digits than Spark has."""
    match shape:
        case {"logicalType": "decimal", "precision": int(digits)} if digits > 38:
            return {"type": "bytes"}
        case dict():
            return {name: without_long_decimals(each) for name, each in shape.items()}
        case list():
            return [without_long_decimals(each) for each in shape]
        case _:
            return shape


@pytest.mark.parametrize("format_", ["parquet", "avro"])
def test_spark_reads_files_of_several_schemas_by_the_newest(format_: str, engines: Engines, tmp_path: Path) -> None:
    archive = Archive(tmp_path, NARROW, format=format_)
    before = archive.topic.change("c", {"id": 1, "old": 7, "price": Decimal("1.50")})
    archive.topic.table = WIDE
    after = archive.topic.change("c", {"id": 2**40, "price": Decimal("2.50"), "new": "x"}, at=NOON + HOUR)
    archive.publish(before, after)
    newest = published(archive.path)[-1]
    reader = engines.spark.read
    if format_ == "avro":
        frame = reader.format("avro").option("avroSchema", json.dumps(written(newest))).load(str(archive.path / TOPIC))
    else:
        frame = reader.schema(engines.spark.read.parquet(str(newest)).schema).parquet(str(archive.path / TOPIC))
    found = frame.orderBy("__offset").select("after.id", "after.price", "after.new", "hour").collect()
    assert list(map(tuple, found)) == [(1, Decimal("1.50"), None, 12), (2**40, Decimal("2.50"), "x", 13)]


def test_spark_merges_added_columns_and_keeps_to_the_manifest(engines: Engines, tmp_path: Path) -> None:
    archive = Archive(tmp_path, table({"id": schema("int64", optional=False)}), layout="flat")
    before = archive.topic.change("c", {"id": 1})
    archive.topic.table = table(
        {"id": schema("int64", optional=False), "uid": schema("string", "io.debezium.data.Uuid")}
    )
    archive.publish(before, archive.topic.change("c", {"id": 2, "uid": str(UUID(int=2))}, at=NOON + HOUR))
    listed = [str(archive.path / entry.path) for entry in read_manifest(str(archive.path), "lake").of(TOPIC)]
    stray = published(archive.path)[0]
    shutil.copy(stray, stray.with_name("stray.parquet"))
    reader = engines.spark.read.option("mergeSchema", "true")
    found = reader.option("basePath", str(archive.path / TOPIC)).parquet(*listed).orderBy("__offset")
    columns = [tuple(row) for row in found.select("__offset", "id", "uid", "hour").collect()]
    assert columns == [(0, 1, None, 12), (1, 2, UUID(int=2).bytes, 13)]
    assert reader.parquet(str(archive.path / TOPIC)).count() == len(rows(archive.path)) == 3


def goods(topic: Topic) -> Iterator[list[Delivery]]:
    """Commits that add, change, delete and widen."""
    yield [topic.change("r", {"id": number, "name": "first"}) for number in range(6)]
    change, gone = topic.change("u", {"id": 0, "name": "second"}), topic.change("d", None, {"id": 1, "name": None})
    yield [
        change,
        gone,
        topic.change("d", None, {"id": 2, "name": None}),
        topic.change("c", {"id": 2, "name": "again"}),
    ]
    topic.table = table({"id": schema("int64", optional=False), "name": schema("string"), "more": schema("int16")})
    yield [topic.change("c", {"id": 9, "name": "new", "more": 1}, at=NOON + HOUR)]


def every(topic: Topic) -> Iterator[list[Delivery]]:
    yield [topic.change("c", FULL), topic.change("c", EMPTY)]
    yield [topic.change("u", {**FULL, "small": 5})]


WITHOUT_TIMES = table({name: each for name, (each, *_) in TYPES.items() if name not in TIMES})
CASES: Mapping[str, tuple[Table, Any]] = {"goods": (GOODS, goods), "every": (WITHOUT_TIMES, every)}


@pytest.mark.parametrize("mode", ["changelog", "state"])
@pytest.mark.parametrize("case", CASES)
def test_spark_and_duckdb_read_iceberg_tables(mode: str, case: str, engines: Engines, tmp_path: Path) -> None:
    about, commits = CASES[case]
    topic, name = Topic(tmp_path / "registry", about), f"{case}_{mode}"
    for deliveries in commits(topic):
        engines.load(engines.sink(name, mode=mode), deliveries)
    by = "id" if mode == "state" else "__offset"
    truth = scanned(engines.folder, f"{name}.goods").sort_by(by).to_pylist()
    for row in truth if mode == "changelog" else ():
        row["__headers"] = None  # pyiceberg reads an empty list
    found = sorted(engines.table(f"{name}.goods"), key=lambda row: row[by])
    assert not differences(found, [{key: iceberg(value) for key, value in row.items()} for row in truth])
    assert not differences(by_duckdb(engines.folder / name / "goods", tmp_path).sort_by(by).to_pylist(), truth)


def iceberg(value: object) -> object:
    """What Spark has for a value of an Iceberg table: its UUIDs are text."""
    if isinstance(value, dict):
        return {name: iceberg(each) for name, each in value.items()}
    return str(value) if isinstance(value, UUID) else seen(value)


def test_spark_refuses_iceberg_tables_with_a_time_of_day(engines: Engines, tmp_path: Path) -> None:
    topic = Topic(tmp_path / "registry", EVERY)
    engines.load(engines.sink("times", mode="state"), [topic.change("c", FULL)])
    with pytest.raises(Exception, match="Spark does not support time fields"):
        engines.table("times.goods")
    (row,) = by_duckdb(engines.folder / "times" / "goods", tmp_path).to_pylist()
    assert [row[name] for name in TIMES] == [TYPES[name][2] for name in TIMES]


_SCAN = """
import sys, glob, duckdb
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
for name in ("avro", "iceberg"):
    (file,) = glob.glob(f"{sys.argv[1]}/duckdb_extension_{name}/extensions/*/*.duckdb_extension")
    connection.execute(f"LOAD '{file}'")
connection.execute(f"COPY (SELECT * FROM iceberg_scan('{sys.argv[2]}')) TO '{sys.argv[3]}'")
"""


def by_duckdb(folder: Path, work: Path) -> pa.Table:
    """The rows of a table by DuckDB, of the version that PyPI has the extension for."""
    programs = cache_folder() / DUCKDB[1].replace("==", "-")
    jars.install(programs, install_duckdb)
    newest = max((folder / "metadata").glob("*.metadata.json"))
    told = [sys.executable, "-c", _SCAN, str(programs), str(newest), str(work / "scanned.parquet")]
    subprocess.run(told, check=True, env={"PYTHONPATH": str(programs)})
    return pq.read_table(work / "scanned.parquet")


def install_duckdb(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *DUCKDB]
    subprocess.run(pip, check=True)
