"""How fast is a replica in Postgres loaded, and kept up to date, against what the driver alone can do?

    python benchmarks/replica.py --rows 200000 --rounds 5

A topic holds the snapshot of a table of ten columns and, behind it, an update of each second row; by turns, each on a
fresh database of one server:

* `copy`: the rows as lines of COPY, ready in memory, into the same table with its primary key
* `load`: the topic's snapshot through log reader and sink, in a process of its own
* `executemany`: the changed rows, ready as tuples, by psycopg's `executemany` of an upsert, a transaction for 1,000
* `changes`: the topic's updates through log reader and sink, in a process of its own
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql

from contest import Figures, Run, hold
from encode import orders
from log_read import BATCH, wire
from measurement import Goal, parser, publish
from subject import server
from tailrace.codec.decoder import Decoder, row_change
from tailrace.codec.encoder import ChangeEncoder
from tailrace.demo.postgres import PostgresServer
from tailrace.event import Change, Op, StoredRecord
from tailrace.log.store.backend import BundledLog
from tailrace.runtime.build import TaskSpec, build_task
from tailrace.runtime.process import collect_rarely
from tailrace.runtime.task import run_task
from tailrace.source import Batch, Report, Reporting, Source, SourceConfig
from tailrace_postgres.origin import Place, TransactionOrigin

TOPIC = "shop.public.orders"
DATABASE = "replica"


def fill(log: BundledLog, count: int) -> None:
    """Write the topic: `count` rows, then the updates of half of them."""
    encoder = ChangeEncoder(
        log.registry(), SourceConfig.model_validate({"type": "postgres"}), partitions=log.partition_count
    )
    table, place = orders(), Place("shop", "shop", {"public.orders": ("public", "orders")})
    writer = log.writer()
    writer.open("bench")
    numbers: list[tuple[Op, int]] = [("c", number) for number in range(count)]
    numbers += [("u", number * 7919 % count) for number in range(0, count, 2)]
    for first in range(0, len(numbers), BATCH):
        origin = TransactionOrigin(
            place, xid=first + 7, time=816_000_000_000_000 + first, last_commit=26_000_000 + first
        )
        part = numbers[first : first + BATCH]
        writer.write(
            encoder.encode([Change(table, op, None, wire(number), origin=origin, at=27_000_000) for op, number in part])
        )
        writer.commit({"at": first})
    writer.close()


class Ring:
    """The server, and what the contenders work on."""

    def __init__(self, server: PostgresServer, log: BundledLog, count: int) -> None:
        self.server = server
        self._log = log
        self._count = count
        self._lines: list[bytes] = []
        self._tuples: list[tuple[Any, ...]] = []
        self._ddl = ""
        self._names: list[str] = []

    def prepare(self) -> None:
        """Load once, to have the table and its rows as COPY and the driver have them."""
        self.fresh()
        self.task(self._count)
        with self.server.connect(DATABASE) as connection:
            rows = connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = 'public.orders'::regclass AND attnum > 0 ORDER BY attnum"
            ).fetchall()
            self._names = [str(name) for name, _ in rows]
            self._ddl = ", ".join([f'"{name}" {kind}' for name, kind in rows])
            with connection.cursor().copy("COPY public.orders TO STDOUT") as copy:
                self._lines = [bytes(line) for line in copy]
        decoder = Decoder(self._log.registry())
        for record in self._log.records(TOPIC, 0, self._count):
            after = row_change(decoder.value(record.value)).after or {}
            self._tuples.append(self._bound(tuple(after.values())))

    def fresh(self, *, table: bool = False) -> None:
        """Begin with an empty database, or with the empty table in it."""
        with self.server.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
            connection.execute("CHECKPOINT")
        if table:
            with self.server.connect(DATABASE) as connection:
                connection.execute(f"CREATE TABLE public.orders ({self._ddl}, PRIMARY KEY (id))".encode())

    def copy(self) -> Figures:
        """COPY the lines."""
        self.fresh(table=True)
        return self._timed(self._count, self._copy)

    def load(self) -> Figures:
        """Have the sink load the snapshot."""
        self.fresh()
        return self.task(self._count)

    def executemany(self) -> Figures:
        """Upsert the changed rows."""
        self.fresh(table=True)
        self._copy()
        return self._timed(len(self._tuples), self._upsert)

    def changes(self) -> Figures:
        """Have the sink apply the updates."""
        self.fresh()
        self.task(self._count)
        return self.task(None)

    def task(self, until: int | None) -> Figures:
        """Run the sink in a process of its own, until that offset or the end; return what it tells."""
        told = {"log": str(self._log.config.path), "url": self.server.dsn(DATABASE), "until": until}
        done = subprocess.run(
            [sys.executable, __file__, "--task", json.dumps(told)], check=True, capture_output=True, timeout=600
        )
        return cast("Figures", json.loads(done.stdout.splitlines()[-1]))

    def _copy(self) -> None:
        with self.server.connect(DATABASE, autocommit=False) as connection:
            with connection.cursor().copy("COPY public.orders FROM STDIN") as copy:
                for first in range(0, len(self._lines), BATCH):
                    copy.write(b"".join(self._lines[first : first + BATCH]))
            connection.commit()

    def _upsert(self) -> None:
        marks = ", ".join(["%s"] * len(self._names))
        sets = ", ".join([f'"{name}" = excluded."{name}"' for name in self._names if name != "id"])
        statement = f"INSERT INTO public.orders VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {sets}".encode()
        rows = self._tuples
        with psycopg.connect(self.server.dsn(DATABASE)) as connection:
            for first in range(0, len(rows), BATCH):
                connection.cursor().executemany(statement, rows[first : first + BATCH])
                connection.commit()

    def _bound(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Timestamps as text: what the driver would make of a `datetime` too."""
        kinds = self._ddl.split(", ")
        return tuple(
            _timestamp(value) if " timestamp" in kind else value for kind, value in zip(kinds, row, strict=False)
        )

    def _timed(self, rows: int, work: Any) -> Figures:
        begun = time.perf_counter()
        work()
        seconds = time.perf_counter() - begun
        return {"rows_per_second": rows / seconds, "us_per_row": seconds / rows * 1e6}


