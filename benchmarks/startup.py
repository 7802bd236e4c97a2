"""How long do `tailrace --help`, and a worker from its start to the first event that can be read, take?

    python benchmarks/startup.py [--rounds 5]

A slot with a backlog of rows waits; the time runs from the start of `tailrace run` until the reader of the
log has a record. The peer of both is `python -c pass`, which is what nobody can save.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial

import psycopg

import subject
from contest import Figures, hold
from crash.worker import TAILRACE
from measurement import Goal, publish
from postgres_stream import drop_slot
from tailrace.demo.postgres import PostgresServer
from tailrace.log.store.backend import BundledLog

TOPIC = "crash.public.goods"
PATIENCE = 120.0


def command(*arguments: str) -> Figures:
    """Run a command to its end."""
    begun = time.perf_counter()
    subprocess.run(arguments, check=True, capture_output=True)
    return {"seconds": time.perf_counter() - begun}


def first_event(server: PostgresServer, connection: psycopg.Connection[tuple[object, ...]]) -> Figures:
    """Start a worker on a copy of the slot, and wait for a record."""
    connection.execute("SELECT pg_copy_logical_replication_slot('base', %s)", [subject.SLOT_NAME])
    with subject.worker(server.dsn(), ("public.goods",), snapshot="never") as worker:
        reader = BundledLog.at(worker.log_path).reader([TOPIC])
        reader.open(None)
        begun = time.perf_counter()
        worker.start()
        while not reader.poll(1.0).items:
            if not worker.running or time.perf_counter() - begun > PATIENCE:
                raise SystemExit(f"no event came: {worker.last_words()}")
        seconds = time.perf_counter() - begun
        reader.close()
        worker.stop()
    drop_slot(connection, subject.SLOT_NAME)
    return {"seconds": seconds}


def main() -> None:
    """Measure, and publish."""
    given = subject.parser(__doc__ or "", rows=1000).parse_args()
    with subject.server(given.pg) as server, server.connect() as connection:
        connection.execute(subject.TABLE.format(name="goods"))
        connection.execute(f"CREATE PUBLICATION {subject.SLOT_NAME} FOR TABLE goods")
        connection.execute("SELECT pg_create_logical_replication_slot('base', 'pgoutput')")
        subject.insert(connection, "goods", 1, given.rows)
        contenders = {
            "python -c pass": partial(command, sys.executable, "-c", "pass"),
            "tailrace --help": partial(command, str(TAILRACE), "--help"),
            "tailrace run, first event": partial(first_event, server, connection),
        }
        contest = hold("", contenders, rounds=given.rounds)
    goals = [
        Goal(name, "", contest.values(name, "seconds"), at_most=most, unit=" s")
        for name, most in (("tailrace --help", 0.3), ("tailrace run, first event", 2.0))
    ]
    publish(
        "startup", list(contest.medians()), about=__doc__ or "", goals=goals, every_run=list(contest.every_run()),
        parameters=vars(given),
    )  # fmt: skip


if __name__ == "__main__":
    main()
