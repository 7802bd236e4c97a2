"""As `test_replica.py`, into the other destinations: MySQL through a proxy, and a DuckDB file."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from crash.chaos import Chaos, Plan
from crash.mysql_side import Blows
from crash.place import FolderPlace
from crash.side import PostgresSide, Side
from crash.tables import SCHEMA, CrashTable
from crash.test_replica import KEYED, KEYLESS, SINKS, attack, keyless_differences, told, worker_at
from crash.workload import Pace, Workload
from servers.mysql import require as require_mysql
from servers.mysql_server import MysqlServer
from servers.postgres import require
from servers.proxy import TcpProxy
from tailrace.log.store.backend import BundledLog

Rows = Counter[tuple[str | None, ...]]


class Destination:
    """The side that the blows fall on: its server is the replica's."""

    def __init__(self, server: MysqlServer) -> None:
        self.server = Blows(server)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.mysql
@pytest.mark.timeout(900)
def test_replicas_in_mysql_and_duckdb_are_the_source_after_all_blows(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    plan = Plan(kills=8, restarts=2, cuts=4, freezes=2, stops=1, seconds=15)
    file = tmp_path / "replica.duckdb"
    with PostgresSide(require(15)) as source, MysqlServer(require_mysql("mysql")) as destination:
        destination.execute("CREATE DATABASE replica", "GRANT ALL ON replica.* TO 'tailrace'@'%'")
        source.create_tables()
        workload = Workload(source.url, seed, Pace(writers=2, pause=0.04, prefill=0.2, truncate_every=40))
        workload.prefill()
        with TcpProxy(destination.port) as proxy:
            urls = (proxy.through(destination.url("replica")), f"duckdb:{file}")
            worker = worker_at(tmp_path, source.url, dict(zip(SINKS, urls, strict=True)))
            place = FolderPlace(worker.log_path)
            chaos = Chaos(worker, cast("Side", Destination(destination)), proxy, plan, seed, place)
            try:
                attack(worker, chaos, workload)
            finally:
                worker.kill(with_tasks=True)
        problems: list[str] = []
        for name, rows_of in zip(SINKS, (in_mysql(destination), in_duckdb(file)), strict=True):
            problems += differences(source, name, rows_of)
            rows = {table.name: rows_of(table) for table in KEYLESS}
            problems += keyless_differences(BundledLog.at(worker.log_path), name, rows)
    assert not problems, "\n".join([f"seed {seed}", *problems, worker.last_words()])
    assert chaos.dealt["kill_task"] > 0 < chaos.dealt["restart_immediate"]


def in_mysql(server: MysqlServer) -> Callable[[CrashTable], Rows]:
    """Return what tells a table's rows."""

    def rows_of(table: CrashTable) -> Rows:
        names = ", ".join(f"`{name}`" for name in table.names)
        return counted(server.execute(f"SELECT {names} FROM replica.{table.name}"))

    return rows_of


def in_duckdb(file: Path) -> Callable[[CrashTable], Rows]:
    """Return what tells a table's rows."""

    def rows_of(table: CrashTable) -> Rows:
        with closing(duckdb.connect(str(file))) as connection:
            return counted(connection.execute(f"SELECT {', '.join(table.names)} FROM {SCHEMA}.{table.name}").fetchall())

    return rows_of


def counted(rows: Any) -> Rows:
    """Return rows as text, counted."""
    return Counter(tuple(map(told, row)) for row in rows)


def differences(source: PostgresSide, name: str, rows_of: Callable[[CrashTable], Rows]) -> Iterator[str]:
    """Compare the keyed tables with the source, row by row."""
    for table in KEYED:
        with source.server.connect() as connection:
            rows = connection.execute(f"SELECT {', '.join(table.names)} FROM {SCHEMA}.{table.name}").fetchall()
        there, here = counted(rows), rows_of(table)
        assert there or table.truncated, f"{table.name} is empty at its source"
        if there != here:
            yield f"{name} {table.name}: lacks {len(there - here)}, has {len(here - there)} that should not be"
