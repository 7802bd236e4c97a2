"""A MySQL or MariaDB server of our own, for the demo and for tests: started, stopped, killed and held still at will.

It listens on 127.0.0.1 and on a Unix socket in a temporary folder, writes a row binlog with full metadata and GTIDs,
and goes when we go. Where we are root, so is it: unlike Postgres it does not mind, and it may have to read what only
root can. It does not install a server: `mysql_programs.py` has those that are there.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias
from urllib.parse import quote

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from tailrace.demo.mysql_programs import Flavour
from tailrace.demo.postgres import free_port
from tailrace.demo.process import ServerProcess
from tailrace.errors import Fatal

COMMON = {
    "bind_address": "127.0.0.1",
    "log_bin": "binlog",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
    "character_set_server": "utf8mb4",
    "max_connections": "200",
    "innodb_buffer_pool_size": "64M",
    "innodb_use_native_aio": "OFF",  # the system has few of these to share out
    # A server that is killed loses nothing by these, only one whose machine dies.
    "innodb_flush_method": "nosync",
    "innodb_flush_log_at_trx_commit": "2",
    "sync_binlog": "0",
}

OWN: Mapping[Flavour, Mapping[str, str]] = {
    "mysql": {
        "mysqlx": "OFF",
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        "loose_innodb_redo_log_capacity": "16M",
        "secure_file_priv": "",
    },
    "mariadb": {"binlog_format": "ROW", "innodb_log_file_size": "16M"},
}

Row: TypeAlias = tuple[Any, ...]


class Installation(Protocol):
    """The programs of a server, and the data folder that it begins with."""

    @property
    def flavour(self) -> Flavour:
        """Which of the two it is."""

    @property
    def server(self) -> Path:
        """The server's program."""

    @property
    def login(self) -> tuple[str, str]:
        """Name and password of the account that may replicate."""

    def places(self) -> Mapping[str, str]:
        """Return the settings that tell the server where its own files are."""

    def make_data(self, data: Path) -> None:
        """Make a data folder: root without a password, by the Unix socket, and the account of `login`."""


class MysqlServer:
    """One server with one data folder; building one does no I/O.

    `settings` are lines of my.cnf beyond `COMMON` and `OWN`; they may be changed while the server is down. An empty
    value stands for an option without one.
    """

    def __init__(self, programs: Installation, settings: Mapping[str, str] | None = None) -> None:
        self.programs = programs
        self.settings = {**COMMON, **OWN[programs.flavour], **(settings or {})}
        self.port = 0
        self._folder: Path | None = None
        self._process = ServerProcess(programs.flavour)

    @property
    def flavour(self) -> Flavour:
        """Which of the two it is."""
        return self.programs.flavour

    @property
    def folder(self) -> Path:
        """The temporary folder that goes with the server: data, socket, log."""
        if self._folder is None:
            # Not under pytest's: the path of a Unix socket has at most 107 bytes.
            self._folder = Path(tempfile.mkdtemp(prefix="tailrace-"))
        return self._folder

    @property
    def data_dir(self) -> Path:
        """Where the server keeps its data."""
        return self.folder / "data"

    @property
    def socket_file(self) -> Path:
        """The Unix socket."""
        return self.folder / "socket"

    @property
    def log_file(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        return self._process.running

    def url(self, database: str = "", *, user: str = "", password: str | None = None, query: str = "") -> str:
        """Return the URL of a database of this server, as a source's settings have it; without `user` its own one's."""
        own, secret = self.programs.login
        if password is None and not user:
            password = secret
        login = quote(user or own, safe="") + (f":{quote(password, safe='')}" if password else "")
        return f"{self.flavour}://{login}@127.0.0.1:{self.port}/{quote(database, safe='')}" + (query and f"?{query}")

    def connect(self, database: str | None = None, **options: Any) -> Connection[Cursor]:
        """Return an autocommitting connection of root, by the Unix socket; `options` go to `pymysql.connect`."""
        channel = socket.socket(socket.AF_UNIX)
        try:
            # Not left to PyMySQL, which would not close a socket that nobody answers.
            channel.connect(str(self.socket_file))
            chosen = {"user": "root", "charset": "utf8mb4", "database": database, "autocommit": True, **options}
            connection = pymysql.connect(defer_connect=True, unix_socket=str(self.socket_file), **chosen)
            connection.connect(channel)
        except BaseException:
            channel.close()
            raise
        return connection

    def execute(self, *statements: str, database: str | None = None, **options: Any) -> Sequence[Row]:
        """Run statements as root, each in its own transaction; return the rows of the last one."""
        with self.connect(database, **options) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def start(self, *, timeout: float = 120.0) -> None:
        """Start the server and wait until it takes connections; raises `Fatal` with what it said last."""
        deadline = time.monotonic() + timeout
        if not self.data_dir.exists():
            self.programs.make_data(self.data_dir)
        while True:
            given = self.port
            self.port = given or free_port()
            self._write_settings()
            said = self._launch(deadline)
            if said is None:
                return
            # The port of a killed server, or one that somebody else was quicker to take, and the lock on its files.
            passing = "Bind on TCP/IP port" in said or "Unable to lock" in said or "already in use" in said
            if time.monotonic() > deadline or not passing:
                raise Fatal(f"{self.flavour} did not start", hint=f"it said: {said.strip()[-3000:]}")
            self.port = given
            time.sleep(0.2)

    def stop(self, *, timeout: float = 60.0) -> None:
        """Stop the server in good order; killed when that takes longer than `timeout` seconds."""
        self._process.end(signal.SIGTERM, timeout=timeout)

    def kill(self) -> None:
        """Kill the server with signal 9."""
        self._process.kill()

    def restart(self) -> None:
        """Stop and start, on the same port."""
        self.stop()
        self.start()

    def hold(self) -> None:
        """Let the server stand still, connections open: to a client it is deaf and mute."""
        self._process.hold()

    def go_on(self) -> None:
        """End `hold`."""
        self._process.go_on()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_settings(self) -> None:
        settings = {
            **self.programs.places(),
            "datadir": str(self.data_dir),
            "socket": str(self.socket_file),
            "pid_file": str(self.folder / "pid"),
            "port": str(self.port),
            "server_id": str(self.port),
            **({"user": "root"} if os.geteuid() == 0 else {}),
            **self.settings,
        }
        lines = [f'{name}="{value}"' if value or name == "secure_file_priv" else name
                 for name, value in settings.items()]  # fmt: skip
        (self.folder / "my.cnf").write_text("\n".join(["[mysqld]", *lines, ""]))

    def _launch(self, deadline: float) -> str | None:
        """Start the server; return None when it is ready, else what it said."""
        command = [str(self.programs.server), f"--defaults-file={self.folder / 'my.cnf'}"]
        begin = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._process.launch(command, self.log_file, cwd="/", env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"})
        while not self._ready():
            if not self.running or time.monotonic() > deadline:
                self.kill()
                return self.log_file.read_bytes()[begin:].decode(errors="replace")
            time.sleep(0.05)
        return None

    def _ready(self) -> bool:
        try:
            self.connect().close()
        except (OSError, pymysql.err.OperationalError):
            return False
        return True
