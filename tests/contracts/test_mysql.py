"""The MySQL source holds to the contract of sources on both servers, with a snapshot before its stream and without."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pytest

from databases.mysql.driven import Driven
from servers.mysql import MysqlDatabase
from tailrace.event import Change, Event
from tailrace.source import Source
from tailrace.testing.source_contract import SOURCE_CHECKS


class BinlogStage:
    def __init__(self, database: MysqlDatabase, snapshot: str) -> None:
        self._database = database
        database.execute("CREATE TABLE items (id int PRIMARY KEY)")
        self._count = 0
        self._settings: dict[str, Any] = {"snapshot": snapshot, "chunk_rows": 2, "topic_prefix": "contract"}
        self._connection = database.connect()
        self._log: list[Event] = []

    def source(self) -> Source[Event]:
        driven = Driven(self._database, "contract", **self._settings)
        driven.committed = self._log
        return driven.source

    def happen(self, count: int) -> list[Hashable]:
        numbers: list[Hashable] = list(range(self._count, self._count + count))
        self._count += count
        with self._connection.cursor() as cursor:
            for number in numbers:
                cursor.execute("INSERT INTO items VALUES (%s)", [number])
        return numbers

    def identity(self, item: Event) -> Hashable | None:
        if not isinstance(item, Change):
            self._log.append(item)  # the source's schema history, which it reads back
            return None
        assert item.after is not None
        return int(str(item.after["id"]))

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_binlog_source(check: Callable[[BinlogStage], None], binlog_database: MysqlDatabase) -> None:
    stage = BinlogStage(binlog_database, "initial")
    try:
        check(stage)
    finally:
        stage.close()
