"""How many rows a second go from a Postgres slot into the bundled log, against `pg_recvlogical` into /dev/null?

    python benchmarks/stream_rate.py [--rows 400000] [--rounds 5] [--tables typical,wide] [--changes inserts]

Tables of 3, 10 and 60 columns and one with a text of 4 KB; inserts, updates with the whole row before, deletes. A
backlog of transactions of 1 to 1,000 rows is streamed from copies of one slot: by `pg_recvlogical`, which writes
nothing, in text and in binary, and by a worker as it is by default (Avro, exactly once, every commit synced).
`rows_per_second` is from START_REPLICATION, as the server logs it, to the end: of the process for `pg_recvlogical`, of
the last commit that readers see for the worker. `with_start` is from the start of the process.

The worker's other processes get ready while the stream flows already, which is no work for any row. So it is run on the
last fifth of the backlog as well: what a row costs is what the whole takes more than that fifth, divided by the rows
that it has more; of the worker, and of its walsender in the same two runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg

import measurement
import subject
from contest import Contest, Figures, Run, hold
from measurement import Goal
from postgres_stream import BASE, SETTINGS, Backlog, drop_slot
from postgres_tables import SHAPES, Shape, run_in_transactions
from tailrace.demo.postgres import PostgresServer

CHANGES = ("inserts", "updates", "deletes")

CEILING = "pg_recvlogical, text"
BINARY_CEILING = "pg_recvlogical, binary"
OURS, OURS_SHORT = "tailrace", "tailrace, a fifth of it"

SHORT = "short"


def main() -> None:
    """Measure, and publish."""
    parser = subject.parser(__doc__ or "", rows=400_000)
    parser.add_argument("--tables", default=",".join(SHAPES), help="which tables")
    parser.add_argument("--changes", default=",".join(CHANGES), help="which changes")
    given = parser.parse_args()
    contests: list[Contest] = []
    with subject.server(given.pg, **SETTINGS) as server, server.connect() as connection:
        for table in given.tables.split(","):
            contests += _table(server, connection, SHAPES[table], given.changes.split(","), given)
    measurement.publish(
        "stream_rate",
        [row for contest in contests for row in contest.medians()],
        about=__doc__ or "",
        goals=[goal for contest in contests for goal in _goals(contest)],
        every_run=[row for contest in contests for row in contest.every_run()],
        parameters=vars(given),
    )


def _table(
    server: PostgresServer, connection: psycopg.Connection[Any], shape: Shape, changes: list[str], given: Any
) -> Iterator[Contest]:
    rows = shape.rows(given.rows)
    connection.execute(f"DROP PUBLICATION IF EXISTS {subject.SLOT_NAME}")
    connection.execute("DROP TABLE IF EXISTS goods")
    connection.execute(shape.create(full_identity=True))
    connection.execute(f"CREATE PUBLICATION {subject.SLOT_NAME} FOR TABLE goods")
    statements = {"inserts": shape.inserts(), "updates": shape.updates(), "deletes": shape.deletes()}
    for change, statement in statements.items():
        split = rows - rows // 5
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [BASE])
        run_in_transactions(connection, statement, split)
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [SHORT])
        run_in_transactions(connection, statement, rows, first=split + 1)
        connection.execute("CHECKPOINT")
        # A delete is told by two records: itself, and the tombstone of its key.
        per_row = 2 if change == "deletes" else 1
        backlog = Backlog(server, connection, rows, rows * per_row)
        short = Backlog(server, connection, rows - split, (rows - split) * per_row, SHORT)
        if change in changes:
            contenders: dict[str, Run] = {
                CEILING: partial(backlog.by_recvlogical, binary=False),
                BINARY_CEILING: partial(backlog.by_recvlogical, binary=True),
                OURS: backlog.by_tailrace,
                OURS_SHORT: short.by_tailrace,
            }
            yield hold(f"{shape.name}, {change}", contenders, rounds=given.rounds)
        drop_slot(connection, BASE)
        drop_slot(connection, SHORT)


def _goals(contest: Contest) -> Iterator[Goal]:
    for ceiling in (CEILING, BINARY_CEILING):
        rates = contest.ratios(OURS, ceiling, "rows_per_second")
        yield Goal(f"rows a second against {ceiling}", contest.case, rates, at_least=0.95)
    yield Goal("CPU per row against the walsender's", contest.case, tuple(_cpu_of_rows(contest)), at_most=0.5)
    yield Goal("peak memory of a task", contest.case, contest.values(OURS, "peak_mb"), at_most=150, unit=" MB")


def _cpu_of_rows(contest: Contest) -> Iterator[float]:
    """Give for each round the worker's CPU per row beyond its start, against the walsender's."""
    for whole, part in zip(contest.rounds[OURS], contest.rounds[OURS_SHORT], strict=True):
        theirs = _beyond(whole, part, "walsender")
        yield _beyond(whole, part, "client") / theirs if theirs > 0 else math.nan


def _beyond(whole: Figures, part: Figures, whose: str) -> float:
    """Return the CPU seconds that a run took more than another, shorter one."""
    return whole[f"{whose}_cpu_seconds"] - part[f"{whose}_cpu_seconds"]


if __name__ == "__main__":
    main()
