"""What is measured: a server with the table of ten everyday columns, a worker on it, and looks at both."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

import measurement  # makes the crash harness importable, too
from crash.worker import Worker
from servers.postgres import bin_dir
from tailrace.demo.postgres import PostgresServer
from tailrace.log.store.backend import BundledLog

TABLE = """
CREATE TABLE {name} (id bigint PRIMARY KEY, quantity int, title text, code varchar(20), price numeric(12,2),
    active boolean, changed timestamptz, details jsonb, token uuid, weight double precision)
"""

ROWS = """
INSERT INTO {name} SELECT n, (n * 7919) %% 1000000, rpad('title ' || n, 30, 'x'), 'code-' || n %% 100000,
    (n %% 1000000) / 100.0, n %% 2 = 0, timestamptz '2026-01-01' + n * interval '1 second',
    jsonb_build_object('n', n, 'tags', '["a", "b"]'::jsonb), md5(n::text)::uuid, n / 7.0
    FROM generate_series(%s::bigint, %s) n
"""

SLOT = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS retained,
    pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint AS behind,
    pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint AS confirmed
    FROM pg_replication_slots WHERE slot_name = %s
"""

SLOT_NAME = "tailrace_bench"  # of the publication too


@dataclass(frozen=True, slots=True)
class Slot:
    """Bytes of WAL kept back, bytes not confirmed yet, and the LSN confirmed."""

    retained: int
    behind: int
    confirmed: int


def parser(question: str, *, rows: int | None = None, rounds: int | None = 5) -> argparse.ArgumentParser:
    """Return a parser with the options that all measurements on a database have."""
    given = measurement.parser(question, rows=rows, rounds=rounds)
    given.add_argument("--pg", type=int, choices=(15, 18), default=15, help="version of Postgres")
    return given


@contextlib.contextmanager
def server(version: int, **settings: str) -> Iterator[PostgresServer]:
    """A server that ends with the block."""
    programs = bin_dir(version)
    if programs is None:
        raise SystemExit(f"postgres {version} is not installed; make test installs it")
    with PostgresServer(programs, settings={"max_wal_size": "16GB", **settings}) as running:
        yield running


@contextlib.contextmanager
def worker(url: str, tables: tuple[str, ...], **options: object) -> Iterator[Worker]:
    """A worker, not started yet, in a folder that goes with the block."""
    folder = Path(tempfile.mkdtemp(prefix="tailrace-bench-"))
    named = {"slot": SLOT_NAME, "publication": SLOT_NAME, **options}
    made = Worker(folder, url, tables, options=named, worker_options={"restart_delay": 0.1, "restart_delay_max": 1.0})
    made.write_config()
    try:
        yield made
    finally:
        made.kill(with_tasks=True)
        shutil.rmtree(folder, ignore_errors=True)


def insert(connection: psycopg.Connection[Any], name: str, first: int, last: int) -> None:
    """Insert the rows `first` to `last` by one statement."""
    connection.execute(ROWS.format(name=name), [first, last])


def slot(connection: psycopg.Connection[Any]) -> Slot | None:
    """Return the state of the worker's slot; None before there is one."""
    row = connection.execute(SLOT, [SLOT_NAME]).fetchone()
    return Slot(*row) if row is not None and row[2] is not None else None


def records(made: Worker, topic: str) -> int:
    """Return how many records are committed in a topic."""
    log = BundledLog(BundledLog.Config.model_validate({"path": made.log_path}))
    return sum(partition.next_offset for partition in log.partitions() if partition.topic == topic)


def resident(made: Worker) -> int:
    """Return the most bytes that one of the worker's processes has resident now."""
    sizes = [0]
    for pid in made.task_pids():
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes.append(psutil.Process(pid).memory_info().rss)
    return max(sizes)


def wait_for_records(made: Worker, topic: str, number: int, *, timeout: float) -> None:
    """Wait until a topic has that many records; raises SystemExit when the time is over or the worker gone."""
    deadline = time.monotonic() + timeout
    while records(made, topic) < number:
        if time.monotonic() > deadline or not made.running:
            raise SystemExit(f"{topic} did not get {number} records: {made.last_words()}")
        time.sleep(0.1)
