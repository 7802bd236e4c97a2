"""Where rows go: folders, names, and when a file is finished."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from lake.reading import offsets, published
from lake.records import GOODS, NOON, Topic, schema, table
from tailrace.codec.delivery import Delivery
from tailrace.errors import ConfigError, Fatal
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.manifest import main, read_manifest
from tailrace_archive.remote import RemoteStore
from tailrace_archive.sink import ArchiveSink

HOUR = 3_600_000


def archived(folder: Path, deliveries: list[Delivery], **settings: object) -> list[str]:
    """Archive deliveries in one commit; return the files."""
    told = {"type": "archive", "topics": ["*"], "path": str(folder / "archive"), **settings}
    with closing(ArchiveSink("lake", ArchiveConfig.model_validate(told))) as sink:
        sink.open("lake")
        sink.write(deliveries)
        sink.commit({"at": 1})
    return [str(path.relative_to(folder / "archive")) for path in published(folder / "archive")]


@pytest.fixture
def topic(tmp_path: Path) -> Topic:
    return Topic(tmp_path / "registry")


def goods(topic: Topic, *hours: float) -> list[Delivery]:
    return [topic.change("c", {"id": 1, "name": "x"}, at=NOON + int(hour * HOUR)) for hour in hours]


def test_files_lie_by_day_and_hour_and_are_named_by_offsets(tmp_path: Path, topic: Topic) -> None:
    assert archived(tmp_path, goods(topic, 0, 0.5, 1, 0.9, 12)) == [
        "shop.public.goods/dt=2026-03-01/hour=12/shop.public.goods+0+0000000000+0000000003.parquet",
        "shop.public.goods/dt=2026-03-01/hour=13/shop.public.goods+0+0000000002+0000000002.parquet",
        "shop.public.goods/dt=2026-03-02/hour=00/shop.public.goods+0+0000000004+0000000004.parquet",
    ]
    assert offsets(tmp_path / "archive") == [0, 1, 2, 3, 4]


def test_days_are_those_of_the_time_zone(tmp_path: Path, topic: Topic) -> None:
    files = archived(tmp_path, goods(topic, 6.25, 6.75), time_zone="Asia/Kolkata")
    assert [file.split("/")[1:3] for file in files] == [["dt=2026-03-01", "hour=23"], ["dt=2026-03-02", "hour=00"]]
    assert [str(Path(file).parent) for file in archived(tmp_path / "day", goods(topic, 0), partition_by="day")] == [
        "shop.public.goods/dt=2026-03-01"
    ]


def test_folders_by_partition(tmp_path: Path, topic: Topic) -> None:
    assert archived(tmp_path, goods(topic, 0, 48), partition_by="partition") == [
        "shop.public.goods/partition=0/shop.public.goods+0+0000000000+0000000001.parquet"
    ]


def test_folders_by_a_field_of_the_row(tmp_path: Path) -> None:
    shape = {"id": schema("int64", optional=False), "made": schema("int64", "io.debezium.time.MicroTimestamp")}
    topic = Topic(tmp_path / "registry", table(shape))
    made = {"id": 1, "made": (NOON + 5 * HOUR) * 1000}
    deliveries = [topic.change("c", made), topic.change("d", None, made), topic.change("c", {"id": 2, "made": None})]
    files = archived(tmp_path, deliveries, time_field="after.made")
    assert [file.split("/")[2] for file in files] == ["hour=12", "hour=17"]


def test_each_file_of_a_commit_is_a_sign_of_life(tmp_path: Path, topic: Topic) -> None:
    told = {"type": "archive", "topics": ["*"], "path": str(tmp_path / "archive")}
    signs: list[int] = []
    with closing(ArchiveSink("lake", ArchiveConfig.model_validate(told))) as sink:
        sink.tell_with(lambda: signs.append(len(published(tmp_path / "archive"))))
        sink.open("lake")
        sink.write(goods(topic, 0, 1, 2))
        sink.commit({"at": 1})
    assert signs == [0, 0, 0, 1, 2, 3], "three were staged, then moved"


@pytest.mark.parametrize(("settings", "rows"), [({"roll_rows": 4}, [4, 4, 2]), ({"roll_bytes": 1}, [1] * 10)])
def test_a_file_is_finished_by_rows_and_by_size(
    settings: dict[str, object], rows: list[int], tmp_path: Path, topic: Topic
) -> None:
    told = {"type": "archive", "topics": ["*"], "path": str(tmp_path / "archive"), **settings}
    with closing(ArchiveSink("lake", ArchiveConfig.model_validate(told))) as sink:
        sink.open("lake")
        for delivery in goods(topic, *[0] * 10):
            sink.write([delivery])
        assert published(tmp_path / "archive") == []
        sink.commit({"at": 1})
    assert [entry.rows for entry in read_manifest(str(tmp_path / "archive"), "lake").files] == rows


def test_a_new_schema_begins_a_new_file(tmp_path: Path, topic: Topic) -> None:
    old = goods(topic, 0, 0)
    topic.table = table({"id": schema("int64", optional=False), "name": schema("string"), "size": schema("int32")})
    new = [topic.change("c", {"id": 2, "name": "y", "size": 3})]
    files = archived(tmp_path, old + new)
    assert [file[-29:-8] for file in files] == ["0000000000+0000000001", "0000000002+0000000002"]
    schemas = {entry.schema_id for entry in read_manifest(str(tmp_path / "archive"), "lake").files}
    assert len(schemas) == 2


def test_there_are_never_more_open_files_than_allowed(tmp_path: Path, topic: Topic) -> None:
    files = archived(tmp_path, goods(topic, *range(6), *range(6)), open_files=3)
    assert len(files) == 12
    assert offsets(tmp_path / "archive") == list(range(12))


def test_little_memory_makes_more_row_groups_not_more_files(tmp_path: Path, topic: Topic) -> None:
    deliveries = goods(topic, *[0, 1, 2] * 200)
    told = {"type": "archive", "topics": ["*"], "path": str(tmp_path / "archive"), "buffer_bytes": 20_000}
    with closing(ArchiveSink("lake", ArchiveConfig.model_validate(told))) as sink:
        sink.open("lake")
        for start in range(0, 600, 20):
            sink.write(deliveries[start : start + 20])
        sink.commit({"at": 1})
    files = published(tmp_path / "archive")
    assert len(files) == 3
    assert all(pq.ParquetFile(file).num_row_groups > 1 for file in files)
    assert offsets(tmp_path / "archive") == list(range(600))


def test_a_file_tells_where_it_comes_from(tmp_path: Path, topic: Topic) -> None:
    archived(tmp_path, goods(topic, 0, 0))
    told = pq.read_metadata(published(tmp_path / "archive")[0]).metadata
    assert told[b"tailrace.topic"] == b"shop.public.goods"
    assert (told[b"tailrace.first_offset"], told[b"tailrace.last_offset"]) == (b"0", b"1")
    assert json.loads(told[b"tailrace.avro.schema"])["name"] == "Envelope"


def test_the_manifest_can_be_read_from_the_command_line(tmp_path: Path, topic: Topic) -> None:
    files = archived(tmp_path, goods(topic, 0, 0))
    command = [sys.executable, "-m", "tailrace_archive.manifest", str(tmp_path / "archive"), "--sink", "lake"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [entry] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (entry["path"], entry["rows"], entry["first"], entry["last"]) == (files[0], 2, 0, 1)


@pytest.mark.parametrize(
    ("folder", "hint"), [("archive", "sinks that have written there: lake"), ("arhcive", "no sink has written there")]
)
def test_a_manifest_that_is_none_is_not_an_empty_one(
    folder: str, hint: str, tmp_path: Path, topic: Topic, capsys: pytest.CaptureFixture[str]
) -> None:
    archived(tmp_path, goods(topic, 0))
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / folder), "--sink", "laek"])
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (1, "")
    assert f"error: read the ledger _tailrace/laek of the archive {tmp_path / folder}: there is none\n" in told.err
    assert f"hint: {hint}" in told.err


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"format": "avro", "compression": "gzip"}, "compression gzip is none that avro files have"),
        ({"compression": "zip"}, "compression zip is none that parquet files have: zstd, snappy, gzip, lz4, none"),
        ({"format": "avro", "layout": "flat"}, "layout flat is none that avro files have"),
        ({"time_zone": "Mars/Olympus"}, "there is no time zone Mars/Olympus"),
    ],
)
def test_settings_that_fit_nothing_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ArchiveConfig.model_validate({"type": "archive", "topics": ["*"], "path": "x", **settings})


def test_a_position_can_be_set(tmp_path: Path, topic: Topic) -> None:
    archived(tmp_path, goods(topic, 0))
    told = {"type": "archive", "topics": ["*"], "path": str(tmp_path / "archive")}
    sink = ArchiveSink("lake", ArchiveConfig.model_validate(told))
    sink.set_position("lake", {"shop.public.goods-0": 7})
    assert sink.position("lake") == {"shop.public.goods-0": 7}
    assert offsets(tmp_path / "archive") == [0]
    assert [finding.ok for finding in sink.check()] == [True]


def test_a_damaged_ledger_is_said_to_be_one(tmp_path: Path, topic: Topic) -> None:
    archived(tmp_path, goods(topic, 0))
    last = max((tmp_path / "archive/_tailrace/lake/commits").iterdir())
    last.write_bytes(b"{}")
    sink = ArchiveSink("lake", ArchiveConfig.model_validate(
        {"type": "archive", "topics": ["*"], "path": str(tmp_path / "archive")}))  # fmt: skip
    with closing(sink), pytest.raises(Fatal, match="it is no commit of an archive"):
        sink.open("lake")


def test_nothing_is_written_for_no_records(tmp_path: Path) -> None:
    topic = Topic(tmp_path / "registry", GOODS)
    assert archived(tmp_path, [topic.raw(b"k", None)]) == []


@pytest.mark.parametrize(("given", "seconds"), [({}, 60), ({"config_kwargs": {"read_timeout": 200}}, 200)])
def test_an_upload_over_a_slow_line_has_a_minute_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, object], seconds: int
) -> None:
    told: dict[str, dict[str, int]] = {}

    def connect(_: str, **settings: Any) -> tuple[object, str]:
        told.update(settings)
        return object(), "lake"

    monkeypatch.setattr("fsspec.core.url_to_fs", connect)
    with closing(RemoteStore("s3://lake/shop", given, "_tailrace/lake", tmp_path)) as store:
        store.open("lake")
    assert told["config_kwargs"] == {"read_timeout": seconds}


def test_a_store_without_its_driver_is_a_fault_of_the_config(tmp_path: Path) -> None:
    store = RemoteStore("unheard://lake/shop", {}, "_tailrace/lake", tmp_path / "spool")
    with pytest.raises(ConfigError, match="open the archive unheard://lake/shop") as caught:
        store.open("lake")
    store.close()
    assert caught.value.hint == "pip install fsspec"


def test_a_path_that_asks_for_java_is_told_of_the_way_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    for name in ("HADOOP_HOME", "ARROW_LIBHDFS_DIR"):
        monkeypatch.delenv(name, raising=False)
    store = RemoteStore("hdfs://127.0.0.1:1/shop", {}, "_tailrace/lake", tmp_path / "spool")
    with pytest.raises(ConfigError, match="open the archive hdfs:") as caught:
        store.open("lake")
    store.close()
    assert "webhdfs://" in caught.value.hint
