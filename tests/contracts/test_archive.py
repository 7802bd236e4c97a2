"""The archive sink holds to the contract of sinks, in either format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lake.reading import rows
from lake.records import Topic
from tailrace.codec.delivery import Delivery
from tailrace.testing.sink_contract import SINK_CHECKS
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.sink import ArchiveSink


class ArchiveStage:
    def __init__(self, folder: Path, format_: str) -> None:
        self._topic = Topic(folder / "registry")
        self._path = folder / "archive"
        self._config = ArchiveConfig.model_validate(
            {"type": "archive", "topics": ["*"], "path": str(self._path), "format": format_}
        )

    def sink(self) -> ArchiveSink:
        return ArchiveSink("lake", self._config)

    def item(self, number: int) -> Delivery:
        return self._topic.item(number)

    def stored(self) -> list[int]:
        return [row["after"]["id"] for row in rows(self._path)]


def name(check: object) -> str:
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("format_", ["parquet", "avro"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=name)
def test_archive(check: Callable[[object], None], format_: str, tmp_path: Path) -> None:
    check(ArchiveStage(tmp_path, format_))
