"""Where Debezium's MySQL or MariaDB connector stopped, as a position of ours.

What it stored (Debezium 3.6, `BinlogOffsetContext`):

    gtids      the transactions before the one that was under way; where the server has none, or MariaDB's connector
               read by places, it is missing
    file, pos  where that transaction's BEGIN is (MariaDB: its GTID), or where what follows begins
    event      how many events of it were told, from BEGIN (MariaDB: from its GTID) on, table maps and all
    row        how many rows of the next one
    snapshot…, incremental_snapshot_…   a snapshot, and whether it is over

Our positions count rows of captured tables, so the transaction that was under way is read once more, up to there.
How tables are declared is not in the offset: `opening.py` asks the catalogue, and makes sure that it fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing

from tailrace.errors import Fatal
from tailrace.position import Json, Position
from tailrace.snapshot.handover import check_finished
from tailrace.snapshot.schedule import Snapshot
from tailrace_mysql import event as binlog
from tailrace_mysql.catalog import Catalog
from tailrace_mysql.config import BinlogConfig
from tailrace_mysql.connection import Connection, literal
from tailrace_mysql.footing import check_format, check_resume
from tailrace_mysql.gtid import GtidSet
from tailrace_mysql.lookahead import Placed, events_after
from tailrace_mysql.place import BinlogPlace
from tailrace_mysql.position import Resume, StreamPosition, to_json
from tailrace_mysql.selection import Selection
from tailrace_mysql.sentence import Kind, sentence
from tailrace_mysql.server import ServerFacts, read_facts


def take_over(connector: str, config: BinlogConfig, offset: Mapping[str, Json]) -> Position:
    """Return the position from which to go on; looks at the server, and changes nothing.

    Raises `Fatal` where the snapshot was not over, where the server does not have what follows, or the offset is none
    of a binlog connector's.
    """
    check_finished(offset)
    with closing(Connection.open(config, connector, "control")) as control:
        server = read_facts(control)
        check_format(server)
        start = _start(control, server, offset)
        check_resume(control, server, Resume(start, server.identity, 0, {}))
        selection = Selection(config.tables, config.exclude)
        events, rows = _number(offset, "event"), _number(offset, "row")
        if events or rows:
            following = events_after(connector, config, control, server, start)
            gtid, ordinal = _told(following, (events, rows), selection, start, mariadb=server.flavour.mariadb)
            if ordinal:
                start = StreamPosition(start.file, start.pos, start.gtids, gtid if start.gtids else "", ordinal)
        known = {table.id for table in Catalog(control, selection, server.dialect).tables()}
        snapshot = Snapshot([], known=known, scope=selection.scope)
        # By GTIDs it goes on as after a failover: which server Debezium read is not known, nor are its files.
        return to_json(start, "" if start.gtids else server.identity, 0, snapshot.to_json())


def _start(control: Connection, server: ServerFacts, offset: Mapping[str, Json]) -> StreamPosition:
    file, pos, gtids = offset.get("file"), offset.get("pos"), offset.get("gtids")
    if not isinstance(file, str) or not isinstance(pos, int) or not file:
        raise Fatal("the offset has no file and pos", hint="it is not one of Debezium's MySQL or MariaDB connector")
    if isinstance(gtids, str) and gtids:
        return StreamPosition(file, pos, _newest(gtids) if server.flavour.mariadb else str(GtidSet.parse(gtids)))
    if not server.flavour.mariadb:
        return StreamPosition(file, pos)
    found = control.one(f"SELECT BINLOG_GTID_POS({literal(file)}, {pos})")[0]
    if found is None:
        raise Fatal(
            f"the server {server.identity} has no binlog file {file} with the position {pos}",
            hint="it was purged, or the url leads to another server than Debezium's",
        )
    return StreamPosition(file, pos, found)


def _newest(gtids: str) -> str:
    """Return the last GTID of each domain: Debezium keeps one of each server that ever wrote."""
    last: dict[str, tuple[int, str]] = {}
    for gtid in filter(None, "".join(gtids.split()).split(",")):
        domain, _, number = gtid.split("-")
        last[domain] = max(last.get(domain, (-1, "")), (int(number), gtid))
    return ",".join(gtid for _, gtid in last.values())


def _told(
    following: Iterator[Placed], told: tuple[int, int], selection: Selection, start: StreamPosition, *, mariadb: bool
) -> tuple[str, int]:
    """Return the transaction that was under way, and how many of its changes to captured tables were told.

    `told` are its events and the rows of the one behind them.
    """
    events, rows = told
    gtid, place, transaction = _first(following)
    if place is not None and not start.gtids and place.pos != start.pos:
        return "", 0  # a compressed one without GTID: no place of it is inside, so that it is told again
    maps: dict[int, binlog.TableMap] = {}
    ordinal = 0
    for seen, event in enumerate(transaction):
        left = rows if seen >= events else None
        if isinstance(event, binlog.TableMapped):
            maps[event.table_id] = binlog.TableMap.parse(event.body, mariadb=mariadb)
        elif isinstance(event, binlog.Rows) and not event.nothing:
            table = maps[event.table_id]
            count = event.count(table)
            ordinal += (count if left is None else min(count, left)) * selection.captures(table.database, table.table)
            left = None if left is None else left - count
        if left is not None:
            if left > 0:
                break
            return gtid, ordinal
    raise Fatal(
        f"the offset does not fit the binlog: {events} events and {rows} rows behind {start} {start.gtids}".rstrip(),
        hint="is this the newest offset that Debezium stored, and the server that it read? With include.query on "
        "MariaDB the events cannot be counted: let Debezium stop between two transactions",
    )


def _first(following: Iterator[Placed]) -> tuple[str, BinlogPlace | None, Iterator[binlog.Event]]:
    """Return the GTID of the first transaction, where it begins, and its events from there on."""
    gtid = ""
    for place, event in following:
        match event:
            case binlog.Gtid():
                gtid = str(event)
            case binlog.MariadbGtid():
                return str(event), place, _rest(event, following)
            case binlog.Query() if sentence(event.text).kind is Kind.BEGIN:
                return gtid, place, _rest(event, following)
            case _:
                pass
    return gtid, None, iter(())


def _rest(begin: binlog.Event, following: Iterator[Placed]) -> Iterator[binlog.Event]:
    yield begin
    for _, event in following:
        if isinstance(event, binlog.Gtid | binlog.MariadbGtid):
            return
        yield event


def _number(offset: Mapping[str, Json], name: str) -> int:
    number = offset.get(name)
    return number if isinstance(number, int) else 0
