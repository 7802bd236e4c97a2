"""The snapshot on real servers: while others write, over kills, for every kind of key."""

from __future__ import annotations

import ast
import random
import time
from collections import Counter

import pytest

from databases.mysql.driven import Driven
from databases.mysql.writers import COLUMNS, TABLES, create, writing
from databases.postgres.capture import Fold, folded
from servers.mysql import MysqlDatabase, StartMysql
from tailrace_mysql import reading

KEYS = 300


def assert_equal(database: MysqlDatabase, fold: Fold) -> None:
    """The folded events are the tables: how many rows, and their versions."""
    for name in TABLES:
        table_id = f"{database.name}.{name}"
        versions = [int(row[0]) for row in database.execute(f"SELECT v FROM {name} ORDER BY v")]
        if name == "keyless":
            rows = Counter(tuple(row) for row in database.execute("SELECT n, v FROM keyless"))
            counted = fold.counted.get(table_id, Counter())
            told = Counter({tuple(ast.literal_eval(row).values()): count for row, count in counted.items()})
            assert +told == rows, name
            continue
        assert sorted(row["v"] for row in fold.rows[table_id].values()) == versions, name
        assert len(fold.rows[table_id]) == len(versions), name


def assert_every_version_once(capture: Driven) -> None:
    """A version is emitted once per table: by its snapshot row or by its change, never both."""
    told = Counter((c.table.id, c.after["v"]) for c in capture.changes if c.after is not None and c.table.key)
    assert [version for version, count in told.items() if count > 1] == []


def test_folded_events_are_the_tables_while_others_write(binlog_database: MysqlDatabase) -> None:
    create(binlog_database, KEYS)
    with Driven(binlog_database, chunk_rows=23, snapshot_readers=3) as capture:
        with writing(binlog_database, KEYS):
            capture.open().catch_up(60)
            assert sum(change.op == "r" for change in capture.changes) > 500
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                capture.step()
        capture.reopen()
        assert_equal(binlog_database, folded(capture))
        assert_every_version_once(capture)
        assert capture.position is not None
        state = capture.position["snapshot"]
        assert isinstance(state, dict)
        rows = sum(c.op == "r" for c in capture.changes)
        assert (state["done"], state["total"], state["rows"]) == (True, len(COLUMNS), rows)


@pytest.mark.parametrize("gtid_mode", ["OFF", "ON"])
def test_reads_under_a_lock_are_exact(start_mysql: StartMysql, monkeypatch: pytest.MonkeyPatch, gtid_mode: str) -> None:
    """All of them are without GTIDs; with them, those of a chunk that was read some times for nothing."""
    monkeypatch.setattr(reading, "MOST_TRIES", 0)
    server = start_mysql("mysql", gtid_mode=gtid_mode, enforce_gtid_consistency=gtid_mode)
    server.execute("CREATE DATABASE d")
    database = MysqlDatabase(server, "d")
    create(database, KEYS)
    with Driven(database, chunk_rows=30) as capture:
        with writing(database, KEYS):
            capture.open().catch_up(120)
        capture.reopen()
        assert_equal(database, folded(capture))
        assert_every_version_once(capture)


@pytest.mark.parametrize("seed", [1, 2])
def test_crashes_at_random_lose_and_double_nothing(binlog_database: MysqlDatabase, seed: int) -> None:
    create(binlog_database, KEYS)
    rng = random.Random(seed)
    crashes = 0
    with (
        Driven(binlog_database, chunk_rows=40, batch_changes=20) as capture,
        writing(binlog_database, KEYS, seed=seed),
    ):  # fmt: skip
        while crashes < 5 or not capture.position or not capture.position["snapshot"].get("done"):  # type: ignore[union-attr]
            capture.open()
            for _ in range(rng.randrange(300)):
                # Commits now and then only, so that a crash takes something with it.
                capture.step(0.005, commit=rng.random() < 0.3)
            capture.crash()
            crashes += 1
            assert crashes < 400, "the snapshot makes no progress"
    with capture:
        capture.open()
        capture.catch_up()
        assert_equal(binlog_database, folded(capture))
        assert_every_version_once(capture)
