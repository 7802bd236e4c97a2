"""What reads a Postgres slot in a benchmark: `pg_recvlogical`, a worker, and how the walsender fares meanwhile.

Every client starts from a copy of the same slot, so that all of them are sent the same changes, and all are timed from
the moment at which the server's own log says that they asked for the stream (START_REPLICATION).
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

import program
import subject
from contest import Figures
from crash.worker import TAILRACE
from tailrace.demo.postgres import PostgresServer

SETTINGS = {
    "log_replication_commands": "on",
    "log_line_prefix": "%n [%p] ",  # %n: seconds since 1970, to the millisecond
    # Nothing that happens on its own time: a checkpoint is made before each case.
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
}

BASE = "base"

TOPIC = "crash.public.goods"

START = re.compile(r"^(\d+\.\d+) \[\d+\] LOG: +received replication command: START_REPLICATION", re.MULTILINE)


@dataclass(slots=True)
class Walsenders:
    """The walsenders of a server from now on: their CPU, that of ended ones too, and when the stream was asked for."""

    server: PostgresServer
    _known: dict[int, float] = field(default_factory=dict)
    _read_from: int = 0

    def __post_init__(self) -> None:
        self._read_from = self.server.log_file.stat().st_size

    def cpu(self) -> float:
        """Return the CPU seconds of all that were seen so far; called often enough, it misses little of any."""
        for pid in program.children(self.server.pid):
            if pid in self._known or "START_REPLICATION" in program.command_line(pid):
                self._known[pid] = max(self._known.get(pid, 0.0), program.cpu_seconds(pid))
        return sum(self._known.values())

    def asked(self) -> float:
        """Return the time (of `time.time`) of the first START_REPLICATION; raises SystemExit where there was none."""
        said = self.server.log_file.read_bytes()[self._read_from :].decode(errors="replace")
        found = START.search(said)
        if found is None:
            raise SystemExit(f"nobody asked for the stream: {said[-2000:]}")
        return float(found.group(1))


@dataclass(frozen=True, slots=True)
class Backlog:
    """Changes that wait in a slot, `base`: of `rows` rows, and how many records they are in a topic."""

    server: PostgresServer
    connection: psycopg.Connection[Any]
    rows: int
    records: int
    base: str = BASE

    def by_recvlogical(self, *, binary: bool) -> Figures:
        """Drain it with `pg_recvlogical` into /dev/null: the ceiling."""
        self.copy_slot("ceiling")
        end = self.connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        assert end is not None
        # Something past the end, so that the walsender says that it got there.
        self.connection.execute("SELECT pg_logical_emit_message(false, 'bench', 'end')")
        options = ["proto_version=1", f"publication_names={subject.SLOT_NAME}", *(["binary=true"] if binary else [])]
        command = [
            str(self.server.bin_dir / "pg_recvlogical"), "-d", self.server.dsn(), "-S", "ceiling", "--start",
            "--no-loop", "-E", str(end[0]), "-F", "0", "-P", "pgoutput", "-f", os.devnull,
        ]  # fmt: skip
        senders = Walsenders(self.server)
        usage = program.run(
            [*command, *(word for option in options for word in ("-o", option))], server_cpu=senders.cpu
        )
        figures = self.figures(usage, senders.asked(), usage.ended)
        drop_slot(self.connection, "ceiling")
        return figures

    def by_tailrace(self, **options: object) -> Figures:
        """Drain it with a worker into the bundled log, every commit synced; `options` are the connector's."""
        self.copy_slot(subject.SLOT_NAME)
        with subject.worker(self.server.dsn(), ("public.goods",), snapshot="never", **options) as worker:
            senders = Walsenders(self.server)
            command = [str(TAILRACE), "run", str(worker.config), "--until-current"]
            usage = program.run(command, server_cpu=senders.cpu)
            if (told := subject.records(worker, TOPIC)) != self.records:
                raise SystemExit(f"{told} of {self.records} records are in the topic: {usage.said[-3000:]}")
            figures = self.figures(usage, senders.asked(), last_commit(worker.log_path, TOPIC))
        drop_slot(self.connection, subject.SLOT_NAME)
        return figures

    def copy_slot(self, name: str) -> None:
        """Make a slot of the same backlog."""
        self.connection.execute("SELECT pg_copy_logical_replication_slot(%s, %s)", [self.base, name])

    def figures(self, usage: program.Usage, asked: float, done: float) -> dict[str, float]:
        """Return what a run gave that was sent the stream from `asked` on and had done its work at `done`."""
        return {
            "rows_per_second": self.rows / (done - asked),
            "with_start": self.rows / (done - usage.began),
            "start_seconds": asked - usage.began,
            "client_us_per_row": usage.client_cpu(asked, done) / self.rows * 1e6,
            "walsender_us_per_row": usage.server_cpu(asked, done) / self.rows * 1e6,
            "client_cpu_seconds": usage.client_cpu(asked, done),
            "walsender_cpu_seconds": usage.server_cpu(asked, done),
            "peak_mb": usage.peak_mb,
            "all_mb": usage.all_mb,
        }


def last_commit(log_path: Path, topic: str) -> float:
    """Return when readers were shown the last records of a topic: the watermark is written behind each commit."""
    return max(path.stat().st_mtime for path in log_path.glob(f"topics/{topic}-*/committed"))


def drop_slot(connection: psycopg.Connection[Any], slot: str) -> None:
    """Drop a slot as soon as its walsender is gone, if it is still there."""
    for _ in range(200):
        try:
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [slot]
            )
        except psycopg.errors.ObjectInUse:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"slot {slot} stays in use")
