"""How long after a row was sent to the database can it be read from the log, against a loop on libpq that only reads?

    python benchmarks/latency.py [--rate 1000] [--rows 6000] [--rounds 5]

A writer inserts rows at a fixed rate, in transactions of one row and of ten; each row holds the time just before its
statement was sent, so that the commit is in every figure. By turns, each with a slot of its own:

* `libpq`: a loop that waits for the socket and takes messages out of it, and does nothing else
* `tailrace`: a worker, and a reader of the log in another process

The first seconds are not counted.
"""

from __future__ import annotations

import multiprocessing
import select
import struct
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from typing import TypeAlias

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

import subject
from contest import Figures, hold
from measurement import Goal, publish
from tailrace.codec.decoder import Decoder
from tailrace.demo.postgres import PostgresServer
from tailrace.log.store.backend import BundledLog

TABLE = "CREATE TABLE ticks (id bigint PRIMARY KEY, sent bigint, note text)"
TOPIC = "crash.public.ticks"
WARM_UP = 2.0
"""Seconds."""
PATIENCE = 60.0
"""Seconds that a reader waits for a row."""

Delays: TypeAlias = "Queue[list[int] | None]"
"""None: ready to read. Then nanoseconds from sent to seen, in the order of the rows."""

SPAWN = multiprocessing.get_context("spawn")


def write(dsn: str, first: int, count: int, *, rate: int, at_once: int) -> None:
    """Insert rows at a fixed rate, `at_once` by one statement; a statement that is late does not delay the others."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as connection:
        statement = "INSERT INTO ticks SELECT n, %s::bigint, 'row ' || n FROM generate_series(%s::bigint, %s) n"
        begun = time.monotonic()
        for number in range(0, count, at_once):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            connection.execute(statement, [time.time_ns(), first + number, first + number + at_once - 1])
        print(f"wrote {count} rows in {time.monotonic() - begun:.2f} s", flush=True)


def read_socket(dsn: str, slot: str, count: int, delays: Delays) -> None:
    """Take messages from the replication connection until so many rows came."""
    connection = pq.PGconn.connect(make_conninfo(dsn, replication="database").encode())
    options = f"proto_version '1', publication_names '{subject.SLOT_NAME}'"
    connection.exec_(f"START_REPLICATION SLOT {slot} LOGICAL 0/0 ({options})".encode())
    connection.nonblocking = 1
    delays.put(None)
    found: list[int] = []
    while len(found) < count:
        length, data = connection.get_copy_data(1)
        if length == 0:
            if not select.select([connection.socket], [], [], PATIENCE)[0]:
                raise SystemExit(f"{len(found)} of {count} rows came")
            connection.consume_input()
        elif bytes(data[25:26]) == b"I":
            found.append(time.time_ns() - sent_of(bytes(data)))
    delays.put(found)
    connection.finish()


def sent_of(message: bytes) -> int:
    """Return the second column of an insert: XLogData's header, `I`, relation, `N`, number of columns, then cells."""
    at = 25 + 1 + 4 + 1 + 2
    at += 5 + struct.unpack_from(">I", message, at + 1)[0]
    size = struct.unpack_from(">I", message, at + 1)[0]
    return int(message[at + 5 : at + 5 + size])


def read_log(path: Path, count: int, delays: Delays, topic: str = TOPIC) -> None:
    """Follow the topic until so many rows came."""
    log = BundledLog.at(path)
    decoder, reader = Decoder(log.registry()), log.reader([topic], start="latest")
    reader.open(None)
    delays.put(None)
    found: list[int] = []
    heard = time.monotonic()
    while len(found) < count:
        records = reader.poll(0.5).items
        now = time.time_ns()
        found += [now - decoder.value(record.value)["after"]["sent"] for record in records]  # type: ignore[index]
        heard = time.monotonic() if records else heard
        if time.monotonic() - heard > PATIENCE:
            raise SystemExit(f"{len(found)} of {count} rows came")
    delays.put(found)
    reader.close()


