"""How many rows a second go from a binlog into the bundled log, against `mysqlbinlog` and mysql-replication?

    python benchmarks/binlog_rate.py [--rows 400000] [--rounds 5] [--servers mysql,mariadb] [--cases plain,compressed]

The table of ten everyday columns, inserts in transactions of 1 to 1,000 rows, uncompressed and compressed by the server
(MySQL: whole transactions; MariaDB: rows events). `mysqlbinlog --read-from-remote-server` writes its text to /dev/null;
`BinLogStreamReader` of mysql-replication gives the first rows as Python values; a worker runs as it is by default
(Avro, exactly once, every commit synced). `rows_per_second` is from the dump's start, as the server logs it, to the
end: of the process, of the last row, of the last commit that readers see. `with_start` is from the process's start.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import binlog_backlog
import measurement
import program
from binlog_backlog import Backlog
from contest import Contest, Figures, Run, hold
from measurement import Goal
from servers.mysql_programs import Flavour

CASES = ("plain", "compressed")

COMPRESSION: dict[Flavour, str] = {"mysql": "binlog_transaction_compression", "mariadb": "log_bin_compress"}

CEILING, OURS, PEER = "mysqlbinlog", "tailrace", "mysql-replication"

SHARE_OF_PEER = 0.1
"""Of the rows: it needs forty times as long for each."""

ITERATED = re.compile(r"^iterated (\d+) ([\d.]+)$", re.MULTILINE)


def main() -> None:
    """Measure, and publish."""
    parser = binlog_backlog.parser(__doc__ or "", rows=400_000, servers="mysql,mariadb")
    parser.add_argument("--cases", default=",".join(CASES), help="which cases")
    parser.add_argument("--iterate", nargs=4, metavar=("PORT", "FILE", "POS", "ROWS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.iterate is not None:
        iterate(*given.iterate)
        return
    contests = [contest for flavour in binlog_backlog.flavours(given) for contest in _server(flavour, given)]
    measurement.publish(
        "binlog_rate",
        [row for contest in contests for row in contest.medians()],
        about=__doc__ or "",
        goals=[goal for contest in contests for goal in _goals(contest)],
        every_run=[row for contest in contests for row in contest.every_run()],
        parameters={name: value for name, value in vars(given).items() if name != "iterate"},
    )


def _server(flavour: Flavour, given: argparse.Namespace) -> Iterator[Contest]:
    with binlog_backlog.server(flavour, given.rows) as running:
        for case in given.cases.split(","):
            running.execute(f"SET GLOBAL {COMPRESSION[flavour]} = {'ON' if case == 'compressed' else 'OFF'}")
            with binlog_backlog.backlog(running, given.rows) as waiting:
                contenders: dict[str, Run] = {CEILING: waiting.by_dumper, OURS: waiting.by_tailrace}
                if case == "plain":  # it leaves compressed rows out, without a word
                    contenders[PEER] = partial(_by_replication, waiting)
                title = f"{binlog_backlog.title(flavour)}, {case}"
                yield hold(title, contenders, rounds=given.rounds)


def _by_replication(waiting: Backlog) -> Figures:
    rows = max(1, int(waiting.rows * SHARE_OF_PEER))
    command = [
        sys.executable, str(Path(__file__)), "--iterate", str(waiting.server.port), waiting.file, "4", str(rows),
    ]  # fmt: skip
    with binlog_backlog.Asked(waiting.server) as asked:
        usage = program.run(command)
    found = ITERATED.search(usage.said)
    if found is None or int(found[1]) != rows:
        raise SystemExit(f"mysql-replication did not give {rows} rows: {usage.said[-2000:]}")
    part = Backlog(waiting.server, rows, waiting.file, waiting.last_file, waiting.base)
    return part.figures(usage, asked.at(), float(found[2]))


def iterate(port: str, file: str, pos: str, rows: str) -> None:
    """Read rows with mysql-replication, as its users do; print how many, and when the last one came."""
    import time

    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.row_event import WriteRowsEvent

    reader = BinLogStreamReader(
        connection_settings={"host": "127.0.0.1", "port": int(port), "user": "root", "passwd": ""},
        server_id=4_000_000_000, log_file=file, log_pos=int(pos), resume_stream=True, blocking=True,
        only_events=[WriteRowsEvent], only_schemas=[binlog_backlog.DATABASE],
    )  # fmt: skip
    told, wanted = 0, int(rows)
    for event in reader:
        for row in event.rows:
            told += bool(row["values"])
            if told == wanted:
                print(f"iterated {told} {time.time()}")
                sys.exit(0)


def _goals(contest: Contest) -> Iterator[Goal]:
    for against, least in ((CEILING, 0.7), (PEER, 40)):
        if against in contest.rounds:
            rates = contest.ratios(OURS, against, "rows_per_second")
            yield Goal(f"rows a second against {against}", contest.case, rates, at_least=least)
    yield Goal("peak memory of a task", contest.case, contest.values(OURS, "peak_mb"), at_most=150, unit=" MB")


if __name__ == "__main__":
    main()
