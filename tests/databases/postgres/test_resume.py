"""Resuming: at every change of a transaction, over cuts of the connection, restarts and crashes of the server."""

from __future__ import annotations

import json
import resource
import threading
import time
from typing import Any

import pytest

from databases.postgres.capture import Capture, folded, try_to_open
from servers.postgres import Database
from servers.proxy import TcpProxy
from tailrace.demo.postgres import PostgresServer
from tailrace.errors import Retriable

STATEMENTS = """
INSERT INTO t SELECT i, 'v' FROM generate_series(1, 5) i;
INSERT INTO hidden VALUES (1);
UPDATE t SET v = 'w' WHERE id < 3;
SAVEPOINT s; INSERT INTO t VALUES (99, 'no'); ROLLBACK TO s;
UPDATE t SET id = 50 WHERE id = 5;
TRUNCATE other;
DELETE FROM t WHERE id = 4;
"""

TOLD = 11
"""How many changes the transaction and the one after it make, those of `hidden` left out."""


def tables(database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE hidden (id int PRIMARY KEY)",
        "CREATE TABLE other (id int PRIMARY KEY)",
    )  # fmt: skip


def transaction(database: Database) -> None:
    with database.connect(autocommit=False) as connection:
        connection.execute(STATEMENTS)


def test_resume_at_every_change_of_a_transaction(postgres: Database) -> None:
    tables(postgres)
    settings: dict[str, Any] = {"batch_changes": 1, "exclude": ["public.hidden"]}
    with Capture(postgres.url, **settings) as whole:
        whole.open().catch_up()
        start = whole.position
        transaction(postgres)
        postgres.execute("INSERT INTO t VALUES (7, 'next')")
        whole.positions.clear()
        whole.source.close()
        whole.open()
        ends = []
        deadline = time.monotonic() + 120
        while len(whole.changes) < TOLD and time.monotonic() < deadline:
            whole.step(commit=False)  # nothing is confirmed, so the slot stays where it is
            ends.append((len(whole.changes), whole.positions[-1] if whole.positions else start))
        expected = [(c.op, c.table.id, c.before, c.after) for c in whole.changes]
        whole.source.close()
    assert len(expected) == TOLD
    assert len({json.dumps(position) for _, position in ends}) >= TOLD
    for count, position in ends:
        with Capture(postgres.url, **settings) as again:
            again.position = position
            try_to_open(again)
            deadline = time.monotonic() + 120
            while len(again.changes) < TOLD - count and time.monotonic() < deadline:
                again.step(commit=False)
            assert [(c.op, c.table.id, c.before, c.after) for c in again.changes] == expected[count:]


def test_every_batch_has_a_position_inside_a_transaction_too(postgres: Database) -> None:
    tables(postgres)
    with Capture(postgres.url, batch_changes=1) as capture:
        capture.open().catch_up()
        transaction(postgres)
        capture.positions.clear()
        capture.run(lambda: len(capture.changes) == 11)
        assert None not in capture.positions
        ordinals = [position["ordinal"] for position in capture.positions if position]
        first = ordinals.index(1)  # before it there may be word of the snapshot's end
        assert ordinals[first : first + 3] == [1, 2, 3]
        confirms = {position["confirm"] for position in capture.positions[first : first + 9] if position}
        assert len(confirms) == 1  # the slot must not move into a transaction


def test_a_commit_right_behind_a_heartbeat_is_not_skipped(postgres: Database) -> None:
    tables(postgres)
    with Capture(postgres.url, batch_changes=1) as capture:
        capture.open().catch_up()
        with postgres.connect(autocommit=False) as connection:
            # One session, nobody else: the commit record begins where the heartbeat's record ends.
            connection.execute("INSERT INTO t VALUES (1, 'v')")
            connection.execute("SELECT pg_logical_emit_message(false, 'tailrace-heartbeat', 'shop')")
            connection.commit()
        capture.run(lambda: len(capture.committed) == 1)
        assert capture.changes == []
        capture.crash()
        try_to_open(capture)
        capture.catch_up()
        assert [change.after for change in capture.changes] == [{"id": 1, "v": "v"}]


