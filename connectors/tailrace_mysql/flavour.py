"""What differs between MySQL and MariaDB, and between their versions: statements and names.

MySQL 8.4 dropped every statement with MASTER or SLAVE in it; MariaDB has never known those that took their place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tailrace.errors import Fatal

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Flavour:
    """One server program of one version."""

    name: Literal["mysql", "mariadb"]
    version: tuple[int, ...]

    @property
    def mariadb(self) -> bool:
        """Whether it is MariaDB."""
        return self.name == "mariadb"

    @property
    def supported(self) -> bool:
        """Whether Tailrace was made for it."""
        return self.version >= ((10, 5) if self.mariadb else (8, 0))

    @property
    def status(self) -> str:
        """The statement whose one row is file and position of the binlog's end (and, fifth, MySQL's GTID set)."""
        if self.mariadb:
            return "SHOW BINLOG STATUS"
        return "SHOW BINARY LOG STATUS" if self.version >= (8, 2) else "SHOW MASTER STATUS"

    @property
    def written_gtids(self) -> str:
        """The query for the transactions that the binlog has had, those purged included."""
        return "SELECT @@GLOBAL.gtid_binlog_pos" if self.mariadb else "SELECT @@GLOBAL.gtid_executed"

    @property
    def heartbeat_period(self) -> str:
        """The user variable that asks for heartbeats of the dump, in nanoseconds."""
        return "@master_heartbeat_period" if self.mariadb or self.version < (8, 0, 26) else "@source_heartbeat_period"

    @property
    def checksum(self) -> str:
        """The user variable that says that we can check CRC-32."""
        return "@master_binlog_checksum" if self.mariadb or self.version < (8, 0, 26) else "@source_binlog_checksum"

    @property
    def replica_uuid(self) -> str:
        """The user variable that names us, so that the server ends an older dump of ours. MariaDB goes by the id."""
        return "@slave_uuid" if self.mariadb or self.version < (8, 0, 26) else "@replica_uuid"


def flavour_of(version: str) -> Flavour:
    """Return the flavour by the version that the server tells; raises `Fatal` for one that says nothing."""
    found = _VERSION.match(version)
    if found is None:
        raise Fatal(f'the server calls its version "{version}"', hint="MySQL and MariaDB say otherwise")
    numbers = tuple(int(part or 0) for part in found.groups())
    return Flavour("mariadb" if "mariadb" in version.lower() else "mysql", numbers)
