"""The ground truth of the harness on MySQL and MariaDB, tried without any worker."""

from __future__ import annotations

import random
import time

import pytest

from crash.mysql_dialect import MysqlDialect
from crash.mysql_tables import MYSQL_TABLES, create_tables, last_version, load_history
from crash.tables import BULK_KEYS, SCHEMA
from crash.workload import Pace, Workload
from servers.mysql_server import MysqlServer

ENDS = {"committed", "rolled_back", "savepoints_rolled_back"}


def test_the_journal_holds_what_the_tables_hold_after_concurrent_writers(binlog_server: MysqlServer) -> None:
    create_tables(binlog_server)
    dialect = MysqlDialect(binlog_server)
    workload = Workload("", random.randrange(10**6), Pace(pause=0.001), dialect=dialect)
    workload.prefill()
    workload.start()
    workload.bulk(3000)
    deadline = time.monotonic() + 120
    while not _all_was_done(binlog_server, workload) and time.monotonic() < deadline:
        time.sleep(0.5)
    workload.stop()
    for table in MYSQL_TABLES:
        history = load_history(binlog_server, table)
        assert history.contradictions() == [], f"seed {workload.seed}"
        assert history.rows or history.twins
        ops = {entry.op for entries in history.entries.values() for entry in entries}
        assert ops == (set("cud") if table.versioned else set())
    assert last_version(binlog_server) > 3000
    assert binlog_server.execute(f"SELECT count(*) FROM {SCHEMA}.accounts WHERE id >= {BULK_KEYS}") == ((3000,),)
    assert set(workload.counts) >= ENDS


def _all_was_done(server: MysqlServer, workload: Workload) -> bool:
    """Whether transactions ended in every way, and every kind of change was made to each table that tells."""
    kinds = (load_history(server, table).entries.values() for table in MYSQL_TABLES if table.versioned)
    return set(workload.counts) >= ENDS and all(
        {entry.op for entries in table for entry in entries} == set("cud") for table in kinds
    )


def _wait_for_commits(workload: Workload, count: int) -> None:
    deadline = time.monotonic() + 120
    while workload.counts["committed"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_writers_go_on_after_a_restart_of_the_server(binlog_server: MysqlServer, way: str) -> None:
    create_tables(binlog_server)
    workload = Workload("", 1, Pace(pause=0.002), dialect=MysqlDialect(binlog_server))
    workload.prefill()
    workload.start()
    _wait_for_commits(workload, 20)
    getattr(binlog_server, way)()
    binlog_server.start()
    _wait_for_commits(workload, workload.counts["committed"] + 20)
    workload.stop()
    assert all(load_history(binlog_server, table).contradictions() == [] for table in MYSQL_TABLES)
