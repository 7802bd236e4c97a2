"""DDL while the stream runs: rows before and after it, the schema history over a crash, the schema-change topic."""

from __future__ import annotations

from typing import Any, cast

from databases.mysql.driven import Driven
from servers.mysql import MysqlDatabase
from tailrace.event import Message
from tailrace_mysql.history import history_topic


def test_ddl_is_followed_kept_and_told(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, a varchar(9))", "INSERT INTO t VALUES (1, 'x')")
    with Driven(binlog_database) as capture:
        capture.open().catch_up()
        binlog_database.execute(
            "INSERT INTO t VALUES (2, 'y'), (3, 'z')",
            "ALTER TABLE t ADD b int DEFAULT 5 COMMENT 'five' AFTER id",
            "UPDATE t SET id = 30, b = 6 WHERE id = 3",
        )
        capture.reopen().catch_up()
        binlog_database.execute(
            "CREATE TABLE _t LIKE t", "RENAME TABLE t TO gone, _t TO t", "INSERT INTO t VALUES (9, 8, 'w')"
        )
        capture.reopen().catch_up()
        changes = [(c.op, dict(c.after or {}), c.moved) for c in capture.changes if c.table.id.endswith(".t")]
        assert changes == [
            ("r", {"id": 1, "a": "x"}, False),
            ("c", {"id": 2, "a": "y"}, False),
            ("c", {"id": 3, "a": "z"}, False),
            ("u", {"id": 30, "b": 6, "a": "z"}, True),
            ("c", {"id": 9, "b": 8, "a": "w"}, False),
        ]
        messages = [event for event in capture.events if isinstance(event, Message)]
    kept = [message for message in messages if message.topic == history_topic("shop")]
    assert [message.value["version"] for message in kept] == list(range(1, len(kept) + 1))
    told = [message for message in messages if message.topic == "shop"]
    kinds = [
        (change["type"], change["id"].split('"')[3])
        for message in told
        for change in cast("list[Any]", message.value["tableChanges"])
    ]
    assert kinds == [("ALTER", "t"), ("CREATE", "_t"), ("ALTER", "t"), ("ALTER", "gone")]
    source = cast("dict[str, Any]", told[0].value["source"])
    assert (source["db"], source["table"], source["connector"]) == (binlog_database.name, "t", binlog_database.flavour)
