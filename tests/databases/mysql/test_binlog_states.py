"""What a binlog can be like that few servers' is: encrypted, compressed in XA, without names, with a gap in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from databases.mysql.driven import Driven
from servers import mysql
from servers.mysql import MysqlDatabase, StartMysql
from servers.mysql_keyring import KeyringPrograms
from servers.mysql_programs import Flavour
from servers.mysql_server import MysqlServer
from tailrace.errors import Fatal

pytestmark = [pytest.mark.mysql]


@pytest.fixture(params=mysql.FLAVOURS)
def encrypting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MysqlServer]:
    """A server that encrypts its binlog."""
    found = mysql.require(request.param)
    if found.flavour == "mysql":
        with MysqlServer(KeyringPrograms(found, tmp_path), {"binlog_encryption": "ON"}) as server:
            yield server
        return
    keys = tmp_path / "keys"
    keys.write_text("1;" + "a5" * 32 + "\n")
    settings = {"plugin_load_add": "file_key_management", "file_key_management_filename": str(keys)}
    with MysqlServer(found, {**settings, "encrypt_binlog": "ON"}) as server:
        yield server


def test_encryption_at_rest_is_none_of_ours(encrypting: MysqlServer) -> None:
    server = encrypting
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY, v varchar(40))")
    with Driven(MysqlDatabase(server, "d")) as capture:
        capture.open().catch_up()
        server.execute("INSERT INTO d.t VALUES (1, 'in no file as it is')", "FLUSH BINARY LOGS")
        server.execute("UPDATE d.t SET v = 'nor this' WHERE id = 1")
        capture.run(lambda: len(capture.changes) == 2)
        assert capture.told("t") == [("c", {"id": 1, "v": "in no file as it is"}), ("u", {"id": 1, "v": "nor this"})]
    assert not any(b"in no file as it is" in path.read_bytes() for path in server.data_dir.glob("binlog.0*"))


def test_a_gap_that_the_server_tells_of_stops_the_task(start_mysql: StartMysql) -> None:
    # A statement on a table without transactions that does not fit into the cache has happened, and cannot be told.
    server = start_mysql("mysql", binlog_stmt_cache_size="4096", max_binlog_stmt_cache_size="4096")
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int, v varchar(4000)) ENGINE = MyISAM")
    with Driven(MysqlDatabase(server, "d"), snapshot="never") as capture:
        capture.open().catch_up()
        server.execute("INSERT INTO d.t VALUES (1, 'before')")
        capture.run(lambda: len(capture.changes) == 1)
        rows = ", ".join(f"({n}, REPEAT('x', 4000))" for n in range(40))
        with server.connect("d") as connection, connection.cursor() as cursor, pytest.raises(Exception, match="cache"):
            cursor.execute(f"INSERT INTO t VALUES {rows}")
        with pytest.raises(Fatal, match=r"binlog binlog\.0+\d at \d+: the server left something out, 1") as stopped:
            capture.run(lambda: len(capture.changes) == 41)
        assert "offsets reset" in stopped.value.hint
        assert [row["id"] for _, row in capture.told("t")] == [1]


def test_a_compressed_branch_counts_when_it_is_committed(start_mysql: StartMysql) -> None:
    server = start_mysql("mysql", binlog_transaction_compression="ON")
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY, v int)")
    with Driven(MysqlDatabase(server, "d"), snapshot="never", batch_changes=1) as capture:
        capture.open().catch_up()
        for branch, end in (("a", "COMMIT"), ("b", "ROLLBACK")):
            server.execute(
                f"XA START '{branch}'", f"INSERT INTO d.t VALUES ({ord(branch)}, 1), ({ord(branch) + 100}, 1)",
                f"XA END '{branch}'", f"XA PREPARE '{branch}'",
            )  # fmt: skip
            server.execute(f"XA {end} '{branch}'")
        server.execute("INSERT INTO d.t VALUES (1, 1)")
        capture.run(lambda: len(capture.changes) == 3)
        assert [(op, row["id"]) for op, row in capture.told("t")] == [("c", 97), ("c", 197), ("c", 1)]


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_without_names_in_the_binlog_the_history_tells_them(start_mysql: StartMysql, flavour: Flavour) -> None:
    metadata = "MINIMAL" if flavour == "mysql" else "NO_LOG"
    server = start_mysql(flavour, binlog_row_metadata=metadata)
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY, e enum('a', 'b') NOT NULL)")
    with Driven(MysqlDatabase(server, "d"), batch_changes=1) as capture:
        server.execute("INSERT INTO d.t VALUES (1, 'a')")
        capture.open().catch_up()
        # All of it is in the binlog before any of it is read: the catalogue knows the last shape alone.
        server.execute(
            "INSERT INTO d.t VALUES (2, 'b')", "ALTER TABLE d.t ADD n int unsigned FIRST, RENAME COLUMN e TO f",
            "INSERT INTO d.t VALUES (4294967295, 3, 'a')", "ALTER TABLE d.t MODIFY f enum('z', 'a', 'b') NOT NULL",
            "INSERT INTO d.t VALUES (NULL, 4, 'z')", "ALTER TABLE d.t DROP COLUMN n", "INSERT INTO d.t VALUES (5, 'b')",
        )  # fmt: skip
        while len(capture.changes) < 5:
            capture.one_batch()
            capture.crash()
            capture.open()
        assert capture.told("t") == [
            ("r", {"id": 1, "e": "a"}), ("c", {"id": 2, "e": "b"}), ("c", {"n": 4294967295, "id": 3, "f": "a"}),
            ("c", {"n": None, "id": 4, "f": "z"}), ("c", {"id": 5, "f": "b"}),
        ]  # fmt: skip
        # What was done behind the binlog's back does not fit what the history says.
        server.execute("SET sql_log_bin = 0", "ALTER TABLE d.t ADD secret int")
        server.execute("INSERT INTO d.t VALUES (6, 'a', 1)")
        with pytest.raises(Fatal, match="the schema history does not fit it"):
            capture.run(lambda: len(capture.changes) == 6)


def test_rows_that_go_without_an_event_are_warned_of(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id) "
        "(PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN (20))",
        "CREATE TABLE other (id int PRIMARY KEY)",
    )
    with Driven(binlog_database, snapshot="never") as capture, capture_logs() as logs:
        capture.open().catch_up()
        binlog_database.execute(
            "INSERT INTO t VALUES (1), (11)", "ALTER TABLE t TRUNCATE PARTITION p1", "INSERT INTO other VALUES (12)",
            "ALTER TABLE t EXCHANGE PARTITION p2 WITH TABLE other", "ALTER TABLE t DROP  PARTITION p2",
            "ALTER TABLE t COMMENT 'as it was'", "INSERT INTO t VALUES (2)",
        )  # fmt: skip
        capture.run(lambda: len(capture.changes) == 4)
    told = [(entry["table"], entry["by"]) for entry in logs if entry["event"] == "rows came or went without an event"]
    kinds = ("TRUNCATE PARTITION", "EXCHANGE PARTITION", "DROP PARTITION")
    assert told == [(f"{binlog_database.name}.t", kind) for kind in kinds]
