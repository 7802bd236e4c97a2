"""The harness as a command.

    python -m tests.crash.harness --kills 100 --restarts 10 --cuts 20 --minutes 12 --pg 15 --seed 7
    python -m tests.crash.harness --mysql --rotations 10
    python -m tests.crash.harness --kafka --broker-blows 20

Prints the seed first and the verdict last; the verdict is JSON on stdout, all else goes to stderr. Exit code 0: nothing
was lost, invented, duplicated or out of order, the topics folded are the tables, and no task had to be helped up.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crash.archive import archive_sinks, archived
from crash.campaign import Campaign, Orders, Outcome
from crash.chaos import Plan
from crash.mysql_side import MysqlSide
from crash.side import PostgresSide, Side
from crash.workload import Pace
from servers.kafka import require
from servers.mysql_programs import programs
from servers.postgres import bin_dir


def main(arguments: list[str] | None = None) -> int:
    """Run one campaign; return the exit code."""
    given = _parser().parse_args(arguments)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    side = _side(given)
    if side is None:
        sys.stderr.write("this server is not installed; make test installs it\n")
        return 2
    folder = given.dir or Path(tempfile.mkdtemp(prefix="tailrace-crash-"))
    sys.stderr.write(f"seed {seed}, folder {folder}\n")
    plan = Plan(
        given.kills,
        given.restarts,
        given.cuts,
        given.freezes,
        given.stops,
        given.rotations,
        given.broker_blows if given.kafka else 0,
        given.minutes * 60,
    )
    pace = Pace(writers=given.writers, pause=given.pause, prefill=given.prefill, scale=given.scale)
    if given.partitions > 1:
        pace.truncate_every = 10**9
    orders = Orders(
        side, folder, seed, plan, pace,
        bulk_rows=given.bulk_rows, bulks=tuple((n + 0.1) / given.bulks for n in range(given.bulks)),
        chunk_rows=given.chunk_rows, partitions=given.partitions, kafka=require() if given.kafka else None,
    )  # fmt: skip
    if given.archive:
        orders = replace(orders, sinks=archive_sinks(folder), look=partial(archived, folder))
    outcome = Campaign(orders).run()
    outcome.problems += [f"given up: {line}" for line in outcome.given_up]
    _print(seed, given.server or f"postgres {given.pg}", outcome)
    return 0 if outcome.clean else 1


def _side(given: argparse.Namespace) -> Side | None:
    if given.server:
        found = programs(given.server)
        return MysqlSide(found) if found is not None else None
    folder = bin_dir(given.pg)
    return PostgresSide(folder) if folder is not None else None


def _print(seed: int, server: str, outcome: Outcome) -> None:
    for line in outcome.lines():
        sys.stderr.write(f"{line}\n")
    verdict = {kind: outcome.verdict.counts[kind] for kind in sorted(outcome.verdict.counts)}
    told = {"seed": seed, "server": server, "clean": outcome.clean, "faults": verdict}
    sys.stdout.write(json.dumps({**told, "problems": outcome.problems, **outcome.figures}, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Kill a worker at random, then compare its topics with the database.")
    parser.add_argument("--kills", type=int, default=100, help="kill -9 of task, worker, or both")
    parser.add_argument("--archive", action="store_true", help="archive the topics, too, and look at the files")
    parser.add_argument("--restarts", type=int, default=10, help="restarts of Postgres: fast, immediate, killed")
    parser.add_argument("--cuts", type=int, default=20, help="TCP connections cut, refused, gone deaf")
    parser.add_argument("--freezes", type=int, default=5, help="tasks stopped and continued by signal")
    parser.add_argument("--stops", type=int, default=5, help="orderly stops of the worker")
    parser.add_argument("--rotations", type=int, default=0, help="new log files, every other time old ones are purged")
    parser.add_argument("--kafka", action="store_true", help="the log in three Kafka brokers, not in files")
    parser.add_argument("--broker-blows", type=int, default=20, help="brokers killed, held still, cut from the worker")
    parser.add_argument("--minutes", type=float, default=12.0, help="time over which all of these are spread")
    parser.add_argument("--seed", type=int, help="of the order of all this, and of the writers; drawn if not given")
    parser.add_argument("--pg", type=int, choices=(15, 18), default=15, help="version of Postgres")
    server = parser.add_mutually_exclusive_group()
    server.add_argument("--mysql", dest="server", action="store_const", const="mysql", help="MySQL, not Postgres")
    server.add_argument("--mariadb", dest="server", action="store_const", const="mariadb", help="MariaDB, not Postgres")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.02, help="mean seconds between transactions of a writer")
    parser.add_argument("--prefill", type=float, default=0.5, help="share of keys with a row before the start")
    parser.add_argument("--scale", type=int, default=5, help="times the usual number of keys, for a longer snapshot")
    parser.add_argument("--bulks", type=int, default=2, help="number of transactions of --bulk-rows rows")
    parser.add_argument("--bulk-rows", type=int, default=200_000)
    parser.add_argument("--chunk-rows", type=int, default=300, help="rows of one chunk of the snapshot")
    parser.add_argument("--partitions", type=int, default=1, help="of each topic; with several, nothing is truncated")
    parser.add_argument("--dir", type=Path, help="where the worker's config, log and output go; kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
