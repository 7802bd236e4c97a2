"""The destinations of the replica, each where a test can look into it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import duckdb

from servers.mysql import MysqlDatabase
from servers.postgres import Database
from tailrace.testing.deliveries import Deliveries
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.sink import ReplicaSink


class Place(Protocol):
    """One destination, empty."""

    url: str

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, committed ones only; none where a table is missing."""
        ...


class PostgresPlace:
    def __init__(self, database: Database) -> None:
        self.url = database.url
        self._database = database

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self._database.execute(statement)


class MysqlPlace:
    def __init__(self, database: MysqlDatabase) -> None:
        self.url = database.url
        self._database = database

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._database.execute(statement.replace('"', "`"))]


class SqlitePlace:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "replica.db"
        self.url = f"sqlite:{self.file}"

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(statement).fetchall()


class DuckPlace:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "replica.duckdb"
        self.url = f"duckdb:{self.file}"

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(duckdb.connect(str(self.file))) as connection:
            return list(connection.execute(statement).fetchall())


class ReplicaStage:
    """A stage of both contracts, the sinks' and the row sinks'."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.told = Deliveries(folder)
        self._place = place

    def sink(self, **settings: Any) -> ReplicaSink:
        return sink_at(self._place, **settings)

    def item(self, number: int) -> Any:
        return self.told.insert(number)[0]

    def stored(self) -> list[int]:
        return [row["id"] for row in self.rows()]

    def rows(self) -> list[dict[str, Any]]:
        names = ("id", "name", "note", "colour")
        there = {name for (name,) in self._place.query(self._columns())}
        found = [name for name in names if name in there]
        if not found:
            return []
        columns = ", ".join([f'"{name}"' for name in found])
        rows = self._place.query(f'SELECT {columns} FROM {self.table} ORDER BY "id"')
        return [dict(zip(found, row, strict=True)) for row in rows]

    @property
    def table(self) -> str:
        return '"items"' if self._place.url.startswith(("sqlite", "mysql", "mariadb")) else '"public"."items"'

    def _columns(self) -> str:
        if self._place.url.startswith("sqlite"):
            return "SELECT name FROM pragma_table_info('items')"
        inner = "database()" if self._place.url.startswith(("mysql", "mariadb")) else "'public'"
        return (
            f"SELECT column_name FROM information_schema.columns WHERE table_name = 'items' AND table_schema = {inner}"
        )


def sink_at(place: Place, **settings: Any) -> ReplicaSink:
    """Return a sink, built as the runtime builds it."""
    return ReplicaSink("contract", ReplicaConfig(type="replica", topics=["*"], url=place.url, **settings))
