"""How much memory does one MySQL transaction of millions of rows take, compressed by the server or not?

    python benchmarks/binlog_transaction.py [--rows 2000000] [--rounds 1] [--servers mysql,mariadb]

The table of ten everyday columns. A worker streams a transaction of so many rows from the binlog into the bundled log;
told are the most memory that a task had resident, and how fast the rows came. Compressed, MySQL writes the whole
transaction as one event.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import binlog_backlog
import measurement
from binlog_rate import COMPRESSION
from contest import Contest, hold
from measurement import Goal
from servers.mysql_programs import Flavour

CASES = ("plain", "compressed")


def main() -> None:
    """Measure, and publish."""
    parser = binlog_backlog.parser(__doc__ or "", rows=2_000_000, rounds=1, servers="mysql,mariadb")
    given = parser.parse_args()
    contests = [contest for flavour in binlog_backlog.flavours(given) for contest in _server(flavour, given)]
    measurement.publish(
        "binlog_transaction",
        [row for contest in contests for row in contest.medians()],
        about=__doc__ or "",
        goals=[
            Goal("peak memory of a task", contest.case, contest.values("tailrace", "peak_mb"), at_most=150, unit=" MB")
            for contest in contests
        ],
        every_run=[row for contest in contests for row in contest.every_run()],
        parameters=vars(given),
    )


def _server(flavour: Flavour, given: argparse.Namespace) -> Iterator[Contest]:
    with binlog_backlog.server(flavour, given.rows, max_allowed_packet="1G") as running:
        for case in CASES:
            running.execute(f"SET GLOBAL {COMPRESSION[flavour]} = {'ON' if case == 'compressed' else 'OFF'}")
            with binlog_backlog.backlog(running, given.rows, whole=True) as waiting:
                yield hold(
                    f"{binlog_backlog.title(flavour)}, {case}", {"tailrace": waiting.by_tailrace}, rounds=given.rounds
                )


if __name__ == "__main__":
    main()
