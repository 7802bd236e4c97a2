"""Every destination of the replica: tests that take `place` run on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from databases.replica.places import DuckPlace, MysqlPlace, Place, PostgresPlace, ReplicaStage, SqlitePlace
from servers.mysql import MysqlDatabase, SharedServers
from servers.mysql_programs import USER
from servers.postgres import Database, Servers


@pytest.fixture(params=["pg15", "pg18", "mysql", "mariadb", "sqlite", "duckdb"])
def place(
    request: pytest.FixtureRequest, shared_servers: Servers, shared_mysql_servers: SharedServers, tmp_path: Path
) -> Iterator[Place]:
    kind = request.param
    if kind == "sqlite":
        yield SqlitePlace(tmp_path)
    elif kind == "duckdb":
        yield DuckPlace(tmp_path)
    elif kind.startswith("pg"):
        version = int(kind[2:])
        server = shared_servers.get(version)
        with server.connect() as connection:
            connection.execute("DROP DATABASE IF EXISTS replica WITH (FORCE)")
            connection.execute(sql.SQL("CREATE DATABASE replica"))
        yield PostgresPlace(Database(server, "replica", version))
    else:
        mysql = shared_mysql_servers.get(kind)
        mysql.execute(
            "DROP DATABASE IF EXISTS replica", "CREATE DATABASE replica", f"GRANT ALL ON replica.* TO '{USER}'@'%'"
        )
        yield MysqlPlace(MysqlDatabase(mysql, "replica"))


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> ReplicaStage:
    return ReplicaStage(place, tmp_path)