class Field:
    """The server, and where the writer goes on."""

    def __init__(self, server: PostgresServer, rate: int, rows: int) -> None:
        self.server = server
        self.next_id = 1
        self.rate = rate
        self.count = rows + round(rate * WARM_UP)

    def measure(self, reader: Callable[..., None], *arguments: object, at_once: int) -> Figures:
        """Let the reader get ready, write, and return what it found, in milliseconds."""
        delays: Delays = SPAWN.Queue()
        process = SPAWN.Process(target=reader, args=(*arguments, self.count, delays), daemon=True)
        process.start()
        assert delays.get(timeout=PATIENCE) is None
        write(self.server.dsn(), self.next_id, self.count, rate=self.rate, at_once=at_once)
        self.next_id += self.count
        found = delays.get(timeout=2 * PATIENCE)
        process.join()
        assert found is not None
        counted = sorted(found[round(WARM_UP * self.rate) :])
        return {
            name: counted[min(len(counted) * share // 1000, len(counted) - 1)] / 1e6
            for name, share in (("p50_ms", 500), ("p90_ms", 900), ("p99_ms", 990), ("max_ms", 1000))
        }

    def libpq(self, *, at_once: int) -> Figures:
        """Measure the loop on libpq."""
        with self.server.connect() as connection:
            connection.execute("SELECT pg_create_logical_replication_slot('bare', 'pgoutput')")
            figures = self.measure(read_socket, self.server.dsn(), "bare", at_once=at_once)
            drop(connection, "bare")
        return figures

    def tailrace(self, *, at_once: int) -> Figures:
        """Measure a worker and a reader of its log."""
        with self.server.connect() as connection, subject.worker(
            self.server.dsn(), ("public.ticks",), snapshot="never"
        ) as worker:  # fmt: skip
            connection.execute(f"SELECT pg_create_logical_replication_slot('{subject.SLOT_NAME}', 'pgoutput')")
            worker.start()
            write(self.server.dsn(), self.next_id, 1, rate=1, at_once=1)
            self.next_id += 1
            subject.wait_for_records(worker, TOPIC, 1, timeout=PATIENCE)
            figures = self.measure(read_log, worker.log_path, at_once=at_once)
            worker.stop()
            drop(connection, subject.SLOT_NAME)
        return figures


def drop(connection: psycopg.Connection[tuple[object, ...]], slot: str) -> None:
    """Drop a slot whose reader has gone."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        except psycopg.errors.ObjectInUse:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"slot {slot} stays in use")


def main() -> None:
    """Measure, and publish."""
    options = subject.parser(__doc__ or "", rows=6_000)
    options.add_argument("--rate", type=int, default=1000, help="rows a second")
    given = options.parse_args()
    contests = []
    with subject.server(given.pg) as server, server.connect() as connection:
        connection.execute(TABLE)
        connection.execute(f"CREATE PUBLICATION {subject.SLOT_NAME} FOR TABLE ticks")
        field = Field(server, given.rate, given.rows)
        for at_once in (1, 10):
            contenders = {
                "libpq": partial(field.libpq, at_once=at_once),
                "tailrace": partial(field.tailrace, at_once=at_once),
            }
            contests.append(hold(f"{at_once} rows a transaction", contenders, rounds=given.rounds))
    goals = [
        Goal(
            f"latency against libpq, {figure[:3]}",
            contest.case,
            contest.ratios("tailrace", "libpq", figure),
            at_most=most,
        )
        for contest in contests
        for figure, most in (("p50_ms", 2), ("p99_ms", 3))
    ]
    publish(
        "latency", [row for contest in contests for row in contest.medians()], about=__doc__ or "", goals=goals,
        every_run=[row for contest in contests for row in contest.every_run()], parameters=vars(given),
    )  # fmt: skip


if __name__ == "__main__":
    main()
