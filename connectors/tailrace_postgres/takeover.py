"""Where Debezium's Postgres connector stopped, as a position of ours: its slot and publication are gone on with.

What it stored (Debezium 3.6, `PostgresOffsetContext`):

    lsn_commit            the end of the commit of the last transaction that it was through with
    lsn                   the row that it told last, mostly one of the transaction that follows: what is stored comes
                          with a row, and the commit behind it is only stored with the next one
    lsn_events_processed  how many rows with that LSN it has told, where several have it; not every version says
    snapshot…, incremental_snapshot_…   a snapshot, and whether it is over

Our positions count the rows of a transaction, so the one that was under way is looked up in the slot (peeked at, it
stays where it is), and its rows up to `lsn` are counted: without that they would be told again. Within one transaction
the LSNs of rows only grow; across transactions they do not, so none is compared with another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from tailrace.errors import Fatal
from tailrace.position import Json, Position
from tailrace.snapshot.handover import check_finished
from tailrace.snapshot.schedule import Snapshot
from tailrace_postgres.catalog import Catalog
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection
from tailrace_postgres.lsn import format_lsn, parse_lsn
from tailrace_postgres.position import StreamPosition, to_json
from tailrace_postgres.publication import find_publication, publication_name
from tailrace_postgres.slot import Slot, check_slot, find_slot, identify, slot_name

_PEEK = """
SELECT lsn::text, encode(substring(data FROM 1 FOR 18), 'hex')
  FROM pg_logical_slot_peek_binary_changes({slot}, {upto}, NULL,
       'proto_version', '1', 'publication_names', {publication}, 'messages', 'true')
"""
"""The heads of the messages of all transactions that commit before `upto`: the kind, what Begin and Commit say."""

_LOOK_AHEAD = 16 * 1024 * 1024
"""Bytes of the log to decode at first in search of a commit; more where it does not come."""

_ROWS = b"IUDT"


def take_over(connector: str, config: PostgresConfig, offset: Mapping[str, Json]) -> Position:
    """Return the position from which to go on; looks at the server, and changes nothing.

    Raises `Fatal` where the snapshot was not over, where slot or publication are missing, or the offset is no
    Postgres connector's; `Retriable` while Debezium still streams from the slot.
    """
    check_finished(offset)
    with ExitStack() as hold:
        control = Connection.open(config, connector, "control")
        hold.callback(control.close)
        replication = Connection.open(config, connector, "replication")
        hold.callback(replication.close)
        cluster = identify(replication)
        publication = publication_name(config, connector)
        if find_publication(control, publication) is None:
            raise Fatal(
                f"publication {publication} is missing",
                hint="set `publication` to Debezium's publication.name (dbz_publication, unless it was set)",
            )
        slot = _slot(control, slot_name(config, connector, cluster.database), cluster.database)
        start = _start(control, slot, publication, offset)
        known = {table.oid for table in Catalog(control, publication, config).tables()}
        snapshot = Snapshot([], known=known, scope=[list(config.tables), list(config.exclude)])
        return to_json(start, str(cluster), snapshot.to_json())


def _slot(control: Connection, name: str, database: str) -> Slot:
    slot = find_slot(control, name)
    if slot is None:
        raise Fatal(f"slot {name} is missing", hint="set `slot` to Debezium's slot.name (debezium, unless it was set)")
    check_slot(slot, database)
    return slot


def _start(control: Connection, slot: Slot, publication: str, offset: Mapping[str, Json]) -> StreamPosition:
    last, committed = _lsn(offset, "lsn"), _lsn(offset, "lsn_commit")
    if last is None:
        raise Fatal("the offset has no lsn", hint="it is not one of Debezium's Postgres connector")
    # Before the first commit of the stream there is only the place where the snapshot was taken, or a row behind it.
    through = last if committed is None else committed
    if slot.confirmed > through:
        raise Fatal(
            f"slot {slot.name} is at {format_lsn(slot.confirmed)}, ahead of the offset's lsn_commit "
            f"{format_lsn(through)}: what lies between cannot be had from it any more",
            hint="is this the newest offset that Debezium stored? Else somebody moved the slot",
        )
    confirm = slot.confirmed if committed is None else committed
    transaction = _unfinished(control, slot, publication, max(last, through), committed or 0)
    if transaction is not None and transaction.has(last):
        return StreamPosition(transaction.commit, transaction.told(last, offset), confirm)
    if committed is None:
        return StreamPosition(0, None, confirm)
    # One byte before: a commit may begin where the last one ended, and what begins later is still to be told.
    return StreamPosition(committed - 1, None, confirm)


@dataclass(slots=True)
class _Transaction:
    """A transaction that was peeked at: where its commit record begins, and the LSNs of its rows and messages."""

    commit: int
    rows: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)

    def has(self, lsn: int) -> bool:
        return lsn in self.rows or lsn in self.others

    def told(self, lsn: int, offset: Mapping[str, Json]) -> int:
        """Return how many rows come up to `lsn`; of several with that very one as many as Debezium says."""
        same = self.rows.count(lsn)
        said = offset.get("lsn_events_processed")
        # An older Debezium does not say: rows that it may not have told must not be left out.
        return sum(row < lsn for row in self.rows) + min(same, said if isinstance(said, int) else min(same, 1))


def _unfinished(control: Connection, slot: Slot, publication: str, beyond: int, committed: int) -> _Transaction | None:
    """Return the first transaction that commits behind `committed`; None where there is none yet."""
    end = parse_lsn(control.query("SELECT pg_current_wal_flush_lsn()::text")[0][0] or "0/0")
    span = _LOOK_AHEAD
    while True:
        upto = beyond + span  # what the server decodes at once, it keeps
        found = _first_behind(committed, _peek(control, slot, publication, upto))
        if found is not None or upto > end:
            return found
        span *= 4


def _peek(control: Connection, slot: Slot, publication: str, upto: int) -> Iterator[tuple[int, bytes]]:
    query = _PEEK.format(
        slot=control.literal(slot.name), upto=control.literal(format_lsn(upto)),
        publication=control.literal(control.identifier(publication)),
    )  # fmt: skip
    for lsn, head in control.query(query):
        yield parse_lsn(lsn or "0/0"), bytes.fromhex(head or "")


def _first_behind(committed: int, heads: Iterator[tuple[int, bytes]]) -> _Transaction | None:
    transaction: _Transaction | None = None
    for lsn, head in heads:
        kind = head[:1]
        if kind == b"B":
            transaction = _Transaction(int.from_bytes(head[1:9], "big"))
        elif transaction is not None and kind == b"C":
            if int.from_bytes(head[10:18], "big") > committed:
                return transaction
        elif transaction is not None:
            (transaction.rows if kind in _ROWS else transaction.others).append(lsn)
    return None


def _lsn(offset: Mapping[str, Json], name: str) -> int | None:
    lsn = offset.get(name)
    return lsn if isinstance(lsn, int) and lsn > 0 else None
