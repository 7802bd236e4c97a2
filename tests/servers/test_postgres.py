"""The servers that the tests and the demo run on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg
import pytest

from servers.postgres import Database, StartPostgres
from tailrace.demo.postgres import PostgresServer
from tailrace.errors import Fatal


def test_each_test_has_a_fresh_database_ready_for_logical_replication(postgres: Database) -> None:
    rows = postgres.execute(
        "CREATE TABLE only_here (id int)", "SELECT current_setting('wal_level'), current_database()"
    )
    assert rows == [("logical", postgres.name)]
    assert postgres.execute("SELECT current_setting('server_version_num')::int / 10000") == [(postgres.version,)]


def test_a_slot_left_behind_does_not_keep_the_database(postgres: Database) -> None:
    postgres.execute("SELECT pg_create_logical_replication_slot('left_behind', 'pgoutput')")
    assert postgres.execute("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == [(1,)]


def test_a_server_keeps_port_and_data_over_restarts_and_kills(postgres_server: PostgresServer) -> None:
    port = postgres_server.port
    with postgres_server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    ways: list[Callable[[], None]] = [
        postgres_server.stop,
        partial(postgres_server.stop, "immediate"),
        postgres_server.kill,
    ]
    for bring_down in ways:
        bring_down()
        with pytest.raises(psycopg.OperationalError):
            postgres_server.connect()
        postgres_server.start()
        assert postgres_server.port == port
        with postgres_server.connect() as connection:
            assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]


def test_settings_and_password_are_obeyed(start_postgres: StartPostgres) -> None:
    server = start_postgres(password="p'w /@:", wal_level="replica")
    with server.connect() as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("replica",)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.dsn(password="wrong"))


def test_a_server_that_cannot_start_says_why(start_postgres: StartPostgres) -> None:
    with pytest.raises(Fatal, match="unrecognized configuration parameter"):
        start_postgres(no_such_setting="1")


def test_a_server_ends_with_the_process_that_started_it(start_postgres: StartPostgres, tmp_path: Path) -> None:
    bin_dir = start_postgres().bin_dir
    script = (
        "import sys, time; from pathlib import Path; from tailrace.demo.postgres import PostgresServer\n"
        f"server = PostgresServer(Path({str(bin_dir)!r})); server.start()\n"
        "print(server.pid, server.data_dir, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        # The log goes to stdout in a bare script; the line of ours is the last one.
        line = next(line for line in owner.stdout if line.split()[0].isdigit() and len(line.split()) == 2)
        pid_file = Path(line.split()[1]) / "postmaster.pid"
        assert pid_file.exists()
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    deadline = time.monotonic() + 60
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not pid_file.exists()
