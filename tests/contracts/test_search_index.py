"""The embedded index holds to the contracts of sinks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tailrace.codec.delivery import Delivery
from tailrace.testing.deliveries import Deliveries
from tailrace.testing.row_sink_contract import ROW_SINK_CHECKS, RowSinkStage
from tailrace.testing.sink_contract import SINK_CHECKS
from tailrace_search.embedded import SearchConfig, SearchSink
from tailrace_search.fulltext import FILE, Library


class IndexStage:
    def __init__(self, folder: Path) -> None:
        self.told = Deliveries(folder / "told")
        self._path = folder / "index"

    def sink(self) -> SearchSink:
        return SearchSink("find", SearchConfig(type="search", topics=["*"], path=self._path))

    def item(self, number: int) -> Delivery:
        (delivery,) = self.told.insert(number)
        return delivery

    def rows(self) -> Sequence[Mapping[str, object]]:
        if not (self._path / FILE).exists():
            return []
        with Library(self._path).reading() as shelves:
            return [document for shelf in shelves.values() for document in shelf.documents()]

    def stored(self) -> list[int]:
        return [int(str(row["id"])) for row in self.rows()]


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_commits(check: Callable[[object], None], tmp_path: Path) -> None:
    check(IndexStage(tmp_path))


@pytest.mark.parametrize("check", ROW_SINK_CHECKS, ids=lambda check: check.__name__)
def test_rows(check: Callable[[RowSinkStage], None], tmp_path: Path) -> None:
    stage = IndexStage(tmp_path)
    check(stage)
    _agrees_with_itself(tmp_path / "index" / FILE)


def _agrees_with_itself(file: Path) -> None:
    """The words of an index without content are right only if all that were taken out had been put in."""
    connection = sqlite3.connect(file)
    try:
        names = [name for (name,) in connection.execute("SELECT topic FROM topics")]
        for name in names:
            words, documents = f'"{name} words"', f'"{name}"'
            (counted,) = connection.execute(
                f"SELECT count(*) FROM {words} WHERE {words} MATCH 'name: one OR uno'"
            ).fetchone()
            (there,) = connection.execute(
                f"SELECT count(*) FROM {documents} WHERE json_extract(document, '$.name') IN ('one', 'uno')"
            ).fetchone()
            assert counted == there
            connection.execute(f"INSERT INTO {words} ({words}) VALUES ('integrity-check')")
    finally:
        connection.close()
