"""How many rows a second does the snapshot of a MySQL table take into the bundled log, against a client that reads raw?

    python benchmarks/binlog_snapshot.py [--rows 500000] [--rounds 5] [--servers mysql,mariadb]

The table of ten everyday columns. The plain client sends one SELECT of the whole table with PyMySQL and counts the row
packets as they are, decoding nothing and writing nothing; a worker reads the same rows in chunks as it does by default
(Avro, exactly once, every commit synced). `rows_per_second` is of the whole SELECT for the client, from the dump's
start, as the server logs it, to the last commit that readers see for the worker.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import binlog_backlog
import measurement
import program
from binlog_backlog import DATABASE, Backlog
from binlog_beside_debezium import snapshot
from contest import Contest, Figures, hold
from measurement import Goal
from servers.mysql_programs import Flavour
from servers.mysql_server import MysqlServer

CEILING, OURS = "raw client", "tailrace"


def main() -> None:
    """Measure, and publish."""
    parser = binlog_backlog.parser(__doc__ or "", rows=500_000, servers="mysql,mariadb")
    parser.add_argument("--count", nargs=2, metavar=("PORT", "ROWS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.count is not None:
        count(*given.count)
        return
    contests = [_server(flavour, given) for flavour in binlog_backlog.flavours(given)]
    measurement.publish(
        "binlog_snapshot",
        [row for contest in contests for row in contest.medians()],
        about=__doc__ or "",
        goals=[goal for contest in contests for goal in _goals(contest)],
        every_run=[row for contest in contests for row in contest.every_run()],
        parameters={name: value for name, value in vars(given).items() if name != "count"},
    )


def _server(flavour: Flavour, given: argparse.Namespace) -> Contest:
    with binlog_backlog.server(flavour, given.rows) as running:
        running.execute(binlog_backlog.TABLE.format(name="goods"), database=DATABASE)
        binlog_backlog.insert(running, "goods", 1, given.rows)
        running.execute("ANALYZE TABLE goods", database=DATABASE)
        contenders = {
            CEILING: partial(_raw, running, given.rows), OURS: partial(snapshot, running, given.rows),
        }  # fmt: skip
        return hold(binlog_backlog.title(flavour), contenders, rounds=given.rounds)


def _raw(running: MysqlServer, rows: int) -> Figures:
    usage = program.run([sys.executable, str(Path(__file__)), "--count", str(running.port), str(rows)])
    began, ended = (float(number) for number in usage.said.split()[-2:])
    return Backlog(running, rows, "", "", Path()).figures(usage, began, ended)


def count(port: str, rows: str) -> None:
    """Read the table, and look at nothing of it; print when that began and ended."""
    import time

    import pymysql

    connection: Any  # its types leave out what lies below its own API
    with pymysql.connect(host="127.0.0.1", port=int(port), user="root", database=DATABASE) as connection:
        began = time.time()
        connection._execute_command(3, "SELECT * FROM goods")  # noqa: SLF001 - there is no other way to raw rows
        columns = connection._read_packet().read_length_encoded_integer()  # noqa: SLF001 - the driver has no other way
        for _ in range(columns + 1):
            connection._read_packet()  # noqa: SLF001 - the driver has no other way
        told = 0
        while not connection._read_packet().is_eof_packet():  # noqa: SLF001 - the driver has no other way
            told += 1
        if told != int(rows):
            raise SystemExit(f"{told} of {rows} rows came")
        print(began, time.time())


def _goals(contest: Contest) -> Iterator[Goal]:
    rates = contest.ratios(OURS, CEILING, "rows_per_second")
    yield Goal(f"rows a second against a {CEILING}", contest.case, rates, at_least=0.5)
    yield Goal("peak memory of a task", contest.case, contest.values(OURS, "peak_mb"), at_most=150, unit=" MB")


if __name__ == "__main__":
    main()
