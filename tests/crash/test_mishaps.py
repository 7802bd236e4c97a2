"""What a user sees: a worker at work, each common mishap with its message and exit code, and life after the mend."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from crash.user import MakeWorker, ids, ids_so_far, run_to_the_end, tail, tailrace, topic, wait_for
from crash.worker import CONNECTOR, TAILRACE, Worker
from servers.postgres import StartPostgres, drop_slots
from tailrace.demo.postgres import PostgresServer

SEGMENT = f"topics/{CONNECTOR}.public.orders-0/00000000000000000000.log"


@pytest.fixture
def server(start_postgres: StartPostgres) -> PostgresServer:
    server = start_postgres(18)
    with server.connect() as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    return server


def insert(server: PostgresServer, first: int, last: int, *, size: int = 10) -> None:
    with server.connect() as connection:
        connection.execute(
            "INSERT INTO orders SELECT n, repeat(md5(n::text), %s) FROM generate_series(%s::int, %s) n",
            [max(1, size // 32), first, last],
        )


def test_tail_shows_changes_while_the_worker_writes(server: PostgresServer, make_worker: MakeWorker) -> None:
    worker = make_worker(server.dsn())
    insert(server, 1, 3)
    worker.start()
    wait_for(lambda: len(ids_so_far(worker)) == 3, worker)
    command = [str(TAILRACE), "tail", topic(worker), "--config", str(worker.config), "--from", "3", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        try:
            insert(server, 4, 4)
            with server.connect() as connection:
                connection.execute("DELETE FROM orders WHERE id = 4")
            lines = [json.loads(follower.stdout.readline()) for _ in range(3)]
        finally:
            follower.terminate()  # or the end of `with` would wait for it, whatever has happened
    assert [line["offset"] for line in lines] == [3, 4, 5]
    assert [line["key"] for line in lines] == [{"id": 4}] * 3
    assert [line["value"] and line["value"]["op"] for line in lines] == ["c", "d", None]
    assert list(lines[0]) == ["topic", "partition", "offset", "timestamp", "key", "value", "headers"]
    assert worker.stop() == 0


def test_a_corrupted_segment_is_named_by_file_and_offset(server: PostgresServer, make_worker: MakeWorker) -> None:
    worker = make_worker(server.dsn())
    for first in range(1, 200, 50):
        insert(server, first, first + 49)
        run_to_the_end(worker)
    segment = worker.log_path / SEGMENT
    whole = segment.read_bytes()
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 0x10
    segment.write_bytes(spoilt)
    done = tail(worker)
    assert done.returncode == 1
    assert str(segment) in done.stderr
    assert "offset" in done.stderr
    assert "Traceback" not in done.stderr
    read = [json.loads(line)["key"]["id"] for line in done.stdout.splitlines()]
    assert read == list(range(1, len(read) + 1))
    assert 50 <= len(read) < 200
    segment.write_bytes(whole)
    assert ids(worker) == list(range(1, 201))
    insert(server, 201, 210)
    run_to_the_end(worker)
    assert ids(worker) == list(range(1, 211))


def test_a_full_disk_stops_the_task_until_there_is_space(
    server: PostgresServer, make_worker: MakeWorker, resize_disk: Callable[..., None]
) -> None:
    resize_disk(4)
    worker = make_worker(server.dsn())
    insert(server, 1, 100)
    worker.start()
    wait_for(lambda: len(ids_so_far(worker)) == 100, worker)
    insert(server, 101, 1100, size=20_000)
    wait_for(lambda: "disk" in worker.last_words(100) and "full" in worker.last_words(100), worker)
    assert worker.running
    assert ids(worker) == list(range(1, len(ids(worker)) + 1))
    resize_disk(200)
    wait_for(lambda: len(ids_so_far(worker)) == 1100, worker)
    assert ids(worker) == list(range(1, 1101))
    assert worker.stop() == 0


def test_a_wrong_password_ends_the_worker_with_the_mend(start_postgres: StartPostgres, make_worker: MakeWorker) -> None:
    server = start_postgres(18, password="right-one")
    with server.connect() as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    insert(server, 1, 5)
    worker = make_worker(server.dsn(password="wrong-one"))
    worker.start()
    assert worker.wait(timeout=120) == 3
    words = worker.last_words()
    assert "password authentication failed" in words
    assert "wrong-one" not in words
    check = tailrace("check", str(worker.config))
    assert check.returncode == 1
    assert "password authentication failed" in check.stdout
    assert "mend" in check.stdout
    worker = make_worker(server.dsn())
    run_to_the_end(worker)
    assert ids(worker) == [1, 2, 3, 4, 5]
    assert tailrace("check", str(worker.config)).returncode == 0


def test_a_server_without_logical_wal_is_told_how_to_have_it(
    start_postgres: StartPostgres, make_worker: MakeWorker
) -> None:
    server = start_postgres(18, wal_level="replica")
    with server.connect() as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    insert(server, 1, 5)
    worker = make_worker(server.dsn())
    worker.start()
    assert worker.wait(timeout=120) == 3
    assert "wal_level" in worker.last_words()
    assert "logical" in worker.last_words()
    check = tailrace("check", str(worker.config))
    assert check.returncode == 1
    assert "wal_level" in check.stdout
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET wal_level = 'logical'")
    server.restart()
    run_to_the_end(worker)
    assert ids(worker) == [1, 2, 3, 4, 5]


def test_an_unknown_key_names_the_nearest(server: PostgresServer, make_worker: MakeWorker) -> None:
    worker = make_worker(server.dsn())
    right = worker.config.read_text()
    worker.config.write_text(right.replace("tables:", "tabels:"))
    done = tailrace("run", str(worker.config))
    assert done.returncode == 2
    assert f'connectors.{CONNECTOR}.tabels: unknown key, did you mean "tables"?' in done.stderr
    assert "Traceback" not in done.stderr
    worker.config.write_text(right)
    insert(server, 1, 1)
    run_to_the_end(worker)
    assert ids(worker) == [1]


def test_a_database_that_is_away_is_waited_for(server: PostgresServer, make_worker: MakeWorker) -> None:
    worker = make_worker(server.dsn())
    insert(server, 1, 3)
    worker.start()
    wait_for(lambda: len(ids_so_far(worker)) == 3, worker)
    server.stop()
    wait_for(lambda: worker.states() == {"RESTARTING"}, worker)
    assert _task(worker)["error"]["message"]
    server.start()
    insert(server, 4, 5)
    wait_for(lambda: len(ids_so_far(worker)) == 5, worker)
    assert ids(worker) == [1, 2, 3, 4, 5]
    assert worker.stop() == 0


def _task(worker: Worker) -> Any:
    (task,) = json.loads(tailrace("status", str(worker.config), "--json").stdout)["tasks"]
    return task


def test_a_second_worker_on_the_same_log_is_refused(server: PostgresServer, make_worker: MakeWorker) -> None:
    worker = make_worker(server.dsn())
    worker.start()
    # A task's process is there before the worker has the lock.
    wait_for(lambda: "worker started" in worker.last_words(), worker)
    done = tailrace("run", str(worker.config))
    assert done.returncode == 1
    assert "pid" in done.stderr
    assert worker.stop() == 0


def test_a_slot_that_is_gone_is_told_with_the_choices(server: PostgresServer, make_worker: MakeWorker) -> None:
    worker = make_worker(server.dsn())
    insert(server, 1, 3)
    run_to_the_end(worker)
    with server.connect() as connection:
        drop_slots(connection, "postgres")
    insert(server, 4, 5)
    worker.start()
    assert worker.wait(timeout=120) == 3
    assert "offsets reset" in worker.last_words()
    done = tailrace("offsets", "reset", str(worker.config), "--connector", CONNECTOR)
    assert done.returncode == 0, done.stderr
    run_to_the_end(worker)
    assert ids(worker) == [1, 2, 3, 1, 2, 3, 4, 5]
