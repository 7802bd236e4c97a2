"""How many rows a second does the snapshot read into the bundled log, against a plain binary COPY into /dev/null?

    python benchmarks/snapshot.py [--rows 500000] [--rounds 5] [--tables typical,wide]

Tables of 3, 10 and 60 columns and one with a text of 4 KB. `psql` reads the whole table by one COPY, in binary and as
text, and writes nothing; a worker reads it in chunks as it does by default, with one reader and with two (Avro, exactly
once, every commit synced). `rows_per_second` is of the whole process for `psql`; of the worker from START_REPLICATION,
as the server logs it, to the last commit that readers see. `with_start` is from the start of the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg

import measurement
import program
import subject
from contest import Contest, Figures, Run, hold
from crash.worker import TAILRACE
from measurement import Goal
from postgres_stream import SETTINGS, TOPIC, Backlog, Walsenders, drop_slot, last_commit
from postgres_tables import SHAPES, Shape
from tailrace.demo.postgres import PostgresServer

CEILING = "COPY, binary"
TEXT_CEILING = "COPY, text"
ONE, TWO = "tailrace, one reader", "tailrace, two readers"


def main() -> None:
    """Measure, and publish."""
    parser = subject.parser(__doc__ or "", rows=500_000)
    parser.add_argument("--tables", default=",".join(SHAPES), help="which tables")
    given = parser.parse_args()
    with subject.server(given.pg, **SETTINGS) as server, server.connect() as connection:
        contests = [_table(server, connection, SHAPES[table], given) for table in given.tables.split(",")]
    measurement.publish(
        "snapshot",
        [row for contest in contests for row in contest.medians()],
        about=__doc__ or "",
        goals=[goal for contest in contests for goal in _goals(contest)],
        every_run=[row for contest in contests for row in contest.every_run()],
        parameters=vars(given),
    )


def _table(server: PostgresServer, connection: psycopg.Connection[Any], shape: Shape, given: Any) -> Contest:
    rows = shape.rows(given.rows)
    connection.execute(f"DROP PUBLICATION IF EXISTS {subject.SLOT_NAME}")
    connection.execute("DROP TABLE IF EXISTS goods")
    connection.execute(shape.create())
    connection.execute(f"CREATE PUBLICATION {subject.SLOT_NAME} FOR TABLE goods")
    connection.execute(shape.inserts(), [1, rows])
    connection.execute("VACUUM (FREEZE, ANALYZE) goods")
    connection.execute("CHECKPOINT")
    backlog = Backlog(server, connection, rows, rows)
    contenders: dict[str, Run] = {
        CEILING: partial(_copy, backlog, "binary"),
        TEXT_CEILING: partial(_copy, backlog, "text"),
        ONE: partial(_snapshot, backlog, readers=1),
        TWO: partial(_snapshot, backlog, readers=2),
    }
    return hold(shape.name, contenders, rounds=given.rounds)


def _copy(backlog: Backlog, form: str) -> Figures:
    server = backlog.server
    command = [
        str(server.bin_dir / "psql"), "-X", "-q", "-d", server.dsn(), "-o", os.devnull,
        "-c", f"COPY goods TO STDOUT (FORMAT {form})",
    ]  # fmt: skip
    usage = program.run(command)
    return backlog.figures(usage, usage.began, usage.ended)


def _snapshot(backlog: Backlog, *, readers: int) -> Figures:
    with subject.worker(backlog.server.dsn(), ("public.goods",), snapshot_readers=readers) as worker:
        senders = Walsenders(backlog.server)
        usage = program.run([str(TAILRACE), "run", str(worker.config), "--until-current"])
        if (told := subject.records(worker, TOPIC)) != backlog.records:
            raise SystemExit(f"{told} of {backlog.records} rows are in the topic: {usage.said[-3000:]}")
        figures = backlog.figures(usage, senders.asked(), last_commit(worker.log_path, TOPIC))
    drop_slot(backlog.connection, subject.SLOT_NAME)
    return figures


def _goals(contest: Contest) -> Iterator[Goal]:
    for ours, least in ((ONE, 0.7), (TWO, 1.2)):
        rates = contest.ratios(ours, CEILING, "rows_per_second")
        yield Goal(f"rows a second, {ours.partition(', ')[2]}, against {CEILING}", contest.case, rates, at_least=least)
        yield Goal(
            "peak memory of a task", f"{contest.case}, {ours}", contest.values(ours, "peak_mb"), at_most=150, unit=" MB"
        )


if __name__ == "__main__":
    main()
