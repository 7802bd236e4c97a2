"""Source, log, replicas: after kills of every process and restarts of the destination, the replicas are the source.

Two sinks read the same topics, one into Postgres through a proxy and one into a SQLite file. The keyed tables are
compared row by row with the source. Of tables without a key the replica has what was inserted, and what it refuses
(updates and deletes) lies in the dead-letter topic: both exactly once, by the log's own records.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from crash.chaos import Chaos, Plan
from crash.place import FolderPlace
from crash.side import PostgresSide, Side
from crash.tables import SCHEMA, TABLES, CrashTable, content_array
from crash.worker import CONNECTOR, Worker
from crash.workload import Pace, Workload
from servers.postgres import UNSYNCED, require
from servers.proxy import TcpProxy
from tailrace.codec.decoder import Decoder, row_change
from tailrace.demo.postgres import PostgresServer
from tailrace.event import StoredRecord
from tailrace.log.backend import LogBackend
from tailrace.log.store.backend import BundledLog

KEYED = [table for table in TABLES if not table.keyless]
KEYLESS = [table for table in TABLES if table.keyless]
SINKS = ("warehouse", "file")


class Destination:
    """The side that the blows fall on: its server is the replica's."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(900)
def test_replicas_are_the_source_after_all_blows(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    plan = Plan(kills=10, restarts=3, cuts=4, freezes=2, stops=1, seconds=20)
    with PostgresSide(require(15)) as source, PostgresServer(require(18), settings=UNSYNCED) as destination:
        source.create_tables()
        workload = Workload(source.url, seed, Pace(writers=3, pause=0.03, prefill=0.2, truncate_every=40))
        workload.prefill()
        with TcpProxy(destination.port) as proxy:
            urls = (proxy.through(destination.dsn()), f"sqlite:{tmp_path / 'replica.db'}")
            worker = worker_at(tmp_path, source.url, dict(zip(SINKS, urls, strict=True)))
            chaos = Chaos(
                worker, cast("Side", Destination(destination)), proxy, plan, seed, FolderPlace(worker.log_path)
            )
            try:
                attack(worker, chaos, workload)
            finally:
                worker.kill(with_tasks=True)
        problems = [*differences(source, destination), *file_differences(source, tmp_path / "replica.db")]
        log = BundledLog.at(worker.log_path)
        for name, rows in (("warehouse", rows_of(destination)), ("file", rows_in(tmp_path / "replica.db"))):
            problems += keyless_differences(log, name, rows)
    assert not problems, "\n".join([f"seed {seed}", *problems, worker.last_words()])
    assert chaos.dealt["kill_task"] > 0 < chaos.dealt["restart_immediate"]


def worker_at(folder: Path, source: str, urls: Mapping[str, str]) -> Worker:
    common = {"type": "replica", "topics": [f"{CONNECTOR}.{SCHEMA}.*"], "errors": "dead_letter"}
    worker = Worker(
        folder, source, tuple(f"{SCHEMA}.{table.name}" for table in TABLES),
        options={"chunk_rows": 100, "heartbeat_interval": 1.0},
        worker_options={"restart_delay": 0.1, "restart_delay_max": 1.0, "restart_limit": 1000},
        sinks={name: {**common, "url": url} for name, url in urls.items()},
    )  # fmt: skip
    worker.write_config()
    return worker


def attack(worker: Worker, chaos: Chaos, workload: Workload) -> None:
    workload.start()
    worker.start()
    wait_for_letters(worker)
    chaos.run(threading.Event())
    workload.stop()
    worker.wait_until_running(timeout=120)
    assert worker.stop() == 0, worker.last_words()
    for _ in range(2):  # first all that happened comes into the log, then all of that into the replicas
        worker.start("--until-current")
        assert worker.wait(timeout=120) == 0, worker.last_words()


def wait_for_letters(worker: Worker) -> None:
    """Until then the blows would fall on programs that only start, and on a slow machine on nothing else."""
    deadline = time.monotonic() + 120
    while not all(letters_of(BundledLog.at(worker.log_path), sink) for sink in SINKS):
        assert time.monotonic() < deadline, worker.last_words()
        time.sleep(0.2)


def letters_of(log: LogBackend, sink: str) -> list[StoredRecord]:
    topic = f"{sink}.dead-letter"
    there = any(place.topic == topic for place in log.partitions())
    return list(log.records(topic, 0, 0)) if there else []


def contents(server: PostgresServer, table: CrashTable) -> Counter[tuple[str | None, ...]]:
    with server.connect() as connection:
        rows = connection.execute(f"SELECT {content_array('t', table)} FROM {SCHEMA}.{table.name} t").fetchall()
    return Counter(tuple(row[0]) for row in rows)


def differences(source: PostgresSide, destination: PostgresServer) -> Iterator[str]:
    for table in KEYED:
        there, here = contents(source.server, table), contents(destination, table)
        assert there or table.truncated, f"{table.name} is empty at its source"
        if there != here:
            yield f"postgres {table.name}: lacks {len(there - here)}, has {len(here - there)} that should not be"


def file_differences(source: PostgresSide, file: Path) -> Iterator[str]:
    for table in KEYED:
        names = ", ".join(table.names)
        with source.server.connect() as connection:
            rows = connection.execute(f"SELECT {names} FROM {SCHEMA}.{table.name}").fetchall()
        there = Counter(tuple(map(told, row)) for row in rows)
        with closing(sqlite3.connect(file)) as database:
            here = Counter(tuple(map(told, row)) for row in database.execute(f"SELECT {names} FROM {table.name}"))
        if there != here:
            yield f"sqlite {table.name}: lacks {len(there - here)}, has {len(here - there)} that should not be"


def told(value: object) -> str | None:
    return None if value is None else str(int(value) if isinstance(value, bool) else value)


def rows_of(server: PostgresServer) -> Mapping[str, Counter[tuple[str | None, ...]]]:
    with server.connect() as connection:
        return {
            table.name: Counter(
                tuple(map(told, row))
                for row in connection.execute(f"SELECT {', '.join(table.names)} FROM {SCHEMA}.{table.name}").fetchall()
            )
            for table in KEYLESS
        }


def rows_in(file: Path) -> Mapping[str, Counter[tuple[str | None, ...]]]:
    with closing(sqlite3.connect(file)) as database:
        return {
            table.name: Counter(
                tuple(map(told, row)) for row in database.execute(f"SELECT {', '.join(table.names)} FROM {table.name}")
            )
            for table in KEYLESS
        }


def keyless_differences(
    log: LogBackend, sink: str, rows: Mapping[str, Counter[tuple[str | None, ...]]]
) -> Iterator[str]:
    """Inserts are rows and the rest is letters, each of them once."""
    decoder = Decoder(log.registry())
    refused: Counter[tuple[str, int]] = Counter()
    for table in KEYLESS:
        topic = f"{CONNECTOR}.{table.topic}"
        inserted: Counter[tuple[str | None, ...]] = Counter()
        for record in log.records(topic, 0, 0):
            change = row_change(decoder.value(record.value), record.headers)
            if change.op in {"r", "c"} and change.after is not None:
                after: Mapping[str, Any] = change.after
                inserted[tuple(told(after[name]) for name in table.names)] += 1
            else:
                refused[topic, record.offset] += 1
        if inserted != rows[table.name]:
            lacks, more = inserted - rows[table.name], rows[table.name] - inserted
            yield f"{sink} {table.name}: lacks {lacks.total()}, has {more.total()} that should not be"
    letters: Counter[tuple[str, int]] = Counter()
    for letter in letters_of(log, sink):
        headers = {name: (value or b"").decode() for name, value in letter.headers}
        letters[headers["__connect.errors.topic"], int(headers["__connect.errors.offset"])] += 1
    assert refused, "nothing was refused"
    if letters != refused:
        lacks_letters, more_letters = (refused - letters).total(), (letters - refused).total()
        yield f"{sink}: {lacks_letters} letters are missing, {more_letters} should not be"
