"""What sinks load, as a test that breaks and mends it sees it: settings of a sink, and the rows that are there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from crash.sink_yard import Row
from servers.mysql_server import MysqlServer
from servers.opensearch_node import OpenSearchNode
from servers.proxy import TcpProxy
from tailrace.demo.postgres import PostgresServer
from tailrace.testing.deliveries import TOPIC
from tailrace_search.fulltext import Library

COLUMNS = "id, name, note"


@dataclass(frozen=True, slots=True)
class End:
    """A destination. `settings` are those of a sink that can load it, `rows` tells what is there."""

    settings: Mapping[str, Any]
    rows: Callable[[], list[Row]]
    broken: Mapping[str, Any] = field(default_factory=dict)
    """Settings that go before the others while it is broken."""


def postgres_end(server: PostgresServer, database: str, **broken: object) -> End:
    """Return a database of its own on a server, made now."""
    with server.connect() as connection:
        connection.execute(f'CREATE DATABASE "{database}"'.encode())

    def rows() -> list[Row]:
        with server.connect(database) as connection:
            return [_row(row) for row in connection.execute(f"SELECT {COLUMNS} FROM public.items".encode())]

    return End({"type": "replica", "url": server.dsn(database)}, lambda: sorted(rows()), broken)


def mysql_end(server: MysqlServer, database: str, **broken: object) -> End:
    """Return a database of its own on a server, made now."""
    server.execute(
        f"DROP DATABASE IF EXISTS {database}",
        f"CREATE DATABASE {database}",
        f"GRANT ALL ON {database}.* TO 'tailrace'@'%'",
    )

    def rows() -> list[Row]:
        return [_row(row) for row in server.execute(f"SELECT {COLUMNS} FROM {database}.items")]

    return End({"type": "replica", "url": server.url(database)}, lambda: sorted(rows()), broken)


def sqlite_end(file: Path, **broken: object) -> End:
    """Return a SQLite file."""

    def rows() -> list[Row]:
        with closing(sqlite3.connect(file)) as connection:
            return [_row(row) for row in connection.execute(f"SELECT {COLUMNS} FROM items")]

    return End({"type": "replica", "url": f"sqlite:{file}"}, lambda: sorted(rows()), broken)


def duckdb_end(file: Path, **broken: object) -> End:
    """Return a DuckDB file."""

    def rows() -> list[Row]:
        with closing(duckdb.connect(str(file))) as connection:
            return [_row(row) for row in connection.execute(f"SELECT {COLUMNS} FROM public.items").fetchall()]

    return End({"type": "replica", "url": f"duckdb:{file}"}, lambda: sorted(rows()), broken)


def words_end(folder: Path, **broken: object) -> End:
    """Return an embedded index."""

    def rows() -> list[Row]:
        with Library(folder).reading() as shelves:
            return [(int(str(each["id"])), str(each["name"]), str(each["note"])) for each in shelves[TOPIC].documents()]

    return End({"type": "search", "path": str(folder)}, lambda: sorted(rows()), broken)


def cluster_end(node: OpenSearchNode, prefix: str, **broken: object) -> End:
    """Return an index of its own in a cluster."""
    settings = {
        "type": "opensearch", "urls": [f"https://127.0.0.1:{node.port}"], "username": "loader",
        "password": "loader", "ca": str(node.ca), "index_settings": {"number_of_replicas": 0}, "timeout": 20.0,
        "index_prefix": prefix,
    }  # fmt: skip

    def rows() -> list[Row]:
        alias = f"{prefix}{TOPIC}"
        node.call("POST", f"/{alias}/_refresh")
        found = node.call("POST", f"/{alias}/_search", {"size": 10_000})["hits"]["hits"]
        told = [hit["_source"] for hit in found]
        return [(int(each["id"]), str(each["name"]), str(each["note"])) for each in told]

    return End(settings, lambda: sorted(rows()), broken)


def through(proxy: TcpProxy, end: End) -> End:
    """Return the same destination, reached through a proxy."""
    name = "urls" if "urls" in end.settings else "url"
    value = end.settings[name]
    url = [proxy.through(each) for each in value] if isinstance(value, list) else proxy.through(value)
    return End({**end.settings, name: url}, end.rows)


def _row(row: Any) -> Row:
    return int(row[0]), str(row[1]), str(row[2])
