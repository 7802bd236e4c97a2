"""`tailrace check`: everything that a capture needs of the server, looked at without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from tailrace.errors import TailraceError
from tailrace.source import Finding
from tailrace_mysql.address import Host, parse_url
from tailrace_mysql.config import BinlogConfig
from tailrace_mysql.connection import Connection, Row, identifier, literal
from tailrace_mysql.dump import Dump
from tailrace_mysql.selection import Selection
from tailrace_mysql.server import ServerFacts, read_facts

_DAY = 24 * 3600

_PROBE = 90
"""Added to our number while we try to register, so that a worker that runs is left alone."""

_TABLES = """
SELECT t.table_schema, t.table_name, t.engine,
       (SELECT GROUP_CONCAT(s.column_name ORDER BY s.seq_in_index) FROM information_schema.statistics s
         WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name AND s.index_name = 'PRIMARY')
  FROM information_schema.tables t
 WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
 ORDER BY 1, 2
"""


def findings(connector: str, config: BinlogConfig) -> list[Finding]:
    """Return what is right and what is not, in the order in which to mend it; each host of the url is looked at."""
    hosts = parse_url(config.url.get_secret_value()).hosts
    found: list[Finding] = []
    tables: list[Finding] = []
    for host in hosts:
        prefix = f"{host}: " if len(hosts) > 1 else ""
        for finding, of_tables in _host(connector, config, host, standby=len(hosts) > 1):
            if not of_tables:
                found.append(Finding(finding.ok, prefix + finding.what, finding.mend))
            elif not prefix or host is hosts[0] or not tables:
                tables.append(finding)
    return found + tables


def _host(connector: str, config: BinlogConfig, host: Host, *, standby: bool) -> Iterator[tuple[Finding, bool]]:
    """Yield the findings of one host, and whether each is one of tables, which are the same everywhere."""
    try:
        with closing(Connection.open(config, connector, "control", host)) as control:
            facts = read_facts(control)
            for finding in _server(control, facts, connector, config):
                yield finding, False
            if standby:
                yield _failover(facts), False
            yield _registration(connector, config, host), False
            for finding in _tables(control, config):
                yield finding, True
    except TailraceError as error:
        yield Finding(ok=False, what=error.message, mend=error.hint), False


def _server(control: Connection, facts: ServerFacts, connector: str, config: BinlogConfig) -> Iterator[Finding]:
    yield Finding(
        ok=facts.flavour.supported, what=f"server version {facts.get('version')}",
        mend="use MySQL 8.0 or later, or MariaDB 10.5 or later",
    )  # fmt: skip
    expected = config.type if config.type in {"mysql", "mariadb"} else facts.flavour.name
    yield Finding(
        ok=facts.flavour.name == expected, what=f"the server is {facts.flavour.name}",
        mend=f"set type: {facts.flavour.name} for this connector",
    )  # fmt: skip
    cipher = control.one("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[1]
    yield Finding(ok=True, what=f"the connection is {f'encrypted, {cipher}' if cipher else 'not encrypted'}")
    yield Finding(
        ok=facts.on("log_bin"), what=f"log_bin is {'on' if facts.on('log_bin') else 'off'}",
        mend="set log-bin in my.cnf and restart the server",
    )  # fmt: skip
    if facts.on("log_bin"):
        yield from _binlog(control, facts)
    ours = config.own_server_id(connector)
    yield Finding(
        ok=facts.server_id not in {0, ours}, what=f"the server's number is {facts.server_id}, ours {ours}",
        mend="set server_id in my.cnf to a number of its own, not 0" if not facts.server_id else
        "set `server_id` of the connector to a number that no server and no replica has",
    )  # fmt: skip


def _binlog(control: Connection, facts: ServerFacts) -> Iterator[Finding]:
    written = facts.get("binlog_format").upper() or "ROW"
    yield Finding(
        ok=written == "ROW", what=f"binlog_format is {written}",
        mend="SET GLOBAL binlog_format = ROW and set it in my.cnf; sessions that are open keep the old one",
    )  # fmt: skip
    image = facts.get("binlog_row_image").upper()
    left_out = "" if image in {"FULL", ""} else ": changes come without the columns that it leaves out"
    yield Finding(ok=True, what=f"binlog_row_image is {image or 'FULL'}{left_out}")
    metadata = facts.get("binlog_row_metadata").upper()
    yield Finding(
        ok=metadata == "FULL", what=f"binlog_row_metadata is {metadata or 'not known'}",
        mend="SET GLOBAL binlog_row_metadata = FULL and set it in my.cnf: without it the names and types of columns "
        "are followed through DDL statements, and one that cannot be read stops the task",
    )  # fmt: skip
    gtids = facts.get("gtid_mode") or ("with GTIDs always" if facts.gtids else "OFF")
    yield Finding(ok=True, what=f"gtid_mode is {gtids}{'' if facts.gtids else ': no other server can take over'}")
    kept = int(float(facts.get("binlog_expire_logs_seconds") or 0))
    yield Finding(
        ok=not 0 < kept < _DAY, what=f"binlogs are kept for {f'{kept} seconds' if kept else 'ever'}",
        mend="SET GLOBAL binlog_expire_logs_seconds = 259200: what is purged while the worker is away is lost",
    )  # fmt: skip
    yield from _filters(control, facts)


def _filters(control: Connection, facts: ServerFacts) -> Iterator[Finding]:
    """Look at what the server leaves out of its binlog."""
    try:
        rows = control.query(facts.flavour.status)
    except TailraceError as error:
        grant = "BINLOG MONITOR" if facts.flavour.mariadb else "REPLICATION CLIENT"
        yield Finding(ok=False, what=error.message, mend=f"GRANT {grant} ON *.* TO {_account(control)}")
        return
    only, ignored = (rows[0][2] or "", rows[0][3] or "") if rows else ("", "")
    if only or ignored:
        told = f"binlog_do_db is {only}" if only else f"binlog_ignore_db is {ignored}"
        yield Finding(
            ok=False, what=f"{told}: changes of other databases are not written" if only else f"{told}: not written",
            mend="remove binlog_do_db and binlog_ignore_db from my.cnf and restart the server",
        )  # fmt: skip
    passed_on = facts.on("log_replica_updates") or facts.on("log_slave_updates")
    if not passed_on:
        yield Finding(
            ok=not _replicates(control), what="log_replica_updates is off: what the server replicates is not written",
            mend="set log_replica_updates (MariaDB: log_slave_updates) in my.cnf and restart the server",
        )  # fmt: skip


def _replicates(control: Connection) -> bool:
    """Whether the server is a replica, as far as we may know."""
    try:
        return bool(control.query("SHOW SLAVE STATUS" if control.mariadb else "SHOW REPLICA STATUS"))
    except TailraceError:
        return False


def _failover(facts: ServerFacts) -> Finding:
    return Finding(
        ok=facts.gtids, what=f"another host can take over: {'yes' if facts.gtids else 'no, there are no GTIDs'}",
        mend="set gtid_mode = ON and enforce_gtid_consistency = ON on all hosts, or name one host only",
    )  # fmt: skip


def _registration(connector: str, config: BinlogConfig, host: Host) -> Finding:
    try:
        Dump.open(config, connector, host, beside=_PROBE).close()
    except TailraceError as error:
        with closing(Connection.open(config, connector, "control", host)) as control:
            mend = f"GRANT REPLICATION SLAVE ON *.* TO {_account(control)}"
        return Finding(ok=False, what=f"we may not replicate: {error.message}", mend=mend)
    return Finding(ok=True, what="we may replicate")


def _tables(control: Connection, config: BinlogConfig) -> Iterator[Finding]:
    selection = Selection(config.tables, config.exclude)
    rows = [row for row in control.query(_TABLES) if selection.captures(row[0] or "", row[1] or "")]
    yield Finding(
        ok=bool(rows), what=f"{len(rows)} tables are captured",
        mend="mend `tables`, whose globs are database.table; or grant SELECT: what we may not read we do not see",
    )  # fmt: skip
    for row in rows:
        yield _table(control, row)


def _table(control: Connection, row: Row) -> Finding:
    database, name, engine, key = row
    full = f"{identifier(database or '')}.{identifier(name or '')}"
    what = f"table {database}.{name}: {f'key ({key})' if key else 'no key'}, {engine}"
    try:
        control.query(f"SELECT 1 FROM {full} LIMIT 0")
    except TailraceError:
        return Finding(ok=False, what=f"{what}, not readable", mend=f"GRANT SELECT ON {full} TO {_account(control)}")
    return Finding(ok=True, what=what)


def _account(control: Connection) -> str:
    """Return the account that we are, as GRANT wants it."""
    user, _, host = (control.one("SELECT CURRENT_USER()")[0] or "").rpartition("@")
    return f"{literal(user)}@{literal(host)}"
