"""What does a snapshot cost that is killed five times: rows read again, gaps, and the stream's lag meanwhile?

    python benchmarks/snapshot_killed.py --rows 2000000 --kills 5

A writer changes rows and inserts one into `a_ticks` every 50 ms all the time; the stream's lag is how old the oldest
tick is that is not in the topic yet (its table comes first, so that its own snapshot is soon over). Rows read are
counted by the server (pg_stat_statements: rows sent by COPY that ran to its end).
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg

import measurement
import subject
from crash.worker import Worker, send_signal
from tailrace.codec.decoder import Decoder
from tailrace.log.store.backend import BundledLog

TOPIC = "crash.public.goods"
TICKS = "crash.public.a_ticks"


@dataclass(slots=True)
class Writer:
    """Changes rows of the table under snapshot, and ticks."""

    dsn: str
    rows: int
    stopping: threading.Event = field(default_factory=threading.Event)
    ticked: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Write until stopped."""
        rng = random.Random(1)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self.stopping.wait(0.05):
                with connection.transaction():
                    keys = [rng.randrange(1, self.rows + 1) for _ in range(5)]
                    connection.execute("UPDATE goods SET quantity = quantity + 1 WHERE id = ANY(%s)", [keys])
                    connection.execute("INSERT INTO a_ticks DEFAULT VALUES")
                self.ticked.append(time.monotonic())


def main() -> None:
    """Measure, and publish."""
    parser = subject.parser(__doc__ or "", rows=2_000_000, rounds=None)
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    preload = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.max": "50000"}
    with (
        subject.server(given.pg, **preload) as server,
        server.connect() as connection,
        subject.worker(server.dsn(), ("public.goods", "public.a_ticks")) as worker,
    ):
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute(subject.TABLE.format(name="goods"))
        connection.execute("CREATE TABLE a_ticks (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
        subject.insert(connection, "goods", 1, given.rows)
        writer = Writer(server.dsn(), given.rows)
        thread = threading.Thread(target=writer.run, daemon=True)
        thread.start()
        rows, seconds, lags = _snapshot(worker, writer, given.rows, given.kills)
        writer.stopping.set()
        thread.join(10)
        code = worker.stop()
        worker.start("--until-current")
        code = code or worker.wait(timeout=300)
        read = connection.execute(
            "SELECT coalesce(sum(rows), 0)::bigint FROM pg_stat_statements WHERE query ILIKE 'copy (select%goods%'"
        ).fetchone()
        assert read is not None
        faults = _compare(worker, connection)
    measurement.publish(
        "snapshot_killed", rows, postgres=given.pg, rows_in_table=given.rows, kills=given.kills,
        seconds=round(seconds, 1), rows_per_second=round(given.rows / seconds), rows_read=read[0],
        rows_read_again=read[0] - given.rows, lag_seconds_most=round(max(lags), 2),
        lag_seconds_median=round(sorted(lags)[len(lags) // 2], 3), faults=faults, exit_code=code,
    )  # fmt: skip


def _snapshot(
    worker: Worker, writer: Writer, total: int, kills: int
) -> tuple[list[dict[str, measurement.Cell]], float, list[float]]:
    """Run the snapshot to its end, killing the task on the way; return samples, seconds, and the stream's lags."""
    due = [total * (number + 1) // (kills + 1) for number in range(kills)]
    rows: list[dict[str, measurement.Cell]] = []
    lags: list[float] = []
    began = next_row = time.monotonic()
    worker.start()
    while (told := subject.records(worker, TOPIC)) < total:
        if not worker.running:
            raise SystemExit(worker.last_words())
        killed = bool(due) and told >= due[0]
        if killed:
            due.pop(0)
            for pid in worker.task_pids():
                send_signal(pid, signal.SIGKILL)
        ticks = subject.records(worker, TICKS)
        lag = time.monotonic() - writer.ticked[ticks] if ticks < len(writer.ticked) else 0.0
        if ticks:
            lags.append(lag)
        if killed or time.monotonic() >= next_row:
            seconds = time.monotonic() - began
            rows.append({"seconds": round(seconds, 1), "rows": told, "lag_seconds": lag, "killed": "kill" * killed,
                         "resident_mb": subject.resident(worker) / 2**20})  # fmt: skip
            print(rows[-1], flush=True)
            next_row = time.monotonic() + 5
        time.sleep(0.05)
    return rows, time.monotonic() - began, lags


def _compare(worker: Worker, connection: psycopg.Connection[tuple[Any, ...]]) -> dict[str, int]:
    """Fold the topic, and count what differs from the table."""
    log = BundledLog(BundledLog.Config.model_validate({"path": worker.log_path}))
    decoder = Decoder(log.registry())
    folded: dict[object, object] = {}
    read: Counter[object] = Counter()
    for record in log.records(TOPIC, 0, 0):
        envelope = decoder.value(record.value)
        assert isinstance(envelope, dict)
        after = envelope["after"]
        folded[after["id"]] = after["quantity"]
        if envelope["op"] == "r":
            read[after["id"]] += 1
    table: dict[object, object] = dict(connection.execute("SELECT id, quantity FROM goods"))
    return {
        "missing": len(table.keys() - folded.keys()),
        "different": sum(folded[key] != quantity for key, quantity in table.items() if key in folded),
        "read_twice": sum(times > 1 for times in read.values()),
        "not_read": len(table) - len(read),
    }


if __name__ == "__main__":
    main()
