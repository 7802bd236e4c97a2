"""How much quicker than Debezium does Tailrace stream and snapshot a table, in the same minutes on the same machine?

    python benchmarks/beside_debezium.py [--rows 400000] [--rounds 5]

The table of ten everyday columns. Debezium runs embedded, with its Avro converter and a registry in memory, and drops
the events; a worker writes them into the bundled log, exactly once, every commit synced. The stream is a backlog of
transactions of 1 to 1,000 rows, for both from a copy of one slot. `rows_per_second` is, for Debezium, from the first
batch that it hands over to the last record; for the worker from START_REPLICATION to the last commit that readers see,
so what comes before its first row counts against it. `with_start` is from the start of the process.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg

import debezium
import measurement
import program
import subject
from contest import Contest, Figures, hold
from crash.worker import TAILRACE
from measurement import Goal
from postgres_stream import BASE, SETTINGS, TOPIC, Backlog, Walsenders, drop_slot, last_commit
from postgres_tables import SHAPES, run_in_transactions
from tailrace.demo.postgres import PostgresServer

OURS, THEIRS = "tailrace", "debezium"


def main() -> None:
    """Measure, and publish."""
    given = subject.parser(__doc__ or "", rows=400_000).parse_args()
    debezium.prepare()
    with subject.server(given.pg, **SETTINGS) as server, server.connect() as connection:
        backlog = _load(server, connection, given.rows)
        streams = hold(
            "stream", {OURS: backlog.by_tailrace, THEIRS: partial(_stream_debezium, backlog)}, rounds=given.rounds
        )
        drop_slot(connection, BASE)
        snapshots = hold(
            "snapshot",
            {OURS: partial(_snapshot, backlog), THEIRS: partial(_snapshot_debezium, backlog)},
            rounds=given.rounds,
        )
    measurement.publish(
        "beside_debezium",
        [*streams.medians(), *snapshots.medians()],
        about=__doc__ or "",
        goals=[_goal(streams, 6), _goal(snapshots, 8)],
        every_run=[*streams.every_run(), *snapshots.every_run()],
        parameters=vars(given),
        debezium=debezium.REQUIREMENT,
    )


def _goal(contest: Contest, least: float) -> Goal:
    ratios = contest.ratios(OURS, THEIRS, "rows_per_second")
    return Goal("rows a second against Debezium's", contest.case, ratios, at_least=least)


def _load(server: PostgresServer, connection: psycopg.Connection[Any], rows: int) -> Backlog:
    shape = SHAPES["typical"]
    connection.execute(shape.create())
    connection.execute(f"CREATE PUBLICATION {subject.SLOT_NAME} FOR TABLE goods")
    connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [BASE])
    run_in_transactions(connection, shape.inserts(), rows)
    connection.execute("VACUUM (FREEZE, ANALYZE) goods")
    connection.execute("CHECKPOINT")
    return Backlog(server, connection, rows, rows)


def _settings(server: PostgresServer, **more: str) -> dict[str, str]:
    url = urlsplit(server.dsn())
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "publication.name": subject.SLOT_NAME,
        "publication.autocreate.mode": "disabled",
        "slot.drop.on.stop": "true",
        "table.include.list": "public.goods",
        "database.hostname": str(url.hostname),
        "database.port": str(url.port),
        "database.user": str(url.username),
        "database.dbname": url.path.removeprefix("/"),
    } | {name.replace("_", "."): value for name, value in more.items()}


def _stream_debezium(backlog: Backlog) -> Figures:
    backlog.copy_slot("theirs")
    senders = Walsenders(backlog.server)
    settings = _settings(backlog.server, slot_name="theirs", snapshot_mode="no_data")
    drained = debezium.drain(settings, TOPIC, backlog.records, server_cpu=senders.cpu)
    walsender = drained.usage.server_cpu(drained.first, drained.last) / backlog.rows * 1e6
    drop_slot(backlog.connection, "theirs")
    return {**drained.figures(backlog.rows), "walsender_us_per_row": walsender}


def _snapshot(backlog: Backlog) -> Figures:
    with subject.worker(backlog.server.dsn(), ("public.goods",)) as worker:
        senders = Walsenders(backlog.server)
        usage = program.run([str(TAILRACE), "run", str(worker.config), "--until-current"])
        if (told := subject.records(worker, TOPIC)) != backlog.records:
            raise SystemExit(f"{told} of {backlog.records} rows are in the topic: {usage.said[-3000:]}")
        figures = backlog.figures(usage, senders.asked(), last_commit(worker.log_path, TOPIC))
    drop_slot(backlog.connection, subject.SLOT_NAME)
    return figures


def _snapshot_debezium(backlog: Backlog) -> Figures:
    settings = _settings(backlog.server, slot_name="theirs", snapshot_mode="initial")
    figures = debezium.drain(settings, TOPIC, backlog.records).figures(backlog.rows)
    drop_slot(backlog.connection, "theirs")
    return {**figures, "walsender_us_per_row": 0.0}


if __name__ == "__main__":
    main()
