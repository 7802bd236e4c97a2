"""The harness's ground truth, tried on a server without any worker: the journal tells what the tables hold."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crash.chaos import Chaos, Plan
from crash.history import last_version, load_history
from crash.place import FolderPlace
from crash.side import PostgresSide
from crash.tables import BULK_KEYS, SCHEMA, TABLES, CrashTable, create_tables
from crash.worker import Worker
from crash.workload import Pace, Workload
from servers.postgres import Database
from servers.proxy import TcpProxy
from tailrace.demo.postgres import PostgresServer


def test_the_journal_holds_what_the_tables_hold_after_concurrent_writers(postgres: Database) -> None:
    with postgres.connect() as connection:
        create_tables(connection)
        workload = Workload(postgres.url, seed=random.randrange(10**6), pace=Pace(pause=0.001, truncate_every=20))
        workload.prefill()
        workload.start()
        workload.bulk(3000)
        deadline = time.monotonic() + 120
        while not all(_all_was_done(connection, table) for table in TABLES) and time.monotonic() < deadline:
            time.sleep(0.5)
        workload.stop()
        for table in TABLES:
            history = load_history(connection, table)
            assert history.contradictions() == [], f"seed {workload.seed}"
            assert history.rows or history.twins or table.truncated
            assert _all_was_done(connection, table), table.name
        assert last_version(connection) > 3000
        bulk = connection.execute(f"SELECT count(*) FROM {SCHEMA}.accounts WHERE id >= {BULK_KEYS}").fetchone()
    assert bulk == (3000,)
    assert {"committed", "rolled_back", "savepoints_rolled_back"} <= set(workload.counts)


def _all_was_done(connection: psycopg.Connection[tuple[Any, ...]], table: CrashTable) -> bool:
    """Whether every kind of change was made to the table."""
    ops = {entry.op for entries in load_history(connection, table).entries.values() for entry in entries}
    # A table that is emptied all the time may happen to see no delete.
    return ops >= {"c", "t"} if table.truncated else ops == (set("cud") if table.versioned else set())


@pytest.mark.parametrize("way", ["fast", "immediate"])
def test_writers_go_on_after_a_restart_of_the_server(postgres_server: PostgresServer, way: str) -> None:
    with postgres_server.connect() as connection:
        create_tables(connection)
    workload = Workload(postgres_server.dsn(), 1, pace=Pace(pause=0.002))
    workload.prefill()
    workload.start()
    _wait_for_commits(workload, 20)
    postgres_server.restart("fast" if way == "fast" else "immediate")
    _wait_for_commits(workload, workload.counts["committed"] + 20)
    workload.stop()
    with postgres_server.connect() as connection:
        assert all(load_history(connection, table).contradictions() == [] for table in TABLES)


def _wait_for_commits(workload: Workload, count: int) -> None:
    deadline = time.monotonic() + 120
    while workload.counts["committed"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_writer_that_dies_of_its_own_fault_is_not_passed_over(postgres: Database) -> None:
    workload = Workload(postgres.url, 1, pace=Pace(writers=1))
    workload.start()
    workload._writers[0].join(60)
    with pytest.raises(RuntimeError, match="writer 1"):
        workload.stop()


def test_the_schedule_is_drawn_from_the_seed(tmp_path: Path) -> None:
    with TcpProxy(1) as proxy:
        worker, side = Worker(tmp_path, "", ()), PostgresSide(tmp_path)
        plan = Plan(kills=10, restarts=5, cuts=5, freezes=1, stops=1, seconds=1)
        one, same, other = (
            Chaos(worker, side, proxy, plan, seed, FolderPlace(tmp_path)).schedule() for seed in (1, 1, 2)
        )
    assert one == same != other
    assert len(one) == 22
    assert {"kill_task", "kill_worker", "restart_fast", "restart_immediate", "cut", "deaf"} <= set(one)


def test_the_truth_is_read_while_nobody_writes(postgres: Database) -> None:
    """A key made, removed and made again by racing writers has growing versions: the trap that the locks close."""
    with postgres.connect() as connection:
        create_tables(connection)
        insert = f"INSERT INTO {SCHEMA}.people VALUES ('one', '', 0, 1, 1) ON CONFLICT DO NOTHING"
        delete = f"DELETE FROM {SCHEMA}.people WHERE name = 'one'"

        def race(statement: str) -> None:
            with postgres.connect() as own:
                for _ in range(300):
                    with_retry(own, statement)

        racers = [threading.Thread(target=race, args=[statement]) for statement in (insert, insert, delete, delete)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        people = next(table for table in TABLES if table.name == "people")
        history = load_history(connection, people)
        assert history.contradictions() == []
        entries = history.entries["one"]
        assert [entry.op for entry in entries] == ["cd"[n % 2] for n in range(len(entries))]


def with_retry(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    try:
        connection.execute(statement)
    except psycopg.errors.DeadlockDetected:
        with_retry(connection, statement)
