"""How much memory does one transaction of millions of rows take, and does the slot move meanwhile?

    python benchmarks/big_transaction.py [--rows 2000000] [--rounds 1]

A worker is up and idle when a transaction of so many rows commits. Told are the most memory that a task had resident,
how much WAL the slot kept back at most and at the end, and how fast the rows came.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import psycopg

import measurement
import subject
from contest import Figures, hold
from crash.worker import Worker
from measurement import Goal
from tailrace.demo.postgres import PostgresServer

TOPIC = "crash.public.big"

CASE = "one transaction"


def main() -> None:
    """Measure, and publish."""
    given = subject.parser(__doc__ or "", rows=2_000_000, rounds=1).parse_args()
    with subject.server(given.pg) as server, server.connect() as connection:
        contest = hold(CASE, {"tailrace": partial(_run, server, connection, given.rows)}, rounds=given.rounds)
    memory = Goal("peak memory of a task", CASE, contest.values("tailrace", "peak_mb"), at_most=150, unit=" MB")
    measurement.publish(
        "big_transaction",
        list(contest.medians()),
        about=__doc__ or "",
        goals=[memory],
        every_run=list(contest.every_run()),
        parameters=vars(given),
    )


def _run(server: PostgresServer, connection: psycopg.Connection[Any], rows: int) -> Figures:
    connection.execute("DROP TABLE IF EXISTS big")
    connection.execute(f"DROP PUBLICATION IF EXISTS {subject.SLOT_NAME}")
    connection.execute(subject.TABLE.format(name="big"))
    subject.insert(connection, "big", 1, 1)
    with subject.worker(server.dsn(), ("public.big",)) as worker:
        worker.start()
        subject.wait_for_records(worker, TOPIC, 1, timeout=60)
        idle = subject.resident(worker)
        subject.insert(connection, "big", 2, rows + 1)
        figures = _follow(worker, connection, rows, idle)
        code = worker.stop()
        if code != 0:
            raise SystemExit(f"exit code {code}: {worker.last_words()}")
    connection.execute("SELECT pg_drop_replication_slot(%s)", [subject.SLOT_NAME])
    return figures


def _follow(worker: Worker, connection: psycopg.Connection[Any], rows: int, idle: int) -> Figures:
    """Look at the worker until the whole transaction is in the topic."""
    began, peak, behind, told = time.monotonic(), idle, 0, 0
    while told <= rows:
        if not worker.running:
            raise SystemExit(worker.last_words())
        told, peak = subject.records(worker, TOPIC), max(peak, subject.resident(worker))
        slot = subject.slot(connection)
        behind = max(behind, slot.behind if slot else 0)
        time.sleep(0.2)
    seconds = time.monotonic() - began
    return {
        "rows_per_second": rows / seconds,
        "idle_mb": idle / 2**20,
        "peak_mb": peak / 2**20,
        "most_behind_mb": behind / 2**20,
        "behind_after_mb": _settled(connection) / 2**20,
    }


def _settled(connection: psycopg.Connection[Any]) -> float:
    """Return how far behind the slot is once it has been told of the last commit."""
    deadline = time.monotonic() + 30
    while (slot := subject.slot(connection)) is not None and slot.behind > 2**20 and time.monotonic() < deadline:
        time.sleep(0.2)
    return float(slot.behind) if slot else 0.0


if __name__ == "__main__":
    main()
