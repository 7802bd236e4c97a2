"""How long after a row was sent to MySQL can it be read from the log, against a loop that only takes packets?

    python benchmarks/binlog_latency.py [--rate 1000] [--rows 1500] [--rounds 5] [--servers mysql,mariadb]

A writer inserts rows at a fixed rate, in transactions of one row and of ten; each row holds the time just before its
statement was sent, so that the commit is in every figure. By turns:

* `packets`: a dump on a PyMySQL connection, whose packets are taken and looked at for the rows, and nothing else
* `packets, kept`: the same, and a row counts as seen once its packet is in a file and synced; what comes while one
  sync lasts waits for the next: what the disk asks of anybody who promises that a row is kept
* `tailrace`: a worker, and a reader of the log in another process

The first second is not counted. A round takes about 25 seconds of each server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pymysql

import binlog_backlog
from binlog_backlog import DATABASE
from contest import Contest, Figures, hold
from latency import PATIENCE, SPAWN, Delays, read_log
from measurement import Goal, publish
from servers.mysql_programs import Flavour
from servers.mysql_server import MysqlServer
from subject import wait_for_records

TABLE = "CREATE TABLE ticks (id bigint PRIMARY KEY, sent bigint, note varchar(40))"
TOPIC = f"crash.{DATABASE}.ticks"
ROWS_TYPES = (23, 30)
"""Inserts, as MariaDB and MySQL write them."""
WARM_UP = 1.0
"""Seconds."""


def write(port: int, first: int, count: int, *, rate: int, at_once: int) -> None:
    """Insert rows at a fixed rate, `at_once` by one statement; a statement that is late does not delay the others."""
    with pymysql.connect(
        host="127.0.0.1", port=port, user="root", database=DATABASE, autocommit=True
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        begun = time.monotonic()
        for number in range(0, count, at_once):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            sent = time.time_ns()
            rows = ", ".join(f"({first + number + n}, {sent}, 'row {n}')" for n in range(at_once))
            cursor.execute(f"INSERT INTO ticks VALUES {rows}")
        print(f"wrote {count} rows in {time.monotonic() - begun:.2f} s", flush=True)


def row_events(port: int, file: str, pos: int, delays: Delays) -> Iterator[bytes]:
    """Give the row events of a dump, without end; says that it is ready once the dump is asked for."""
    connection: Any = pymysql.connect(host="127.0.0.1", port=port, user="root", read_timeout=PATIENCE)
    with connection.cursor() as cursor:
        cursor.execute("SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'")
        cursor.execute("SET @mariadb_slave_capability = 4")
    connection._execute_command(0x12, struct.pack("<IHI", pos, 0, 3_999_999_998) + file.encode())  # noqa: SLF001 - the driver has no other way
    delays.put(None)
    while True:
        data = connection._read_packet()._data  # noqa: SLF001 - there is no other way to the packets
        if data[5] in ROWS_TYPES:
            yield data[1:-4]


def read_packets(port: int, file: str, pos: int, count: int, delays: Delays) -> None:
    """Take packets of a dump until so many rows came."""
    found: list[int] = []
    for event in row_events(port, file, pos, delays):
        found += sent_of(event)
        if len(found) >= count:
            break
    delays.put(found)


def read_kept(port: int, file: str, pos: int, count: int, delays: Delays) -> None:
    """Take packets of a dump, and sync them to a file, until so many rows came."""
    taken: SimpleQueue[bytes] = SimpleQueue()

    def take() -> None:
        for event in row_events(port, file, pos, delays):
            taken.put(event)

    threading.Thread(target=take, daemon=True).start()
    found: list[int] = []
    with tempfile.TemporaryFile() as kept:
        while len(found) < count:
            events = [taken.get(timeout=2 * PATIENCE)]
            while not taken.empty():
                events.append(taken.get())
            os.write(kept.fileno(), b"".join(events))
            os.fdatasync(kept.fileno())
            for event in events:
                found += sent_of(event)
    delays.put(found)


def sent_of(event: bytes) -> list[int]:
    """Return how long ago the rows of an event were sent: each is null bits, id, time, and a short text."""
    now = time.time_ns()
    at = 19 + 8 + (2 if event[4] == ROWS_TYPES[1] else 0) + 2
    found = []
    while at < len(event):
        found.append(now - int.from_bytes(event[at + 9 : at + 17], "little"))
        at += 18 + event[at + 17]
    return found


class Field:
    """The server, and where the writer goes on."""

    def __init__(self, server: MysqlServer, rate: int, rows: int) -> None:
        self.server = server
        self.next_id = 1
        self.rate = rate
        self.count = rows + round(rate * WARM_UP)

    def measure(self, reader: Callable[..., None], *arguments: object, at_once: int) -> Figures:
        """Let the reader get ready, write, and return what it found, in milliseconds."""
        delays: Delays = SPAWN.Queue()
        process = SPAWN.Process(target=reader, args=(*arguments, self.count, delays), daemon=True)
        process.start()
        heard(process, delays)
        write(self.server.port, self.next_id, self.count, rate=self.rate, at_once=at_once)
        found = heard(process, delays)
        self.next_id += self.count
        process.join()
        assert found is not None
        counted = sorted(found[round(WARM_UP * self.rate) :])
        return {
            name: counted[min(len(counted) * share // 1000, len(counted) - 1)] / 1e6
            for name, share in (("p50_ms", 500), ("p90_ms", 900), ("p99_ms", 990), ("max_ms", 1000))
        }

    def packets(self, reader: Callable[..., None], *, at_once: int) -> Figures:
        """Measure a loop that takes packets."""
        status = "SHOW MASTER STATUS" if self.server.flavour == "mariadb" else "SHOW BINARY LOG STATUS"
        file, pos = self.server.execute(status)[0][:2]
        return self.measure(reader, self.server.port, file, pos, at_once=at_once)

    def tailrace(self, *, at_once: int) -> Figures:
        """Measure a worker and a reader of its log."""
        with binlog_backlog.worker(self.server, (f"{DATABASE}.ticks",)) as worker:
            self.server.execute("TRUNCATE ticks", database=DATABASE)
            write(self.server.port, self.next_id, 1, rate=1, at_once=1)
            self.next_id += 1
            worker.start()
            wait_for_records(worker, TOPIC, 1, timeout=PATIENCE)
            figures = self.measure(read_topic, worker.log_path, at_once=at_once)
            worker.stop()
        return figures


def heard(process: BaseProcess, delays: Delays) -> list[int] | None:
    """Return what a reader says next; raises SystemExit as soon as it has ended without a word, or takes too long."""
    deadline = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < deadline:
        alive = process.is_alive()
        with contextlib.suppress(Empty):
            return delays.get(timeout=0.5)
        if not alive:
            raise SystemExit(f"{process.name} ended early")
    raise SystemExit(f"{process.name} does not end")


def read_topic(path: Path, count: int, delays: Delays) -> None:
    """Follow the topic until so many rows came."""
    read_log(path, count, delays, TOPIC)


def main() -> None:
    """Measure, and publish."""
    parser = binlog_backlog.parser(__doc__ or "", rows=1_500, servers="mysql,mariadb")
    parser.add_argument("--rate", type=int, default=1000, help="rows a second")
    given = parser.parse_args()
    contests = [contest for flavour in binlog_backlog.flavours(given) for contest in _server(flavour, given)]
    goals = [
        Goal(f"latency against {other}, p99", contest.case, contest.ratios("tailrace", other, "p99_ms"), at_most=3)
        for contest in contests
        for other in ("packets", "packets, kept")
    ]
    publish(
        "binlog_latency", [row for contest in contests for row in contest.medians()], about=__doc__ or "", goals=goals,
        every_run=[row for contest in contests for row in contest.every_run()], parameters=vars(given),
    )  # fmt: skip


def _server(flavour: Flavour, given: argparse.Namespace) -> list[Contest]:
    with binlog_backlog.server(flavour, 1) as running:
        running.execute(TABLE, database=DATABASE)
        field = Field(running, given.rate, given.rows)
        return [
            hold(
                f"{binlog_backlog.title(flavour)}, {at_once} rows a transaction",
                {
                    "packets": partial(field.packets, read_packets, at_once=at_once),
                    "packets, kept": partial(field.packets, read_kept, at_once=at_once),
                    "tailrace": partial(field.tailrace, at_once=at_once),
                },
                rounds=given.rounds,
            )
            for at_once in (1, 10)
        ]


if __name__ == "__main__":
    main()