def test_changed_globs_do_not_move_the_place_inside_a_transaction(postgres: Database) -> None:
    tables(postgres)
    with Capture(postgres.url, batch_changes=1) as capture:
        capture.open().catch_up()
        transaction(postgres)
        capture.run(lambda: len(capture.changes) >= 6)
    with Capture(postgres.url, exclude=["public.hidden"]) as again:
        again.position = capture.position
        again.committed = list(capture.committed)
        try_to_open(again)
        again.catch_up()
        assert set(folded(again).rows["public.t"]) == {(1,), (2,), (3,), (50,)}


def test_a_cut_connection_is_retriable_and_nothing_is_lost(postgres: Database) -> None:
    tables(postgres)
    with TcpProxy(postgres.server.port) as proxy, Capture(proxy.through(postgres.url)) as capture:
        capture.open().catch_up()
        for n in range(5):
            postgres.execute(f"INSERT INTO t VALUES ({n}, 'v')")
            proxy.cut()
            with pytest.raises(Retriable):
                capture.run(lambda: False)
            capture.crash()
            try_to_open(capture)
        capture.catch_up()
        assert len(folded(capture).rows["public.t"]) == 5


def test_a_silent_server_is_noticed(postgres: Database) -> None:
    tables(postgres)
    with (
        TcpProxy(postgres.server.port) as proxy,
        Capture(proxy.through(postgres.url), silence_timeout=0.5) as capture,
    ):
        capture.open().catch_up()
        proxy.go_deaf()
        with pytest.raises(Retriable, match="nothing heard"):
            capture.run(lambda: False)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restarted_server(postgres_server: PostgresServer, mode: str) -> None:
    with postgres_server.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        connection.execute("ALTER SYSTEM SET wal_sender_timeout = '300s'")
        connection.execute("SELECT pg_reload_conf()")
    with Capture(postgres_server.dsn()) as capture:
        capture.open().catch_up()
        for n in range(3):
            with postgres_server.connect() as connection:
                connection.execute(f"INSERT INTO t SELECT i, 'v' FROM generate_series({n}0, {n}9) i")
            capture.step()
            if mode == "fast":
                stop_while_streaming(postgres_server, capture)
            else:
                postgres_server.stop("immediate")
                with pytest.raises(Retriable):
                    capture.run(lambda: False)
            capture.crash()
            with pytest.raises(Retriable) as refused:
                capture.open()
            assert refused.value.patient
            postgres_server.start()
            try_to_open(capture)
        capture.catch_up()
        assert len(folded(capture).rows["public.t"]) == 30


def stop_while_streaming(server: PostgresServer, capture: Capture) -> None:
    """A fast stop waits for replication clients to confirm what they were sent: we must go on until it is over."""
    begun = time.monotonic()
    thread = threading.Thread(target=server.stop, args=("fast",), kwargs={"timeout": 280.0})
    thread.start()
    with pytest.raises(Retriable):
        capture.run(lambda: False)
    capture.source.close()
    thread.join()
    assert time.monotonic() - begun < 240  # wal_sender_timeout, after which the server gives up, is 300 s


def test_a_huge_transaction_passes_in_flat_memory(postgres: Database) -> None:
    tables(postgres)
    with Capture(postgres.url) as capture:
        capture.open().catch_up()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        postgres.execute("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 150000) i")
        seen, deadline = 0, time.monotonic() + 240
        while seen < 150_000:
            assert time.monotonic() < deadline
            batch = capture.source.poll(1.0)
            seen += len(batch.items)
            assert len(batch.items) <= 10_000
            assert batch.position is not None
            capture.source.ack(batch.position)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 40_000, f"{grown} kB more for 150,000 changes"
