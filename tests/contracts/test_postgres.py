"""The Postgres source holds to the contract of sources, with a snapshot before its stream and without one."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest
from pydantic import SecretStr

from servers.postgres import Database
from tailrace.event import Change, Event
from tailrace.source import Source
from tailrace.testing.source_contract import SOURCE_CHECKS
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.source import PostgresSource


class PostgresStage:
    def __init__(self, database: Database, snapshot: str) -> None:
        self._connection = database.connect()
        self._connection.execute("CREATE TABLE items (id int PRIMARY KEY)")
        self._count = 0
        settings = {"url": SecretStr(database.url), "snapshot": snapshot, "chunk_rows": 2, "heartbeat_interval": 0}
        self._config = PostgresConfig.model_validate({**settings, "topic_prefix": "contract"})
        if snapshot == "never":  # what happens before the slot is made is nobody's business then
            source = self.source()
            source.open(None)
            source.close()

    def source(self) -> Source[Event]:
        return PostgresSource("contract", self._config)

    def happen(self, count: int) -> list[Hashable]:
        numbers: list[Hashable] = list(range(self._count, self._count + count))
        self._count += count
        for number in numbers:
            self._connection.execute("INSERT INTO items VALUES (%s)", [number])
        return numbers

    def identity(self, item: Event) -> Hashable | None:
        assert isinstance(item, Change)
        assert item.after is not None
        return int(str(item.after["id"]))

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("snapshot", ["initial", "never"])
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_postgres_source(check: Callable[[PostgresStage], None], snapshot: str, postgres: Database) -> None:
    stage = PostgresStage(postgres, snapshot)
    try:
        check(stage)
    finally:
        stage.close()
