"""Real MySQL 9.7 and MariaDB 10.11 servers for tests, unpacked by `.ci/unpack-server`.

    mysql, mariadb                a fresh database on a server that all tests share
    binlog_database               the same, once per flavour
    mysql_server, mariadb_server  a server of the test's own, to be stopped, killed and restarted
    binlog_server                 the same, once per flavour
    start_mysql                   a function that starts servers with the settings that the test wants

A flavour that is not there is skipped with a line in the header; where the environment says CI=true it is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from servers.mysql_programs import SERIES, Flavour, Programs, programs
from servers.mysql_server import MysqlServer, Row

FLAVOURS: tuple[Flavour, ...] = ("mysql", "mariadb")

FIXTURES = {
    "mysql", "mariadb", "binlog_database", "mysql_server", "mariadb_server", "binlog_server", "start_mysql",
    "shared_mysql_servers",
}  # fmt: skip

_numbers = count(1)


def header() -> list[str]:
    """Return one line per flavour for the head of the test report."""
    missing = "MISSING, its tests are skipped; make test unpacks it"
    return [f"{flavour} {SERIES[flavour]}: {found.folder if (found := programs(flavour)) else missing}"
            for flavour in FLAVOURS]  # fmt: skip


def require(flavour: Flavour) -> Programs:
    """Return the programs of `flavour`; skips the test, or fails it in CI."""
    found = programs(flavour)
    if found is not None:
        return found
    message = f"{flavour} {SERIES[flavour]} is not unpacked: .ci/unpack-server {flavour}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@dataclass(frozen=True, slots=True)
class MysqlDatabase:
    """A fresh database on a server that other tests use too: leave the server itself and its binlogs alone."""

    server: MysqlServer
    name: str

    @property
    def flavour(self) -> Flavour:
        return self.server.flavour

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def connect(self, **options: Any) -> Connection[Cursor]:
        """Return an autocommitting connection of root."""
        return self.server.connect(self.name, **options)

    def execute(self, *statements: str) -> Sequence[Row]:
        """Run statements as root, each in its own transaction; return the rows of the last one."""
        return self.server.execute(*statements, database=self.name)


class SharedServers:
    """The servers that the tests of one session share, started when first asked for."""

    def __init__(self) -> None:
        self._running: dict[Flavour, MysqlServer] = {}

    def get(self, flavour: Flavour) -> MysqlServer:
        found = require(flavour)
        if flavour not in self._running:
            self._running[flavour] = MysqlServer(found).__enter__()
        return self._running[flavour]

    def close(self) -> None:
        for server in self._running.values():
            server.close()


@pytest.fixture(scope="session")
def shared_mysql_servers() -> Iterator[SharedServers]:
    servers = SharedServers()
    yield servers
    servers.close()


def _database(server: MysqlServer) -> Iterator[MysqlDatabase]:
    name = f"test_{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name}")
    yield MysqlDatabase(server, name)
    server.execute(f"DROP DATABASE {name}")


@pytest.fixture
def mysql(shared_mysql_servers: SharedServers) -> Iterator[MysqlDatabase]:
    yield from _database(shared_mysql_servers.get("mysql"))


@pytest.fixture
def mariadb(shared_mysql_servers: SharedServers) -> Iterator[MysqlDatabase]:
    yield from _database(shared_mysql_servers.get("mariadb"))


@pytest.fixture(params=FLAVOURS)
def binlog_database(request: pytest.FixtureRequest, shared_mysql_servers: SharedServers) -> Iterator[MysqlDatabase]:
    yield from _database(shared_mysql_servers.get(request.param))


@pytest.fixture
def mysql_server() -> Iterator[MysqlServer]:
    with MysqlServer(require("mysql")) as server:
        yield server


@pytest.fixture
def mariadb_server() -> Iterator[MysqlServer]:
    with MysqlServer(require("mariadb")) as server:
        yield server


@pytest.fixture(params=FLAVOURS)
def binlog_server(request: pytest.FixtureRequest) -> Iterator[MysqlServer]:
    with MysqlServer(require(request.param)) as server:
        yield server


StartMysql = Callable[..., MysqlServer]


@pytest.fixture
def start_mysql() -> Iterator[StartMysql]:
    """A function `(flavour="mysql", **settings)` that starts servers; all end with the test."""
    servers: list[MysqlServer] = []

    def start(flavour: Flavour = "mysql", **settings: str) -> MysqlServer:
        server = MysqlServer(require(flavour), settings)
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.close()
