"""The programs of MySQL and MariaDB, where `.ci/unpack-server` put them, and data folders for them to start with.

A first data folder takes a server seconds to make, so it is made once, kept beside the programs, and copied.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tailrace.demo.mysql_programs import Flavour, ServerPrograms

__all__ = ["GRANTS", "PASSWORD", "SERIES", "USER", "Flavour", "Programs", "programs"]

SERIES: dict[Flavour, str] = {"mysql": "9.7", "mariadb": "10.11"}

USER = "tailrace"
PASSWORD = "p'w /@:ü"
GRANTS = "SELECT, RELOAD, LOCK TABLES, REPLICATION CLIENT, REPLICATION SLAVE, SHOW VIEW"

_ACCOUNTS = f"""
CREATE USER 'root'@'%';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;
CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD.replace("'", "''")}';
GRANT {GRANTS} ON *.* TO '{USER}'@'%';
"""


@dataclass(frozen=True, slots=True)
class Programs:
    """The unpacked server of one flavour."""

    flavour: Flavour
    folder: Path

    @property
    def server(self) -> Path:
        return self.folder / "bin" / ("mysqld" if self.flavour == "mysql" else "mariadbd")

    @property
    def dumper(self) -> Path:
        """`mysqlbinlog` under its own name."""
        return self.folder / "bin" / ("mysqlbinlog" if self.flavour == "mysql" else "mariadb-binlog")

    @property
    def login(self) -> tuple[str, str]:
        """The account that may replicate."""
        return USER, PASSWORD

    def places(self) -> Mapping[str, str]:
        """Return the settings that tell the server where its own files are."""
        return self._found.places()

    def make_data(self, data: Path) -> None:
        """Make `data` a fresh data folder: root without a password, and the user `tailrace`."""
        template = self.folder / "template-1"
        if not template.exists():
            self._make_template(template)
        shutil.copytree(template, data)

    def _make_template(self, template: Path) -> None:
        with tempfile.TemporaryDirectory(dir=template.parent) as name:
            data = Path(name) / "data"
            self._found.make_data(data, _ACCOUNTS)
            try:
                data.rename(template)
            except OSError:
                if not template.exists():  # else another test run was quicker
                    raise

    @property
    def _found(self) -> ServerPrograms:
        return ServerPrograms(self.flavour, self.server, self.folder / "root/usr", moved=True)


def programs(flavour: Flavour) -> Programs | None:
    """Return the programs of `flavour`, None where they are not unpacked."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tailrace"
    found = Programs(flavour, cache / f"{flavour}-{SERIES[flavour]}")
    return found if found.server.exists() else None
