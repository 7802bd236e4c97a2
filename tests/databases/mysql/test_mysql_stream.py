"""The stream on real servers: transactions of every kind, resumed at every place, and what DDL does to it."""

from __future__ import annotations

import json

import pytest

from databases.mysql.driven import Driven
from databases.postgres.capture import folded
from servers.mysql import MysqlDatabase, StartMysql
from tailrace.errors import Fatal
from tailrace.event import Change


def rows(capture: Driven, table: str) -> dict[int, object]:
    """Return the folded column `v` by `id`."""
    kept = folded(capture).rows.get(f"{capture.database.name}.{table}", {})
    return {row["id"]: row["v"] for row in kept.values()}


def test_a_transaction_is_resumed_at_each_of_its_rows(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "CREATE TABLE other (id int)")
    with Driven(binlog_database, snapshot="never", batch_changes=1) as capture:
        capture.open().catch_up()
        with binlog_database.connect(autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
            cursor.execute("INSERT INTO other VALUES (1), (2)")
            cursor.execute("UPDATE t SET v = v * 10")
            cursor.execute("DELETE FROM t WHERE id = 2")
            connection.commit()
        seen: list[object] = []
        while len(capture.changes) < 9:
            capture.one_batch()
            capture.crash()
            capture.open()
            if capture.position is not None:
                seen.append(capture.position["ordinal"])
        capture.catch_up()
        assert rows(capture, "t") == {1: 10, 3: 30}
        assert [change.op for change in capture.changes] == ["c"] * 5 + ["u"] * 3 + ["d"]
    assert set(range(1, 9)) <= set(seen)


def test_places_resume_where_there_are_no_gtids(start_mysql: StartMysql) -> None:
    server = start_mysql("mysql", gtid_mode="OFF", enforce_gtid_consistency="OFF")
    server.execute("CREATE DATABASE d")
    database = MysqlDatabase(server, "d")
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1), (2, 2)")
    with Driven(database, batch_changes=1, chunk_rows=1) as capture:
        capture.open().catch_up()
        database.execute("INSERT INTO t VALUES (3, 3), (4, 4)", "FLUSH BINARY LOGS", "UPDATE t SET v = v + 1")
        while len(capture.changes) < 8:
            capture.one_batch()
            capture.crash()
            capture.open()
        capture.catch_up()
        assert rows(capture, "t") == {1: 2, 2: 3, 3: 4, 4: 5}
        database.execute("INSERT INTO t VALUES (5, 5)", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
        last = str(database.execute("SHOW BINARY LOGS")[-1][0])
        database.execute(f"PURGE BINARY LOGS TO '{last}'")
        capture.crash()
        with pytest.raises(Fatal, match=r"binlog file binlog\.0+\d is gone"):
            capture.open()
        assert capture.position is not None
        capture.position = {**capture.position, "server": "another"}
        with pytest.raises(Fatal, match="is one of server another"):
            capture.open()


def test_purged_transactions_are_named(start_mysql: StartMysql) -> None:
    server = start_mysql("mysql")
    server.execute("CREATE DATABASE d")
    database = MysqlDatabase(server, "d")
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    with Driven(database, snapshot="never") as capture:
        capture.open().catch_up()
        database.execute("INSERT INTO t VALUES (1, 1)")
        capture.run(lambda: len(capture.changes) == 1)
        capture.crash()
        database.execute("INSERT INTO t VALUES (2, 1)", "FLUSH BINARY LOGS")
        database.execute(f"PURGE BINARY LOGS TO '{database.execute('SHOW BINARY LOGS')[-1][0]}'")
        with pytest.raises(Fatal, match=r"has purged transactions that were not read: [0-9a-f-]{36}:") as purged:
            capture.open()
        assert "offsets reset" in purged.value.hint


def test_xa_branches_count_when_they_are_committed(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    with Driven(binlog_database, snapshot="never", batch_changes=1) as capture:
        capture.open().catch_up()
        for xid, number in (("kept", 1), ("undone", 2)):
            binlog_database.execute(
                f"XA START '{xid}'", f"INSERT INTO t VALUES ({number}, 0), ({number} + 10, 0)", f"XA END '{xid}'",
                f"XA PREPARE '{xid}'",
            )  # fmt: skip
        binlog_database.execute("INSERT INTO t VALUES (5, 0)")
        capture.reopen()
        assert capture.told("t") == [("c", {"id": 5, "v": 0})]
        assert capture.position is not None
        assert len(capture.position["branches"]) == 2  # type: ignore[arg-type]
        binlog_database.execute("XA ROLLBACK 'undone'", "XA COMMIT 'kept'", "INSERT INTO t VALUES (6, 0)")
        while len(capture.changes) < 4:
            capture.one_batch()
            capture.crash()
            capture.open()
        capture.catch_up()
        assert [row["id"] for _, row in capture.told("t")] == [5, 1, 11, 6]
        assert capture.position["branches"] == []


def test_savepoints_and_tables_without_transactions(binlog_database: MysqlDatabase) -> None:
    engine = "MyISAM"
    binlog_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int)", f"CREATE TABLE plain (id int PRIMARY KEY, v int) ENGINE {engine}"
    )
    with Driven(binlog_database, snapshot="never") as capture:
        capture.open().catch_up()
        with binlog_database.connect(autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO t VALUES (1, 1)")
            cursor.execute("SAVEPOINT a")
            cursor.execute("INSERT INTO t VALUES (2, 1)")
            cursor.execute("ROLLBACK TO a")
            cursor.execute("INSERT INTO t VALUES (3, 1)")
            connection.commit()
            cursor.execute("INSERT INTO plain VALUES (1, 1)")
            connection.commit()
            cursor.execute("INSERT INTO t VALUES (4, 1)")
            connection.rollback()
            cursor.execute("INSERT INTO plain VALUES (2, 1)")
            connection.rollback()
        capture.reopen()
        assert rows(capture, "t") == {1: 1, 3: 1}
        assert rows(capture, "plain") == {1: 1, 2: 1}


def test_ddl_between_rows(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    with Driven(binlog_database) as capture:
        capture.open().catch_up()
        binlog_database.execute(
            "INSERT INTO t VALUES (1, 1)", "ALTER TABLE t ADD COLUMN w varchar(10) DEFAULT 'x' AFTER id",
            "INSERT INTO t VALUES (2, 'y', 2)", "ALTER TABLE t DROP COLUMN v, ADD COLUMN v bigint",
            "UPDATE t SET v = 7 WHERE id = 1", "CREATE TABLE made (id int PRIMARY KEY, v int)",
            "INSERT INTO made VALUES (1, 1)", "TRUNCATE TABLE made", "INSERT INTO made VALUES (2, 2)", "DROP TABLE t",
        )  # fmt: skip
        capture.run(lambda: len(capture.told("made")) == 3)
        told = capture.told("t")
        assert told[0] == ("c", {"id": 1, "v": 1})
        assert told[1] == ("c", {"id": 2, "w": "y", "v": 2})
        assert told[2] == ("u", {"id": 1, "w": "x", "v": 7})
        assert capture.told("made") == [("c", {"id": 1, "v": 1}), ("t", None), ("c", {"id": 2, "v": 2})]


def test_a_migration_by_renames_keeps_the_stream_whole(binlog_database: MysqlDatabase) -> None:
    name = binlog_database.name
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1), (2, 2)")
    with Driven(binlog_database, exclude=[f"{name}._*"]) as capture:
        capture.open().catch_up()
        binlog_database.execute(
            "CREATE TABLE _t_gho LIKE t", "ALTER TABLE _t_gho ADD COLUMN w int NOT NULL DEFAULT 5, DROP COLUMN v, "
            "ADD COLUMN v bigint", "INSERT INTO _t_gho (id, v) SELECT id, v FROM t", "UPDATE t SET v = 3 WHERE id = 1",
            "REPLACE INTO _t_gho (id, v) SELECT id, v FROM t WHERE id = 1",
            "RENAME TABLE t TO _t_del, _t_gho TO t", "UPDATE t SET v = 9 WHERE id = 2", "DROP TABLE _t_del",
            "INSERT INTO t (id, v) VALUES (3, 3)",
        )  # fmt: skip
        capture.reopen()
        assert rows(capture, "t") == {1: 3, 2: 9, 3: 3}
        assert capture.told("t")[-1] == ("c", {"id": 3, "w": 5, "v": 3})
        assert {change.table.id for change in capture.changes} == {f"{name}.t"}


def test_positions_and_source_blocks(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    with Driven(binlog_database, snapshot="never") as capture:
        capture.open().catch_up()
        binlog_database.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
        capture.run(lambda: len(capture.changes) == 2)
        blocks = [block(change) for change in capture.changes]
        assert [found["row"] for found in blocks] == [0, 1]
        assert blocks[0]["pos"] == blocks[1]["pos"]
        assert (blocks[0]["db"], blocks[0]["table"]) == (binlog_database.name, "t")
        assert blocks[0]["connector"] == binlog_database.flavour
        assert json.loads(json.dumps(capture.position)) == capture.position
        binlog_database.execute("FLUSH BINARY LOGS")
        before = capture.position
        capture.run(lambda: capture.position != before)  # an idle binlog moves the position too


def block(change: Change) -> dict[str, object]:
    names = [field.name for field in change.table.source.fields]
    return dict(zip(names, change.origin.source_block(change), strict=True))
