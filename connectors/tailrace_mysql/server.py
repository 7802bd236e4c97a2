"""What a server says of itself: its settings that matter, and how far its binlog goes.

MySQL and MariaDB differ in statements and names, and so do their versions; `flavour.py` has the differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailrace.errors import Fatal
from tailrace_mysql.connection import Connection, Row
from tailrace_mysql.flavour import Flavour, flavour_of
from tailrace_mysql.gtid import GtidPosition, GtidSet
from tailrace_mysql.statement import Dialect

_VARIABLES = (
    "binlog_checksum",
    "binlog_encryption",
    "binlog_expire_logs_seconds",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_metadata",
    "binlog_row_value_options",
    "binlog_transaction_compression",
    "encrypt_binlog",
    "gtid_domain_id",
    "gtid_mode",
    "log_bin",
    "log_bin_compress",
    "log_replica_updates",
    "log_slave_updates",
    "lower_case_table_names",
    "read_only",
    "server_id",
    "server_uuid",
    "system_time_zone",
    "time_zone",
    "version",
)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The settings, as the server has them globally; a session may have others."""

    flavour: Flavour
    variables: Mapping[str, str] = field(repr=False)

    def get(self, name: str) -> str:
        """Return a setting, "" where this server does not know it."""
        return self.variables.get(name, "")

    def on(self, name: str) -> bool:
        """Whether a setting is on."""
        return self.get(name).upper() in {"ON", "1", "YES", "TRUE"}

    @property
    def version(self) -> tuple[int, ...]:
        """Major, minor and patch."""
        return self.flavour.version

    @property
    def dialect(self) -> Dialect:
        """How the server reads statements."""
        major, minor, patch = (*self.version, 0, 0)[:3]
        return Dialect(self.flavour.mariadb, major * 10_000 + minor * 100 + patch)

    @property
    def server_id(self) -> int:
        """The server's number among its replicas; several may share one by mistake."""
        return int(self.get("server_id") or 0)

    @property
    def identity(self) -> str:
        """What tells this server's binlog files from another's: its uuid, or domain and number (MariaDB has none)."""
        return self.get("server_uuid") or f"{self.get('gtid_domain_id')}-{self.server_id}"

    @property
    def gtids(self) -> bool:
        """Whether every transaction has a GTID: always with MariaDB."""
        return self.flavour.mariadb or self.get("gtid_mode").upper() == "ON"


@dataclass(frozen=True, slots=True)
class BinlogStatus:
    """How far the binlog is written, and which transactions that makes, "" on a server without GTIDs."""

    file: str
    pos: int
    gtids: str = ""


def read_facts(connection: Connection) -> ServerFacts:
    """Ask the server for its settings."""
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    rows = connection.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
    variables = {(name or "").lower(): value or "" for name, value in rows}
    return ServerFacts(flavour_of(connection.version), variables)


def binlog_status(connection: Connection, flavour: Flavour) -> BinlogStatus:
    """Ask where the binlog ends; raises `Fatal` where there is none, and for a missing grant."""
    rows = connection.query(flavour.status)
    if not rows:
        raise no_binlog()
    gtids = connection.one(flavour.written_gtids)[0] if flavour.mariadb else rows[0][4]
    return status_of(rows[0], gtids)


def status_of(row: Row, gtids: str | None) -> BinlogStatus:
    """Return what a row of the status statement says."""
    return BinlogStatus(row[0] or "", int(row[1] or 0), "".join((gtids or "").split()))


def binlog_files(connection: Connection) -> dict[str, int]:
    """Ask for the binlog files that are there and their sizes in bytes, in order."""
    return {row[0] or "": int(row[1] or 0) for row in connection.query("SHOW BINARY LOGS")}


def executed_gtids(connection: Connection, flavour: Flavour) -> GtidSet | GtidPosition:
    """Ask which transactions the server's binlog has had."""
    return parse_gtids(connection.one(flavour.written_gtids)[0] or "", flavour)


def purged_gtids(connection: Connection) -> GtidSet:
    """Ask which transactions are gone from MySQL's binlog."""
    return GtidSet.parse(connection.one("SELECT @@GLOBAL.gtid_purged")[0] or "")


def parse_gtids(text: str, flavour: Flavour) -> GtidSet | GtidPosition:
    """Read GTIDs as the server of that flavour writes them; raises `Fatal` for what is none."""
    return GtidPosition.parse(text) if flavour.mariadb else GtidSet.parse(text)


def no_binlog() -> Fatal:
    """Return what it means that there is no binlog."""
    return Fatal("the server writes no binlog", hint="set log-bin in my.cnf and restart the server")
