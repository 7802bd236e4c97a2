"""The programs of MySQL and MariaDB, where `.ci/unpack-server` put them, and data folders for them to start with.

A first data folder takes a server seconds to make, so it is made once, kept beside the programs, and copied.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tailrace.errors import Fatal

Flavour = Literal["mysql", "mariadb"]

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

_MARIADB_SYSTEM = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "fill_help_tables.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
)
"""What mariadb-install-db feeds to a server, in its order."""


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
    def usr(self) -> Path:
        return self.folder / "root/usr"

    def places(self) -> dict[str, str]:
        """Return the settings that tell the server where its own files are."""
        share = self.usr / "share/mysql"
        return {
            "basedir": str(self.usr),
            "plugin_dir": str(self.usr / "lib/mysql/plugin"),
            "lc_messages_dir": str(share),
            "character_sets_dir": str(share / "charsets"),
        }

    def copy_template(self, data_dir: Path) -> None:
        """Make `data_dir` a fresh data folder: root without a password, and the user `tailrace`."""
        template = self.folder / "template-1"
        if not template.exists():
            _make_template(self, template)
        shutil.copytree(template, data_dir)


def programs(flavour: Flavour) -> Programs | None:
    """Return the programs of `flavour`, None where they are not unpacked."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tailrace"
    found = Programs(flavour, cache / f"{flavour}-{SERIES[flavour]}")
    return found if found.server.exists() else None


def _make_template(programs: Programs, template: Path) -> None:
    with tempfile.TemporaryDirectory(dir=template.parent) as name:
        data = Path(name) / "data"
        data.mkdir()
        accounts = Path(name) / "accounts.sql"
        accounts.write_text(_ACCOUNTS if programs.flavour == "mariadb" else _one_line_each(_ACCOUNTS))
        places = {**programs.places(), "datadir": str(data)}
        if os.geteuid() == 0:
            places["user"] = "root"
        command = [str(programs.server), "--no-defaults", *(f"--{key}={value}" for key, value in places.items())]
        if programs.flavour == "mysql":
            command += ["--initialize-insecure", "--skip-log-bin", f"--init-file={accounts}", "--secure-file-priv="]
            command += ["--innodb-redo-log-capacity=16M"]
            said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        else:
            command += ["--bootstrap", "--log-warnings=0", "--innodb-log-file-size=16M", "--max-allowed-packet=8M"]
            said = subprocess.run(command, input=_mariadb_tables(programs).encode(), capture_output=True, check=False)
        if said.returncode != 0:
            raise Fatal(f"{programs.flavour} makes no data folder", hint=f"it said: {said.stderr.decode()[-2000:]}")
        (data / "auto.cnf").unlink(missing_ok=True)  # the server's uuid, which must not be every copy's
        try:
            data.rename(template)
        except OSError:
            if not template.exists():  # else another test run was quicker
                raise


def _mariadb_tables(programs: Programs) -> str:
    """Return what makes MariaDB's system tables, and the accounts."""
    parts = ["CREATE DATABASE IF NOT EXISTS mysql;", "USE mysql;", "SET @auth_root_socket=NULL;"]
    for name in _MARIADB_SYSTEM:
        lines = (programs.usr / "share/mysql" / name).read_text().splitlines()
        # Accounts of this machine's name: mariadb-install-db leaves them out as well.
        parts += [line for line in lines if "@current_hostname" not in line]
    return "\n".join([*parts, "DELETE FROM mysql.global_priv WHERE User = '';", "FLUSH PRIVILEGES;", _ACCOUNTS])


def _one_line_each(statements: str) -> str:
    """An init file has one statement in a line."""
    return "\n".join(line for line in statements.splitlines() if line) + "\n"
