"""An archive on a real HDFS, through WebHDFS: whole and once, over kills of the writer and a DataNode that dies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from lake.records import Topic
from servers.hdfs import Hdfs
from tailrace.errors import Retriable
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.manifest import read_manifest
from tailrace_archive.sink import ArchiveSink

COUNT = 40


def settings(hdfs: Hdfs, folder: Path, spool: str = "spool") -> dict[str, object]:
    url = hdfs.url(folder.name)
    return {"type": "archive", "topics": ["*"], "path": url, "options": hdfs.options, "spool": str(folder / spool)}


def files(hdfs: Hdfs, folder: Path) -> Mapping[str, list[int]]:
    """The offsets in each file that a reader finds."""
    store = fsspec.filesystem("webhdfs", host="127.0.0.1", port=hdfs.port, use_listings_cache=False, **hdfs.options)
    found = [path for path in store.find(f"/{folder.name}") if "/_tailrace/" not in path]
    return {path: pq.read_table(store.open(path)).column("__offset").to_pylist() for path in found}


class Writer:
    """A process that archives."""

    def __init__(self, hdfs: Hdfs, folder: Path) -> None:
        command = [sys.executable, "-m", "lake.writer", str(folder / "registry"), str(COUNT)]
        tests = Path(__file__).parent.parent
        self._process = subprocess.Popen(
            [*command, json.dumps(settings(hdfs, folder))], cwd=tests, stdout=subprocess.PIPE, text=True
        )

    def lines_until(self, beginning: str) -> list[str]:
        assert self._process.stdout is not None
        lines = []
        for line in self._process.stdout:
            lines.append(line.strip())
            if line.startswith(beginning):
                return lines
        raise AssertionError(f"it ended without {beginning}: {lines}")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=60)

    def end(self) -> None:
        self._process.communicate(timeout=120)
        assert self._process.returncode == 0


def test_every_record_is_in_one_file_after_kills_and_a_dead_data_node(hdfs: Hdfs, tmp_path: Path) -> None:
    for reached in ("committed 5", "committed 10"):
        writer = Writer(hdfs, tmp_path)
        writer.lines_until(reached)
        writer.kill()
    hdfs.kill_data_node()
    writer = Writer(hdfs, tmp_path)
    (*_, last) = writer.lines_until("again: ")
    assert "the task goes on by itself" in last or "the store refused it" in last
    hdfs.start_data_node()
    writer.end()
    found = files(hdfs, tmp_path)
    assert sorted(offset for offsets in found.values() for offset in offsets) == list(range(COUNT))
    manifest = read_manifest(hdfs.url(tmp_path.name), "lake", hdfs.options)
    assert {f"/{tmp_path.name}/{entry.path}" for entry in manifest.files} == set(found)


def test_a_second_machine_takes_over(hdfs: Hdfs, tmp_path: Path) -> None:
    topic = Topic(tmp_path / "registry")
    one, two = [
        ArchiveSink("lake", ArchiveConfig.model_validate(settings(hdfs, tmp_path, name))) for name in ("one", "two")
    ]
    with closing(one), closing(two):
        one.open("lake")
        one.write([topic.item(0)])
        two.open("lake")
        two.write([topic.item(0)])
        with pytest.raises(Retriable, match="another writer has taken the archive over"):
            one.commit({"next": 1})
        two.commit({"next": 1})
    assert list(files(hdfs, tmp_path).values()) == [[0]]
