"""The sink of Iceberg tables holds to the contract of sinks, in either mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lake.records import Topic
from lake.tables import table_rows
from tailrace.codec.delivery import Delivery
from tailrace.testing.sink_contract import SINK_CHECKS
from tailrace_archive.iceberg.config import IcebergConfig
from tailrace_archive.iceberg.sink import IcebergSink


class IcebergStage:
    def __init__(self, folder: Path, mode: str) -> None:
        self._topic = Topic(folder / "registry")
        self._path = folder / "tables"
        self._mode = mode
        self._config = IcebergConfig.model_validate(
            {"type": "iceberg", "topics": ["*"], "path": self._path, "mode": mode, "spool": folder / "spool"}
        )

    def sink(self) -> IcebergSink:
        return IcebergSink("lake", self._config)

    def item(self, number: int) -> Delivery:
        return self._topic.item(number)

    def stored(self) -> list[int]:
        if self._mode == "state":
            return [row["id"] for row in table_rows(self._path, "shop_public.goods", "id")]
        return [row["after"]["id"] for row in table_rows(self._path, "shop_public.goods", "__offset")]


def name(check: object) -> str:
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("mode", ["changelog", "state"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=name)
def test_iceberg(check: Callable[[object], None], mode: str, tmp_path: Path) -> None:
    check(IcebergStage(tmp_path, mode))
