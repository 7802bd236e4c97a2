"""The snapshot on a real server: while others write, over kills, for every kind of key."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from databases.postgres.capture import Capture, Fold, folded, try_to_open
from databases.postgres.writers import COLUMNS, TABLES, create, writing
from servers.postgres import Database, StartPostgres

KEYS = 400


def icu(database: Database) -> bool:
    return bool(database.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'"))


@contextmanager
def beside(database: Database, *statements: str) -> Iterator[None]:
    """Run statements while the block runs: those that lock a table wait for the chunk that is being read."""
    thread = threading.Thread(target=database.execute, args=statements)
    thread.start()
    yield
    thread.join()


def assert_equal(database: Database, fold: Fold) -> None:
    """The folded events are the tables: keys and versions."""
    for name in TABLES:
        columns = ", ".join(f"{column}::text" for column in (*COLUMNS[name], "v"))
        table = Counter(database.execute(f"SELECT {columns} FROM {name}"))
        if name == "keyless":
            rows: Counter[tuple[str, ...]] = Counter()
            for row, count in fold.counted.get("public.keyless", Counter()).items():
                n, v = row.removeprefix("{'n': ").removesuffix("}").split(", 'v': ")
                rows[n, v] += count
            assert +rows == table, name
        else:
            assert sorted(row["v"] for row in fold.rows[f"public.{name}"].values()) == sorted(
                int(row[-1]) for row in table
            ), name
            assert len(fold.rows[f"public.{name}"]) == len(table), name


def assert_every_version_once(capture: Capture) -> None:
    """A version is emitted once per table: by its snapshot row or by its change, never both."""
    told = Counter((c.table.id, c.after["v"]) for c in capture.changes if c.after is not None and c.table.key)
    assert [version for version, count in told.items() if count > 1] == []


def test_folded_events_are_the_tables_while_others_write(postgres: Database) -> None:
    create(postgres, KEYS, icu=icu(postgres))
    with Capture(postgres.url, chunk_rows=23, snapshot_readers=3) as capture:
        with writing(postgres, KEYS):
            capture.open().catch_up()
            assert sum(change.op == "r" for change in capture.changes) > 500
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                capture.step()
        capture.reopen()
        assert_equal(postgres, folded(capture))
        assert_every_version_once(capture)
        assert capture.position is not None
        state = capture.position["snapshot"]
        assert isinstance(state, dict)
        rows = sum(c.op == "r" for c in capture.changes)
        assert (state["done"], state["total"], state["rows"], len(state["known"])) == (True, 6, rows, 6)


@pytest.mark.parametrize(("seed", "readers"), [(1, 2), (2, 1)])
def test_crashes_at_random_lose_and_double_nothing(postgres: Database, seed: int, readers: int) -> None:
    create(postgres, KEYS, icu=icu(postgres))
    rng = random.Random(seed)
    crashes = 0
    with (
        Capture(postgres.url, chunk_rows=7, batch_changes=20, snapshot_readers=readers) as capture,
        writing(postgres, KEYS, seed=seed),
    ):
        while crashes < 12 or not capture.position or not capture.position["snapshot"].get("done"):  # type: ignore[union-attr]
            try_to_open(capture)
            for _ in range(rng.randrange(60)):
                # Commits now and then only, so that a crash takes something with it.
                capture.step(0.005, commit=rng.random() < 0.3)
            capture.crash()
            crashes += 1
            assert crashes < 400, "the snapshot makes no progress"
    with capture:
        try_to_open(capture)
        capture.catch_up()
        assert_equal(postgres, folded(capture))
        assert_every_version_once(capture)


def test_connections_of_the_snapshot_are_closed(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 50)")
    with Capture(postgres.url, chunk_rows=10) as capture:
        capture.open().catch_up()
        capture.step()
        names = [name for (name,) in postgres.execute(
            f"SELECT application_name FROM pg_stat_activity WHERE datname = '{postgres.name}' ORDER BY 1"
        )]  # fmt: skip
    assert [name for name in names if name.startswith("tailrace")] == [
        "tailrace shop control",
        "tailrace shop replication",
    ]


def test_a_chunk_that_was_sent_locks_nothing_though_nobody_asks_for_more(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 50)")
    reading = "application_name = 'tailrace shop snapshot' AND query LIKE 'COPY%'"
    with Capture(postgres.url) as capture:
        capture.open()
        capture.run(lambda: bool(postgres.execute(f"SELECT 1 FROM pg_stat_activity WHERE {reading}")))
        postgres.execute("SET lock_timeout = '60s'", "ALTER TABLE t ADD v text", "INSERT INTO t VALUES (51, 'v')")
        capture.reopen()
        assert {key for (key,) in folded(capture).rows["public.t"]} == set(range(1, 52))


def test_a_locked_table_does_not_hold_up_the_stream(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE locked (id int PRIMARY KEY)", "INSERT INTO locked VALUES (1), (2)",
        "CREATE TABLE open (id int PRIMARY KEY)",
    )  # fmt: skip
    with Capture(postgres.url, snapshot_readers=2) as capture, postgres.connect(autocommit=False) as holder:
        with postgres.connect() as waiting:  # nothing runs while the slot is made
            waiting.execute("SELECT 1")
        capture.open()
        holder.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
        with postgres.connect() as writer:
            for n in range(600):
                writer.execute("INSERT INTO open VALUES (%s)", [n])
        capture.run(lambda: len(capture.changes) >= 600)
        capture.step(0.1)
        assert {change.table.id for change in capture.changes} == {"public.open"}
        snapshot = capture.position["snapshot"] if capture.position else {}
        assert isinstance(snapshot, dict)
        assert len(snapshot["unseen"]) <= 250  # they are in every position, so they are pruned
        holder.execute("DELETE FROM locked WHERE id = 1")
        holder.commit()
        capture.reopen()
        assert set(folded(capture).rows["public.locked"]) == {(2,)}
        assert len(folded(capture).rows["public.open"]) == 600


def test_tables_that_change_their_shape_or_go_while_they_wait(postgres: Database) -> None:
    postgres.execute(*(f"CREATE TABLE {t} (id int PRIMARY KEY, v text)" for t in ("a", "b", "c", "d")))
    postgres.execute(*(f"INSERT INTO {t} SELECT i, 'x' FROM generate_series(1, 30) i" for t in ("b", "c", "d")))
    postgres.execute("INSERT INTO a SELECT i, 'x' FROM generate_series(1, 4000) i")  # the others wait for as long
    with Capture(postgres.url, chunk_rows=10, snapshot_readers=1) as capture:
        capture.open()
        capture.run(lambda: len(capture.changes) >= 10)
        with beside(
            postgres, "DROP TABLE b",
            "ALTER TABLE c ADD w int DEFAULT 5", "ALTER TABLE c ALTER v TYPE bytea USING v::bytea",
            "ALTER TABLE d RENAME v TO u", "ALTER TABLE a DROP v", "INSERT INTO c VALUES (99, 'y', 6)",
        ):  # fmt: skip
            capture.catch_up()
        capture.reopen()
        rows = folded(capture).rows
    assert rows["public.c"][1,] == {"id": 1, "v": b"x", "w": 5}
    assert rows["public.c"][99,] == {"id": 99, "v": b"y", "w": 6}
    assert set(rows["public.d"][30,]) == {"id", "u"}
    assert len(rows["public.a"]) == 4000
    assert len(rows["public.d"]) == 30
    assert len(rows["public.c"]) == 31


def test_a_truncated_table_is_read_anew(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t SELECT i, 0 FROM generate_series(1, 900) i"
    )
    with Capture(postgres.url, chunk_rows=10, batch_changes=10) as capture:
        capture.open()
        capture.run(lambda: len(capture.changes) >= 100)
        with beside(postgres, "TRUNCATE t", "INSERT INTO t SELECT i, 1 FROM generate_series(500, 520) i"):
            capture.catch_up()
        capture.reopen()
        assert {key: row["v"] for key, row in folded(capture).rows["public.t"].items()} == {
            (i,): 1 for i in range(500, 521)
        }
        assert "t" in [change.op for change in capture.changes]


def test_progress_is_reported(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)",
        "INSERT INTO a SELECT generate_series(1, 1000)", "INSERT INTO b SELECT generate_series(1, 1000)",
        "ANALYZE a", "ANALYZE b",
    )  # fmt: skip
    with Capture(postgres.url, chunk_rows=100, batch_changes=100, snapshot_readers=1) as capture:
        capture.open()
        first = capture.source.report().snapshot
        assert first is not None
        assert (first.rows, first.rows_total, first.percent, first.tables_total) == (0, 2000, 0.0, 2)
        seen = []
        while (progress := capture.source.report().snapshot) is not None:
            assert not capture.source.report().caught_up
            seen.append(progress.rows)
            capture.step()
        assert seen == sorted(seen)
        assert seen[-1] > 1000
        markers = [change.origin.source_block(change)[4] for change in capture.changes]
    assert markers[0] == "first"
    assert markers[999:1001] == ["last_in_data_collection", "first_in_data_collection"]
    assert markers[-1] == "last"
    assert set(markers[1:999]) == {"true"}


def test_no_row_is_told_that_a_crash_of_the_server_can_undo(start_postgres: StartPostgres) -> None:
    server = start_postgres(15, synchronous_commit="off", wal_writer_delay="10s")
    with server.connect() as writer, Capture(server.dsn(), chunk_rows=5) as capture:
        writer.execute("CREATE TABLE t (id int PRIMARY KEY)")
        writer.execute("INSERT INTO t SELECT generate_series(1, 100)")
        capture.open()
        told = 0
        while told < 100:
            writer.execute("INSERT INTO t VALUES ((SELECT max(id) + 1 FROM t))")
            capture.step()
            flushed = writer.execute("SELECT pg_current_wal_flush_lsn() - '0/0'").fetchone()
            assert flushed is not None
            assert all(change.at <= flushed[0] for change in capture.changes)
            told = len(capture.changes)
