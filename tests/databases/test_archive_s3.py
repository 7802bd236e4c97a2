"""Archives on an S3 API server: published whole and once, by one writer; what goes wrong is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import fsspec
import pyarrow.parquet as pq
import pytest

from lake.records import Topic
from servers import s3
from tailrace.errors import Fatal, Retriable
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.manifest import read_manifest
from tailrace_archive.sink import ArchiveSink


@pytest.fixture(scope="module")
def server() -> Iterator[s3.S3]:
    with s3.running() as running:
        yield running


class Lake:
    """An archive in a bucket of its own."""

    def __init__(self, server: s3.S3, folder: Path) -> None:
        self.bucket = f"lake-{uuid4().hex[:8]}"
        server.make_bucket(self.bucket)
        self.url = f"s3://{self.bucket}/shop"
        self.options = server.options()
        self.folder = folder
        self.topic = Topic(folder / "registry")

    def sink(self, machine: str = "one", **settings: object) -> ArchiveSink:
        """A sink on a machine: it has a folder of its own for what is not uploaded yet."""
        told = {"type": "archive", "topics": ["*"], "path": self.url, "options": self.options,
                "spool": str(self.folder / machine), **settings}  # fmt: skip
        return ArchiveSink("lake", ArchiveConfig.model_validate(told))

    def offsets(self) -> list[int]:
        files = fsspec.filesystem("s3", use_listings_cache=False, **self.options)
        found = [path for path in files.find(self.bucket) if "/_tailrace/" not in path]
        tables = [pq.read_table(files.open(path)) for path in found]
        return sorted(offset for table in tables for offset in table.column("__offset").to_pylist())

    def staged(self) -> list[str]:
        files = fsspec.filesystem("s3", use_listings_cache=False, **self.options)
        return [path for path in files.find(self.bucket) if path.endswith(".staged")]


@pytest.fixture
def lake(server: s3.S3, tmp_path: Path) -> Lake:
    return Lake(server, tmp_path)


def test_files_are_published_with_their_position(lake: Lake) -> None:
    with closing(lake.sink()) as sink:
        assert sink.open("lake") is None
        sink.write([lake.topic.item(0), lake.topic.item(1)])
        assert lake.offsets() == []
        sink.commit({"at": 2})
        assert lake.offsets() == [0, 1]
    with closing(lake.sink()) as sink:
        assert sink.open("lake") == {"at": 2}
    manifest = read_manifest(lake.url, "lake", lake.options)
    assert [(entry.first, entry.last) for entry in manifest.files] == [(0, 1)]
    assert lake.staged() == []


def test_what_a_crash_left_half_published_is_finished_and_half_written_is_dropped(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = lake.sink()
    sink.open("lake")
    sink.write([lake.topic.item(0)])
    # It dies between the commit and the first move.
    monkeypatch.setattr(sink._ledger, "_publish", lambda _: None)
    sink.commit({"at": 1})
    sink._store.stage(torn(lake), "_tailrace/lake/staged/torn.staged")
    sink.close()
    assert (lake.offsets(), len(lake.staged())) == ([], 2)
    with closing(lake.sink()) as again:
        assert again.open("lake") == {"at": 1}
    assert (lake.offsets(), lake.staged()) == ([0], [])


def torn(lake: Lake) -> Path:
    path = lake.folder / "torn"
    path.write_bytes(b"half")
    return path


def test_a_writer_on_another_machine_takes_over_and_the_first_can_commit_no_more(lake: Lake) -> None:
    with closing(lake.sink("one")) as first, closing(lake.sink("two")) as second:
        first.open("lake")
        first.write([lake.topic.item(0)])
        assert second.open("lake") is None
        with pytest.raises(Retriable, match="another writer has taken the archive over"):
            first.commit({"at": 1})
        second.write([lake.topic.item(0)])
        second.commit({"at": 1})
    assert lake.offsets() == [0]


def test_a_second_writer_on_the_same_machine_waits(lake: Lake) -> None:
    with closing(lake.sink()) as first, closing(lake.sink()) as second:
        first.open("lake")
        with pytest.raises(Retriable, match="another process here is writing it"):
            second.open("lake")


def test_a_bucket_that_is_not_there_is_named(lake: Lake) -> None:
    with closing(lake.sink(path="s3://no-such-bucket/x")) as sink, pytest.raises(Fatal, match="does not exist") as told:
        sink.open("lake")
    assert "create the bucket" in told.value.hint


def test_a_server_that_is_away_is_waited_for(lake: Lake) -> None:
    options: Mapping[str, object] = {**lake.options, "endpoint_url": "http://127.0.0.1:1"}
    with closing(lake.sink(options=options)) as sink, pytest.raises(Retriable, match=r"127\.0\.0\.1:1") as told:
        sink.open("lake")
    assert told.value.patient


def test_check_tries_it_out(lake: Lake) -> None:
    assert [finding.ok for finding in lake.sink().check()] == [True]
    [finding] = lake.sink(path="s3://no-such-bucket/x").check()
    assert not finding.ok
