"""Where the binlog of a server begins and ends for us, and whether it still has what follows a stored position."""

from __future__ import annotations

import re

from tailrace.errors import Fatal, Retriable
from tailrace_mysql.connection import Connection, literal
from tailrace_mysql.dump_fault import Diverged, Purged
from tailrace_mysql.fault import RESET
from tailrace_mysql.gtid import GtidPosition, GtidSet
from tailrace_mysql.position import Resume, StreamPosition
from tailrace_mysql.server import ServerFacts, binlog_files, binlog_status

VIEWS = {
    True: "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; SHOW STATUS LIKE 'binlog_snapshot_%'",
    False: "SELECT @@GLOBAL.gtid_executed; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; {status}",
}
"""How a read of the snapshot begins, on MariaDB and on MySQL: what it surely sees, and what it cannot."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_THREAD = re.compile(r"#[0-9]+")


def view_sql(server: ServerFacts) -> str:
    """Return the statements that begin a read of the snapshot."""
    return VIEWS[server.flavour.mariadb].format(status=server.flavour.status)


def check_format(server: ServerFacts) -> None:
    """Raise `Fatal` where the binlog does not hold rows."""
    written = server.get("binlog_format").upper()
    if written not in {"ROW", ""}:
        raise Fatal(
            f"binlog_format is {written}, needed is ROW",
            hint="SET GLOBAL binlog_format = ROW, and in my.cnf; sessions that are open keep their own",
        )


def start_of_stream(control: Connection, server: ServerFacts) -> StreamPosition:
    """Return the end of the binlog as a place to stream from."""
    if not server.gtids:
        end = binlog_status(control, server.flavour)
        return StreamPosition(end.file, end.pos)
    if server.flavour.mariadb:
        end = binlog_status(control, server.flavour)
        gtids = control.one(f"SELECT BINLOG_GTID_POS({literal(end.file)}, {end.pos})")[0]
        return StreamPosition(end.file, end.pos, gtids or "")
    # What is executed is in the binlog, but not the other way round: what is missing comes by the stream.
    gtids = _one_line(control.one("SELECT @@GLOBAL.gtid_executed")[0] or "")
    end = binlog_status(control, server.flavour)
    return StreamPosition(end.file, end.pos, gtids)


def check_resume(control: Connection, server: ServerFacts, resume: Resume) -> None:
    """Compare a stored position with the server; raises `Fatal` where what follows it is not to be had."""
    position = resume.stream
    if not position.gtids:
        _check_place(control, server, resume)
    elif not server.gtids:
        raise Fatal(
            f"the position was made on a server with GTIDs, and {server.identity} has none",
            hint=f"set gtid_mode = ON, or connect to the server that was read before. {RESET}",
        )
    elif server.flavour.mariadb:
        _check_domains(control, server, position.gtids)
    else:
        _check_gtids(control, server, position.gtids)


def _check_domains(control: Connection, server: ServerFacts, stored: str) -> None:
    """Find transactions that this server never had; those that it has purged it tells of itself."""
    theirs, ours = GtidPosition.parse(binlog_status(control, server.flavour).gtids), GtidPosition.parse(stored)
    if missing := GtidPosition({d: at for d, at in ours.domains.items() if not theirs.contains(d, at[1])}):
        raise _missing(server, str(missing))


def _check_gtids(control: Connection, server: ServerFacts, stored: str) -> None:
    # First: what is owned then is executed later, or still owned.
    owned = _owned(control.one("SELECT @@GLOBAL.gtid_owned")[0] or "")
    told = control.one("SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged")
    executed, purged = (GtidSet.parse(text or "") for text in told)
    ours = GtidSet.parse(stored)
    if missing := purged - ours:
        raise Purged(
            f"the server {server.identity} has purged transactions that were not read: {missing}",
            hint="connect to a server that still has them, or restore the binlogs. Else their changes are lost: "
            f"{RESET}; raise binlog_expire_logs_seconds so that it does not happen again",
        )
    if missing := ours - executed:
        if owned.issuperset(missing):
            raise Retriable(
                f"the server {server.identity} has not yet committed transactions that were read: {missing}",
                hint="they are in its binlog, and wait for the disk, or for a replica where those are waited for",
                patient=True,
            )
        raise _missing(server, str(missing))


def _owned(told: str) -> GtidSet:
    """Return the transactions under way that have GTIDs: `uuid:number#thread:number#thread`, uuids not set apart."""
    return GtidSet.parse(_THREAD.sub("", _UUID.sub(r",\g<0>", told)))


def _missing(server: ServerFacts, gtids: str) -> Fatal | Retriable:
    """Return what it means that the server lacks transactions that were read."""
    message = f"the server {server.identity} does not have transactions that were read: {gtids}"
    if server.on("read_only"):
        return Retriable(message, hint="it is a replica that lags behind, it seems", patient=True)
    return Diverged(
        message,
        hint="it was restored, or took over before it had all: what was told of them never happened here. "
        f"Connect to a server that has them, or start anew: {RESET}",
    )


def _check_place(control: Connection, server: ServerFacts, resume: Resume) -> None:
    position = resume.stream
    if resume.server != server.identity:
        raise Fatal(
            f"the position {position} is one of server {resume.server}, this is {server.identity}",
            hint="places of the binlog mean nothing on another server: connect to the one that was read before, or "
            f"start anew: {RESET}; with gtid_mode = ON any server can take over",
        )
    files = binlog_files(control)
    if position.file not in files:
        first = next(iter(files), "none")
        raise Purged(
            f"the binlog file {position.file} is gone, the first one is {first}",
            hint="it was purged before it was read, or the binlogs were reset: restore it, or start anew: "
            f"{RESET}; raise binlog_expire_logs_seconds so that it does not happen again",
        )
    if position.pos > files[position.file]:
        raise Diverged(
            f"the binlog file {position.file} ends at {files[position.file]}, before the position {position}",
            hint="the server lost the end of it in a crash (set sync_binlog = 1), or was restored. Start anew: "
            f"{RESET}",
        )


def _one_line(text: str) -> str:
    return "".join(text.split())
