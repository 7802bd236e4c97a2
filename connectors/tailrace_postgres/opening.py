"""What happens before the first change.

The server is looked at, publication and slot are found or made, the stored position is compared with both, and the
snapshot's state is made or restored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import structlog

from tailrace.errors import Fatal, Retriable
from tailrace.position import Json, Position
from tailrace.snapshot.schedule import Snapshot, saved_tables
from tailrace.snapshot.table import TableSnapshot
from tailrace_postgres.catalog import Catalog, CatalogTable
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection
from tailrace_postgres.lsn import format_lsn, parse_lsn
from tailrace_postgres.order import order_of
from tailrace_postgres.position import StreamPosition, from_json
from tailrace_postgres.publication import ensure_publication, extend_publication, unpublished
from tailrace_postgres.slot import (
    RESET,
    Cluster,
    check_cluster,
    check_position,
    check_slot,
    create_slot,
    find_slot,
    identify,
    seize_slot,
    slot_name,
)
from tailrace_postgres.view import SnapshotView, view_from_json

log = structlog.get_logger()

OLDEST = 140000  # pg_logical_emit_message and pgoutput's messages option together: Postgres 14

_SETTINGS = """
SELECT current_setting('wal_level'), pg_is_in_recovery(),
       (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'), current_database()
"""

FLUSH = "tailrace-flush"


@dataclass(frozen=True, slots=True)
class Opened:
    """All that streaming needs."""

    control: Connection
    replication: Connection
    catalog: Catalog
    publication: str
    slot: str
    cluster: Cluster
    sender_timeout: float
    start: StreamPosition
    tables: Sequence[CatalogTable]
    snapshot: Snapshot
    shapes: Mapping[str, CatalogTable]
    target: int
    """Once the stream has reached this LSN, it has told all that was committed before."""


def open_source(
    connector: str, config: PostgresConfig, resume_from: Position | None, hold: ExitStack, *, seize: bool = False
) -> Opened:
    """Get everything ready; connections are left to `hold`. Raises `Fatal` and `Retriable` with what to do.

    `seize` ends whoever still streams from the slot.
    """
    control = Connection.open(config, connector, "control")
    hold.callback(control.close)
    wal_level, recovering, sender_timeout, _ = control.query(_SETTINGS)[0]
    _check_server(control.server_version, wal_level or "", recovering == "t")
    publication, made = ensure_publication(control, config, connector)
    replication = Connection.open(config, connector, "replication")
    hold.callback(replication.close)
    cluster = identify(replication)
    catalog = Catalog(control, publication.name, config)
    tables = catalog.tables()
    if publication.ours and extend_publication(control, config, publication.name, {table.id for table in tables}):
        tables = catalog.tables()
    _tell(control, config, tables)
    name = slot_name(config, connector, cluster.database)
    if seize:
        seize_slot(control, name)
    start, state = _place(
        control, replication, config, name=name, cluster=cluster, resume_from=resume_from, publication_made=made
    )  # fmt: skip
    snapshot, shapes = _snapshot(tables, state, control, config, catalog.listed())
    return Opened(
        control, replication, catalog, publication.name, name, cluster, int(sender_timeout or 0) / 1000, start,
        tables, snapshot, shapes, _target(control),
    )  # fmt: skip


def make_durable(control: Connection, lsn: int) -> None:
    """Return when the server's log is on disk up to `lsn`."""
    # A commit of our own flushes the log up to itself, however quiet the server is.
    control.query(
        f"SELECT CASE WHEN pg_current_wal_flush_lsn() < '{format_lsn(lsn)}' "
        f"THEN pg_logical_emit_message(true, '{FLUSH}', '') END"
    )


def what_is_visible(control: Connection) -> SnapshotView:
    """Return what a read that began now would see."""
    rows = control.query("SELECT pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text")
    return SnapshotView(rows[0][0] or "", parse_lsn(rows[0][1] or "0/0"))


def _check_server(version: int, wal_level: str, recovering: bool) -> None:  # noqa: FBT001 - one caller, above
    if version < OLDEST:
        raise Fatal(f"postgres {version // 10000} is too old", hint="use Postgres 14 or later")
    if wal_level != "logical":
        raise Fatal(
            f"wal_level is {wal_level}, needed is logical",
            hint="ALTER SYSTEM SET wal_level = logical, then restart the server",
        )
    if recovering:
        raise Retriable(
            "the server is a standby", hint="the url must lead to the primary; this one may be promoted", patient=True
        )


def _tell(control: Connection, config: PostgresConfig, tables: list[CatalogTable]) -> None:
    """Say what will not be captured, or not wholly."""
    if not tables:
        log.warning("no table is captured", tables=config.tables, exclude=config.exclude)
    published = {table.id for table in tables}
    if missing := unpublished(control, config, published):
        log.warning(
            "tables are not in the publication", tables=missing,
            mend="ALTER PUBLICATION … ADD TABLE …; their rows are then read as well",
        )  # fmt: skip
    if silent := [table.id for table in tables if not table.tells_old_keys]:
        log.warning(
            "tables have no replica identity, so the server refuses their updates and deletes", tables=silent,
            mend="add a primary key, or ALTER TABLE … REPLICA IDENTITY FULL",
        )  # fmt: skip
    if keyless := [table.id for table in tables if not table.key()]:
        log.warning("tables have no key: their events have none, and are not compacted", tables=keyless)
    toasted = [
        table.id for table in tables if table.identity != "f" and any(column.toastable for column in table.columns)
    ]
    if toasted:
        log.info(
            "large values that an update leaves alone will not be sent", tables=toasted, mend="REPLICA IDENTITY FULL"
        )


def _place(
    control: Connection, replication: Connection, config: PostgresConfig, *, name: str, cluster: Cluster,
    resume_from: Position | None, publication_made: bool,
) -> tuple[StreamPosition, Mapping[str, Json] | None]:  # fmt: skip
    """Find or make the slot; return where to stream from, and the snapshot's stored state."""
    slot = find_slot(control, name)
    resume = from_json(resume_from) if resume_from is not None else None
    if resume is not None:
        check_cluster(replication, cluster, resume.cluster, resume.stream.confirm)
        if slot is not None:
            check_slot(slot, cluster.database)
        check_position(slot, name, resume.stream.confirm)
        return resume.stream, resume.snapshot
    if slot is None:
        if not config.create_slot:
            raise Fatal(
                f"slot {name} is missing",
                hint=f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput'); or set create_slot: true",
            )
        create_slot(replication, control, name, config)
        slot = find_slot(control, name)
        if slot is None:
            raise Fatal(f"slot {name} is gone again", hint="somebody drops it; let only one connector use it")
    else:
        check_slot(slot, cluster.database)
        if publication_made:
            raise Fatal(
                f"slot {name} is older than its publication, and cannot be streamed from",
                hint=f"drop it: SELECT pg_drop_replication_slot('{name}'); a new one is then made. {RESET}",
            )
        log.info("slot adopted", slot=name, at=format_lsn(slot.confirmed), snapshot=config.snapshot)
    return StreamPosition(0, None, slot.confirmed), None


def _snapshot(
    tables: list[CatalogTable], state: Mapping[str, Json] | None, control: Connection, config: PostgresConfig,
    listed: set[int],
) -> tuple[Snapshot, dict[str, CatalogTable]]:  # fmt: skip
    known, scope = {table.oid for table in tables}, [list(config.tables), list(config.exclude)]
    if state is None:
        chosen = tables if config.snapshot == "initial" else []
        snapshot = Snapshot([_pending(table, control) for table in chosen], known=known, scope=scope)
        return snapshot, {table.id: table for table in chosen}
    pending, shapes = _restored(tables, state, control)
    before = {int(str(oid)) for oid in _list(state.get("known", []))}
    added = [
        table for table in tables
        if table.oid not in before and (table.oid in listed or state.get("scope") != scope)
    ]  # fmt: skip
    if added and config.snapshot == "initial":
        log.info("tables are new, their rows are read", tables=[table.id for table in added])
        pending += [_pending(table, control) for table in added]
        shapes |= {table.id: table for table in added}
    total, rows = (int(str(state.get(name, 0))) for name in ("total", "rows"))
    unseen = [int(str(xid)) for xid in _list(state.get("unseen", []))]
    snapshot = Snapshot(
        pending, tables_total=total + len(added), rows_before=rows, unseen=unseen, known=known, scope=scope
    )
    return snapshot, shapes


def _restored(
    tables: list[CatalogTable], state: Mapping[str, Json], control: Connection
) -> tuple[list[TableSnapshot], dict[str, CatalogTable]]:
    """Return the tables whose snapshot was under way, where it was, and their shapes."""
    by_oid = {table.oid: table for table in tables}
    pending, shapes = [], {}
    for name, saved in saved_tables(state).items():
        now = by_oid.get(int(str(saved["id"])))
        if now is None:
            log.warning("table is gone or no longer captured, its snapshot ends", table=name)
            continue
        table = _pending(now, control)
        if list(table.key) != list(_list(saved["key"])):
            raise Fatal(f"snapshot of {name}: the key was changed before all rows were read", hint=RESET)
        table.restore(saved, view_from_json)
        pending.append(table)
        shapes[now.id] = now
    return pending, shapes


def _pending(table: CatalogTable, control: Connection) -> TableSnapshot:
    return TableSnapshot(
        table.id, table.key(), order_of(table, control), object_id=table.oid, estimate=table.estimate
    )  # fmt: skip


def _target(control: Connection) -> int:
    """Return an LSN above all that is committed; writes a mark there, which also makes it all durable."""
    try:
        rows = control.query(f"SELECT pg_logical_emit_message(true, '{FLUSH}', '')::text")
    except Fatal as error:
        log.warning("the server refuses messages, going on without", error=error.message)
        rows = control.query("SELECT pg_current_wal_flush_lsn()::text")
    return parse_lsn(rows[0][0] or "0/0")


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, (list, tuple)) else []
