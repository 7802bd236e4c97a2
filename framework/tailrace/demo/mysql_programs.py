"""The programs of MySQL and MariaDB as they are found on a machine, and data folders for them to start with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tailrace.errors import Fatal

Flavour = Literal["mysql", "mariadb"]

PROGRAM: Mapping[Flavour, str] = {"mysql": "mysqld", "mariadb": "mariadbd"}
OLDEST: Mapping[Flavour, tuple[int, int]] = {"mysql": (8, 0), "mariadb": (10, 11)}
NAMES: Mapping[Flavour, str] = {"mysql": "MySQL", "mariadb": "MariaDB"}

FOLDERS = ("/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/usr/local/mysql/bin", "/opt/homebrew/bin")
"""Where servers are that no PATH leads to."""

_INSTALL: Mapping[Flavour, str] = {
    "mysql": "brew install mysql, dnf install mysql-server, apt-get install mysql-server-core",
    "mariadb": "apt-get install mariadb-server-core, dnf install mariadb-server, brew install mariadb",
}
_VERSION = re.compile(r"Ver (\d+)\.(\d+)\.\d+(-MariaDB)?")
_SHARES = ("share/mysql", "share/mariadb", "share")
_SYSTEM_TABLES = (
    "m*_system_tables.sql", "m*_performance_tables.sql", "m*_system_tables_data.sql", "fill_help_tables.sql",
    "maria_add_gis_sp_bootstrap.sql", "m*_sys_schema.sql",
)  # fmt: skip
"""What mariadb-install-db feeds to a server, in its order; the first word is mysql, and mariadb since 11."""


@dataclass(frozen=True, slots=True)
class ServerPrograms:
    """The server of one flavour: its program, and where its own files are if it does not know that by itself."""

    flavour: Flavour
    server: Path
    usr: Path
    """What has `share` in it; a server unpacked beside the system has it under `root/usr`."""
    moved: bool = False

    def places(self) -> dict[str, str]:
        """Return the settings that tell the server where its own files are."""
        if not self.moved:
            return {}
        share = self.usr / "share/mysql"
        return {
            "basedir": str(self.usr),
            "plugin_dir": str(self.usr / "lib/mysql/plugin"),
            "lc_messages_dir": str(share),
            "character_sets_dir": str(share / "charsets"),
        }

    def make_data(self, data: Path, accounts: str) -> None:
        """Make `data` a data folder in which the statements `accounts` were run; takes a server some seconds.

        Its root may log in by the Unix socket without a password. Raises `Fatal` with what the server said.
        """
        data.mkdir()
        places = {**self.places(), "datadir": str(data), **({"user": "root"} if os.geteuid() == 0 else {})}
        command = [str(self.server), "--no-defaults", *(f"--{key}={value}" for key, value in places.items())]
        with tempfile.NamedTemporaryFile("w", suffix=".sql", dir=data.parent) as script:
            script.write("\n".join(line for line in accounts.splitlines() if line) + "\n")  # it has a statement a line
            script.flush()
            if self.flavour == "mysql":
                command += ["--initialize-insecure", "--skip-log-bin", f"--init-file={script.name}"]
                command += ["--secure-file-priv=", "--loose-innodb-redo-log-capacity=16M"]
            else:
                command += ["--bootstrap", "--log-warnings=0", "--innodb-log-file-size=16M", "--max-allowed-packet=8M"]
            statements = b"" if self.flavour == "mysql" else self._system_tables(accounts).encode()
            said = subprocess.run(command, input=statements, capture_output=True, check=False)
        if said.returncode != 0:
            raise Fatal(f"{self.server} makes no data folder", hint=f"it said: {said.stderr.decode()[-2000:]}")
        (data / "auto.cnf").unlink(missing_ok=True)  # the server's uuid, which must not be every copy's

    def _system_tables(self, accounts: str) -> str:
        """Return what makes MariaDB's system tables, and the accounts."""
        parts = ["CREATE DATABASE IF NOT EXISTS mysql;", "USE mysql;", "SET @auth_root_socket=NULL;"]
        for script in self._scripts():
            lines = script.read_text().splitlines()
            # Accounts of this machine's name: mariadb-install-db leaves them out as well.
            parts += [line for line in lines if "@current_hostname" not in line]
        return "\n".join([*parts, "DELETE FROM mysql.global_priv WHERE User = '';", "FLUSH PRIVILEGES;", accounts])

    def _scripts(self) -> Iterator[Path]:
        for name in _SYSTEM_TABLES:
            found = next((file for share in _SHARES for file in sorted((self.usr / share).glob(name))), None)
            if found is None:
                raise Fatal(f"{self.server}: the script {name} is missing under {self.usr}/share")
            yield found


def find_programs(flavour: Flavour) -> ServerPrograms:
    """Return the programs of a server that is on this machine, the one that is unpacked for tests last.

    Raises `Fatal` where there is none that is young enough.
    """
    old = ""
    for server in _candidates(flavour):
        version = _version_of(server, flavour)
        if version is not None and version >= OLDEST[flavour]:
            root = server.resolve().parent.parent / "root/usr"
            usr = root if root.is_dir() else server.resolve().parent.parent
            return ServerPrograms(flavour, server, usr, moved=root.is_dir())
        if version is not None:
            old = f"; {server} is {version[0]}.{version[1]}"
    least = ".".join(map(str, OLDEST[flavour]))
    raise Fatal(
        f"no {NAMES[flavour]} {least} or newer is on this machine: no {PROGRAM[flavour]} in PATH, {', '.join(FOLDERS)}"
        + old,
        hint=f"install one ({_INSTALL[flavour]}), in a checkout of Tailrace on Debian run .ci/unpack-server {flavour}, "
        "which installs nothing, or run the demo on its own Postgres: --database postgres",
    )


def _candidates(flavour: Flavour) -> Iterator[Path]:
    names = [PROGRAM[flavour], "mysqld"] if flavour == "mariadb" else [PROGRAM[flavour]]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *FOLDERS])
    for name in names:
        if found := shutil.which(name, path=path):
            yield Path(found)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tailrace"
    yield from sorted(cache.glob(f"{flavour}-*/bin/{PROGRAM[flavour]}"), reverse=True)


def _version_of(server: Path, flavour: Flavour) -> tuple[int, int] | None:
    """Return major and minor, None where the program is the other one: MariaDB has a `mysqld`, too."""
    try:
        said = subprocess.run([str(server), "--no-defaults", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = _VERSION.search(said.stdout)
    if found is None or (found[3] is not None) != (flavour == "mariadb"):
        return None
    return int(found[1]), int(found[2])
