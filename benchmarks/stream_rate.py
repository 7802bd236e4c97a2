"""How many rows a second does the stream carry, against `pg_recvlogical` on the same slot content?

    python benchmarks/stream_rate.py --rows 1000000 --rounds 3

One backlog of transactions of 1 to 1,000 rows is streamed again and again, by turns, each time from a copy of the same
slot. The time that a worker takes to start and end on an empty backlog is measured too, and told apart.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import time

import psycopg

import measurement
import subject
from tailrace.demo.postgres import PostgresServer

TOPIC = "crash.public.goods"

SIZES = (1, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1000)


def main() -> None:
    """Measure, and publish."""
    given = subject.parser(__doc__ or "", rows=1_000_000, rounds=3).parse_args()
    with subject.server(given.pg) as server, server.connect() as connection:
        connection.execute(subject.TABLE.format(name="goods"))
        connection.execute(f"CREATE PUBLICATION {subject.SLOT_NAME} FOR TABLE goods")
        connection.execute("SELECT pg_create_logical_replication_slot('base', 'pgoutput')")
        transactions = _load(connection, given.rows)
        connection.execute("SELECT pg_create_logical_replication_slot('empty', 'pgoutput')")
        rows: list[dict[str, measurement.Cell]] = []
        for run in range(given.rounds):
            for name, measure in (("pg_recvlogical", _recvlogical), ("tailrace", _tailrace)):
                whole, start = measure(server, connection, "base", given.rows), measure(server, connection, "empty", 0)
                rows.append({"run": run + 1, "client": name, "seconds": whole, "start_seconds": start,
                             "rows_per_second": round(given.rows / (whole - start)),
                             "with_start": round(given.rows / whole)})  # fmt: skip
                print(rows[-1], flush=True)
    rates = {
        name: statistics.median(float(row["rows_per_second"] or 0) for row in rows if row["client"] == name)
        for name in ("pg_recvlogical", "tailrace")
    }
    measurement.publish(
        "stream_rate", rows, postgres=given.pg, rows_streamed=given.rows, transactions=transactions,
        median_rows_per_second=rates, ratio=round(rates["tailrace"] / rates["pg_recvlogical"], 3),
    )  # fmt: skip


def _load(connection: psycopg.Connection[tuple[object, ...]], total: int) -> int:
    """Insert `total` rows; return in how many transactions."""
    rng = random.Random(1)
    next_id, transactions = 1, 0
    while next_id <= total:
        size = min(rng.choice(SIZES), total - next_id + 1)
        subject.insert(connection, "goods", next_id, next_id + size - 1)
        next_id += size
        transactions += 1
    return transactions


def _recvlogical(
    server: PostgresServer, connection: psycopg.Connection[tuple[object, ...]], slot: str, _: int
) -> float:
    connection.execute("SELECT pg_copy_logical_replication_slot(%s, 'recv')", [slot])
    end = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    assert end is not None
    # Something past the end, so that the walsender says that it got there.
    connection.execute("SELECT pg_logical_emit_message(false, 'bench', 'end')")
    command = [
        str(server.bin_dir / "pg_recvlogical"), "-d", server.dsn(), "-S", "recv", "--start", "--no-loop",
        "-E", str(end[0]), "-F", "0", "-P", "pgoutput", "-o", "proto_version=1",
        "-o", f"publication_names={subject.SLOT_NAME}", "-f", os.devnull,
    ]  # fmt: skip
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.monotonic() - began
    _drop(connection, "recv")
    return seconds


def _tailrace(
    server: PostgresServer, connection: psycopg.Connection[tuple[object, ...]], slot: str, rows: int
) -> float:
    connection.execute("SELECT pg_copy_logical_replication_slot(%s, %s)", [slot, subject.SLOT_NAME])
    with subject.worker(server.dsn(), ("public.goods",), snapshot="never") as worker:
        began = time.monotonic()
        worker.start("--until-current")
        code = worker.wait(timeout=1800)
        seconds = time.monotonic() - began
        if code != 0:
            raise SystemExit(f"exit code {code}: {worker.last_words()}")
        if (told := subject.records(worker, TOPIC)) != rows:
            raise SystemExit(f"{told} of {rows} rows are in the topic: {worker.last_words()}")
    _drop(connection, subject.SLOT_NAME)
    return seconds


def _drop(connection: psycopg.Connection[tuple[object, ...]], slot: str) -> None:
    for _ in range(100):
        try:
            connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        except psycopg.errors.ObjectInUse:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"slot {slot} stays in use")


if __name__ == "__main__":
    main()
