"""Databases that a crew captures, one table for each source, and who changes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import psycopg

from cluster.change import changes, statement
from servers.mysql_server import MysqlServer

Execute: TypeAlias = Callable[[str], object]


class Origin(Protocol):
    """One database."""

    @property
    def schema(self) -> str:
        """What comes before the table in the topic's name."""
        ...

    def settings(self, group: str, table: str) -> Mapping[str, object]:
        """The settings of a connector that captures one table, for the workers of a group."""
        ...

    @contextmanager
    def session(self) -> Iterator[Execute]:
        """A connection that commits when it is told to."""
        ...

    def rows(self, table: str) -> dict[int, int]:
        """What a table holds: `v` by id."""
        ...


@dataclass(frozen=True, slots=True)
class PostgresOrigin:
    """A database of a Postgres server."""

    url: str
    schema: str = "public"
    options: Mapping[str, object] = field(default_factory=dict)

    def settings(self, group: str, table: str) -> Mapping[str, object]:
        own = {"type": "postgres", "url": self.url, "slot": f"{group}_{table}"}
        return {**own, **self.options, **_naming(self, group, table)}

    @contextmanager
    def session(self) -> Iterator[Execute]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            yield lambda text: connection.execute(text.encode())

    def rows(self, table: str) -> dict[int, int]:
        with psycopg.connect(self.url) as connection:
            return dict(connection.execute(f"SELECT id, v FROM {table}".encode()).fetchall())


@dataclass(frozen=True, slots=True)
class BinlogOrigin:
    """A database of a MySQL or MariaDB server."""

    server: MysqlServer
    schema: str
    options: Mapping[str, object] = field(default_factory=dict)

    def settings(self, group: str, table: str) -> Mapping[str, object]:
        url = self.server.url(self.schema)
        return {"type": self.server.flavour, "url": url, **self.options, **_naming(self, group, table)}

    @contextmanager
    def session(self) -> Iterator[Execute]:
        with self.server.connect(self.schema) as connection, connection.cursor() as cursor:
            yield cursor.execute

    def rows(self, table: str) -> dict[int, int]:
        return dict(self.server.execute(f"SELECT id, v FROM {table}", database=self.schema))


def _naming(origin: Origin, group: str, table: str) -> Mapping[str, object]:
    return {"topic_prefix": f"{group}-{table}", "tables": [f"{origin.schema}.{table}"]}


class RowWriter:
    """Changes the tables of the sources, one transaction after the other, until it is stopped."""

    PAUSE = 0.05

    def __init__(self, origins: Mapping[str, Origin], old: int) -> None:
        self._origins = origins
        self._old = old
        self._turns = dict.fromkeys(origins, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rows")
        self._failed: BaseException | None = None

    def start(self) -> None:
        for task, origin in self._origins.items():
            with origin.session() as execute:
                execute(f"CREATE TABLE {task} (id int PRIMARY KEY, v int NOT NULL)")
                if self._old:
                    execute(f"INSERT INTO {task} VALUES {', '.join(f'({n + 1}, 0)' for n in range(self._old))}")
        self._thread.start()

    def turns(self, task: str) -> int:
        return self._turns[task]

    def stop(self) -> dict[str, int]:
        """Return how many transactions each table has had."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._failed is not None:
            raise self._failed
        return dict(self._turns)

    def _run(self) -> None:
        try:
            with ExitStack() as hold:
                sessions = {task: hold.enter_context(origin.session()) for task, origin in self._origins.items()}
                while not self._stop.wait(self.PAUSE):
                    for task, execute in sessions.items():
                        steps = changes(self._turns[task] + 1, self._old)
                        for text in ["BEGIN", *(statement(task, step) for step in steps), "COMMIT"]:
                            execute(text)
                        self._turns[task] += 1
        except Exception as error:  # noqa: BLE001 - raised again by whoever stops it
            self._failed = error
