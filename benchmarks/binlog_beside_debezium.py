"""How much quicker than Debezium does Tailrace stream and snapshot a MySQL table, in the same minutes?

    python benchmarks/binlog_beside_debezium.py [--rows 400000] [--rounds 5]

The table of ten everyday columns. Debezium runs embedded, with its Avro converter and a registry in memory, and drops
the events; a worker writes them into the bundled log, exactly once, every commit synced. The streams are backlogs of
inserts, in transactions of 1 to 1,000 rows (uncompressed and compressed by the server) and of one row each; both begin
at the place that they kept before the backlog was made. `rows_per_second` is, for Debezium, from the first batch that
it hands over to the last record; for the worker from the dump's start to the last commit that readers see.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import binlog_backlog
import debezium
import measurement
import program
from binlog_backlog import DATABASE, TOPIC, Asked, Backlog
from contest import Contest, Figures, hold
from crash.worker import TAILRACE
from measurement import Goal
from postgres_stream import last_commit
from servers.mysql_server import MysqlServer
from subject import records

OURS, THEIRS = "tailrace", "debezium"

STREAMS = {
    "stream": (False, "OFF", 12.0),
    "stream, compressed": (False, "ON", 12.0),
    "stream, single rows": (True, "OFF", 6.0),
}
"""Whether a transaction has one row, whether the server compresses, and the least ratio."""

SHARE_OF_SINGLE = 0.25
"""Of the rows: Debezium needs longer for each."""


def main() -> None:
    """Measure, and publish."""
    parser = binlog_backlog.parser(__doc__ or "", rows=400_000)
    parser.add_argument("--cases", default=f"{','.join(map(_word, STREAMS))},snapshot", help="which cases")
    given = parser.parse_args()
    debezium.prepare()
    contests: list[tuple[Contest, float]] = []
    with binlog_backlog.server("mysql", given.rows) as running:
        for case, (single, compression, least) in STREAMS.items():
            if _word(case) in given.cases.split(","):
                running.execute(f"SET GLOBAL binlog_transaction_compression = {compression}")
                contests.append((_stream(running, case, given, single=single), least))
        running.execute("SET GLOBAL binlog_transaction_compression = OFF")
        if "snapshot" in given.cases.split(","):
            contests.append((_snapshots(running, given), 5.0))
    measurement.publish(
        "binlog_beside_debezium",
        [row for contest, _ in contests for row in contest.medians()],
        about=__doc__ or "",
        goals=[_goal(contest, least) for contest, least in contests],
        every_run=[row for contest, _ in contests for row in contest.every_run()],
        parameters=vars(given),
        debezium=debezium.REQUIREMENT,
        server=binlog_backlog.title("mysql"),
    )


def _word(case: str) -> str:
    return case.replace(", ", "-").replace(" ", "-")


def _goal(contest: Contest, least: float) -> Goal:
    ratios = contest.ratios(OURS, THEIRS, "rows_per_second")
    return Goal("rows a second against Debezium's", contest.case, ratios, at_least=least)


def _stream(running: MysqlServer, case: str, given: argparse.Namespace, *, single: bool) -> Contest:
    rows = max(1, int(given.rows * SHARE_OF_SINGLE)) if single else given.rows
    with _kept_by_debezium(running) as kept, binlog_backlog.backlog(running, rows, single=single) as waiting:
        theirs = partial(_stream_debezium, running, kept, rows)
        return hold(case, {OURS: waiting.by_tailrace, THEIRS: theirs}, rounds=given.rounds)


def _settings(running: MysqlServer, folder: Path) -> dict[str, str]:
    return {
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.hostname": "127.0.0.1",
        "database.port": str(running.port),
        "database.user": "root",
        "database.server.id": "3999999999",
        "database.include.list": DATABASE,
        "table.include.list": f"{DATABASE}.goods,{DATABASE}.marks",
        "include.schema.changes": "false",
        "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
        "schema.history.internal.file.filename": str(folder / "history"),
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": str(folder / "offsets"),
        "offset.flush.interval.ms": "0",
        "snapshot.mode": "no_data",
    }


@contextlib.contextmanager
def _kept_by_debezium(running: MysqlServer) -> Iterator[Path]:
    """A folder with offsets and schema history as Debezium leaves them after a row of another table."""
    running.execute(
        "DROP TABLE IF EXISTS goods, marks", binlog_backlog.TABLE.format(name="goods"),
        "CREATE TABLE marks (id int PRIMARY KEY AUTO_INCREMENT)", database=DATABASE,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="debezium-kept-"))
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.5):
            running.execute("INSERT INTO marks () VALUES ()", database=DATABASE)

    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        debezium.drain(_settings(running, folder), f"crash.{DATABASE}.marks", 1, at_least=True)
        done.set()
        ticking.join()
        yield folder
    finally:
        done.set()
        shutil.rmtree(folder, ignore_errors=True)


def _stream_debezium(running: MysqlServer, kept: Path, rows: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="debezium-kept-") as name:
        folder = Path(name) / "kept"
        shutil.copytree(kept, folder)
        return debezium.drain(_settings(running, folder), TOPIC, rows).figures(rows)


def _snapshots(running: MysqlServer, given: argparse.Namespace) -> Contest:
    running.execute("DROP TABLE IF EXISTS goods", binlog_backlog.TABLE.format(name="goods"), database=DATABASE)
    binlog_backlog.insert(running, "goods", 1, given.rows)
    running.execute("ANALYZE TABLE goods", database=DATABASE)
    ours, theirs = partial(snapshot, running, given.rows), partial(_snapshot_debezium, running, given.rows)
    return hold("snapshot", {OURS: ours, THEIRS: theirs}, rounds=given.rounds)


def snapshot(running: MysqlServer, rows: int, **options: object) -> Figures:
    """Read the table with a worker; `options` are the connector's."""
    with binlog_backlog.worker(running, **options) as made:
        with Asked(running) as asked:
            usage = program.run([str(TAILRACE), "run", str(made.config), "--until-current"])
        if (told := records(made, TOPIC)) != rows:
            raise SystemExit(f"{told} of {rows} rows are in the topic: {usage.said[-3000:]}")
        whole = Backlog(running, rows, "", "", made.log_path)
        return whole.figures(usage, asked.at(), last_commit(made.log_path, TOPIC))


def _snapshot_debezium(running: MysqlServer, rows: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="debezium-kept-") as name:
        settings = {**_settings(running, Path(name)), "snapshot.mode": "initial"}
        return debezium.drain(settings, TOPIC, rows).figures(rows)


if __name__ == "__main__":
    main()
