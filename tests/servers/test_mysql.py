"""The MySQL and MariaDB servers that the tests run on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pymysql
import pytest

from servers.mysql import MysqlDatabase, StartMysql
from servers.mysql_programs import PASSWORD, USER, Flavour
from servers.mysql_server import MysqlServer
from tailrace.errors import Fatal


def test_each_test_has_a_fresh_database_whose_changes_reach_the_binlog(binlog_database: MysqlDatabase) -> None:
    rows = binlog_database.execute(
        "CREATE TABLE only_here (id int)",
        "SELECT database(), @@log_bin, @@binlog_format, @@binlog_row_metadata, @@binlog_row_image",
    )
    assert rows == ((binlog_database.name, 1, "ROW", "FULL", "FULL"),)
    version = str(binlog_database.execute("SELECT version()")[0][0])
    assert version.startswith({"mysql": "9.7.", "mariadb": "10.11."}[binlog_database.flavour])
    assert ("MariaDB" in version) == (binlog_database.flavour == "mariadb")


def test_a_server_keeps_port_and_data_over_restarts_and_kills(binlog_server: MysqlServer) -> None:
    port = binlog_server.port
    binlog_server.execute("CREATE DATABASE d", "CREATE TABLE d.kept AS SELECT 1 AS id")
    for bring_down in (binlog_server.stop, binlog_server.kill):
        bring_down()
        with pytest.raises(OSError):
            binlog_server.connect()
        binlog_server.start()
        assert binlog_server.port == port
        assert binlog_server.execute("SELECT id FROM d.kept") == ((1,),)


def test_the_user_of_the_url_gets_in_by_tcp_and_may_replicate(binlog_database: MysqlDatabase) -> None:
    server = binlog_database.server
    with pymysql.connect(
        host="127.0.0.1", port=server.port, user=USER, password=PASSWORD.encode(), database=binlog_database.name
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute("SHOW GRANTS")
        grants = " ".join(row[0] for row in cursor.fetchall())
    assert "REPLICATION SLAVE" in grants
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        pymysql.connect(host="127.0.0.1", port=server.port, user=USER, password="wrong")


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_settings_are_obeyed_and_two_servers_differ(start_mysql: StartMysql, flavour: Flavour) -> None:
    first, second = (start_mysql(flavour, binlog_row_image="MINIMAL") for _ in range(2))
    identity = "@@server_uuid" if flavour == "mysql" else "@@server_id"
    answers = [server.execute(f"SELECT @@binlog_row_image, {identity}")[0] for server in (first, second)]
    assert [answer[0] for answer in answers] == ["MINIMAL", "MINIMAL"]
    assert answers[0][1] != answers[1][1]


def test_a_server_that_is_held_still_says_nothing_until_it_goes_on(binlog_server: MysqlServer) -> None:
    connection = binlog_server.connect(read_timeout=1)
    binlog_server.hold()
    with pytest.raises(pymysql.err.OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    binlog_server.go_on()
    assert binlog_server.execute("SELECT 1") == ((1,),)


def test_a_server_that_cannot_start_says_why(start_mysql: StartMysql) -> None:
    with pytest.raises(Fatal, match="no_such_setting"):
        start_mysql(no_such_setting="1")


def test_a_server_ends_with_the_process_that_started_it(mariadb: MysqlDatabase) -> None:
    script = (
        "import time; from servers.mysql import require; from servers.mysql_server import MysqlServer\n"
        "server = MysqlServer(require('mariadb')); server.start()\n"
        "print(server.pid, flush=True); time.sleep(120)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