def _timestamp(value: object) -> object:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(value // 1_000_000)) if isinstance(value, int) else value


class Until:
    """The records of a source below an offset of the topic, and the position there; all of them without one."""

    def __init__(self, source: Source[StoredRecord], until: int | None) -> None:
        self.open, self.ack, self.close = source.open, source.ack, source.close
        self.rows = 0
        self.over = False
        self._source = source
        self._until = until

    def poll(self, timeout: float) -> Batch[StoredRecord]:
        """Return a batch that ends at the offset, at the latest."""
        batch = self._source.poll(timeout)
        if self._until is not None and any(record.offset >= self._until for record in batch.items):
            self.over = True
            kept = [record for record in batch.items if record.offset < self._until]
            batch = Batch(kept, {f"{TOPIC}-0": self._until}, batch.size)
        self.rows += len(batch.items)
        return batch

    def report(self) -> Report:
        """Return what the source says."""
        assert isinstance(self._source, Reporting)
        return self._source.report()


def task(told: dict[str, Any]) -> None:
    """Run the sink; print rows, seconds, CPU and memory."""
    spec = TaskSpec(
        name="bench", block_name="bench", kind="sink", folder=Path("/"), worker_folder=Path("/"),
        block={"type": "replica", "topics": [TOPIC], "url": told["url"]}, log={"type": "bundled", "path": told["log"]},
    )  # fmt: skip
    parts = build_task(spec)
    collect_rarely()
    source = Until(parts.source, told["until"])
    begun, cpu = time.perf_counter(), time.process_time()
    run_task(
        "bench", source, parts.stage, parts.sink, pace=parts.pace, stopping=lambda: source.over, until_current=True
    )
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    rows = source.rows
    # Not by `getrusage`: its peak begins with that of the process which started this one.
    peak = (
        next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
        / 1024
    )
    print(
        json.dumps({
            "rows_per_second": rows / seconds, "us_per_row": seconds / rows * 1e6, "cpu_us_per_row": cpu / rows * 1e6,
            "peak_mb": peak,
        })
    )  # fmt: skip


def main() -> None:
    """Measure, and publish."""
    options = parser(__doc__ or "", rows=200_000)
    options.add_argument("--task", help="what a contender's own process is told; not for people")
    given = options.parse_args()
    if given.task:
        task(json.loads(given.task))
        return
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder, server(15) as postgres:
        log = BundledLog.at(Path(folder))
        fill(log, given.rows)
        ring = Ring(postgres, log, given.rows)
        ring.prepare()
        contenders: dict[str, Run] = {
            "copy": ring.copy,
            "load": ring.load,
            "executemany": ring.executemany,
            "changes": ring.changes,
        }
        found = hold("", contenders, rounds=given.rounds)
    loads = found.ratios("load", "copy", "rows_per_second")
    changes = found.ratios("changes", "executemany", "rows_per_second")
    peaks = found.values("load", "peak_mb")
    publish(
        "replica", list(found.medians()), about=__doc__ or "", every_run=list(found.every_run()),
        goals=[
            Goal("replica in Postgres, rows a second of the first load against COPY", "", loads, at_least=0.4),
            Goal("replica in Postgres, changes a second against executemany", "", changes, at_least=3.0),
            Goal("replica, peak memory of a task", "", peaks, at_most=150.0, unit=" MB"),
        ],
        parameters={name: value for name, value in vars(given).items() if name != "task"},
    )  # fmt: skip


if __name__ == "__main__":
    main()
