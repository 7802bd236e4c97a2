"""How many rows a second go from a Postgres slot into the bundled log, against `pg_recvlogical` into /dev/null?

    python benchmarks/stream_rate.py [--rows 400000] [--rounds 5] [--tables typical,wide] [--changes inserts]

Tables of 3, 10 and 60 columns and one with a text of 4 KB; inserts, updates with the whole row before, deletes. A
backlog of transactions of 1 to 1,000 rows is streamed from copies of one slot: by `pg_recvlogical`, which writes
nothing, in text and in binary, and by a worker as it is by default (Avro, exactly once, every commit synced).
`rows_per_second` is from START_REPLICATION, as the server logs it, to the end: of the process for `pg_recvlogical`, of
the last commit that readers see for the worker. `with_start` is from the start of the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg

import measurement
import subject
from contest import Contest, Run, hold
from measurement import Goal
from postgres_stream import BASE, SETTINGS, Backlog, drop_slot
from postgres_tables import SHAPES, Shape, run_in_transactions
from tailrace.demo.postgres import PostgresServer

CHANGES = ("inserts", "updates", "deletes")

CEILING = "pg_recvlogical, text"
BINARY_CEILING = "pg_recvlogical, binary"
OURS = "tailrace"


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
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [BASE])
        run_in_transactions(connection, statement, rows)
        connection.execute("CHECKPOINT")
        # A delete is told by two records: itself, and the tombstone of its key.
        backlog = Backlog(server, connection, rows, records=2 * rows if change == "deletes" else rows)
        if change in changes:
            contenders: dict[str, Run] = {
                CEILING: partial(backlog.by_recvlogical, binary=False),
                BINARY_CEILING: partial(backlog.by_recvlogical, binary=True),
                OURS: backlog.by_tailrace,
            }
            yield hold(f"{shape.name}, {change}", contenders, rounds=given.rounds)
        drop_slot(connection, BASE)


def _goals(contest: Contest) -> Iterator[Goal]:
    for ceiling in (CEILING, BINARY_CEILING):
        rates = contest.ratios(OURS, ceiling, "rows_per_second")
        yield Goal(f"rows a second against {ceiling}", contest.case, rates, at_least=0.95)
    cpu = contest.ratios(OURS, OURS, "client_us_per_row", "walsender_us_per_row")
    yield Goal("CPU per row against the walsender's", contest.case, cpu, at_most=0.5)
    yield Goal("peak memory of a task", contest.case, contest.values(OURS, "peak_mb"), at_most=150, unit=" MB")


if __name__ == "__main__":
    main()
