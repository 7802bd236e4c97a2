"""The schema-change topic: one event for each statement that concerns captured tables."""

from __future__ import annotations

import json
from typing import Any, cast

from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry import Registry
from tailrace.event import Message
from tailrace.schema import Field, Schema
from tailrace.source import SourceConfig
from tailrace_mysql.history import History
from tailrace_mysql.schema_change import SchemaChanges, Statement
from tailrace_mysql.statement import Dialect
from unit.codec.numbers import Numbers

SOURCE = Schema(
    "struct",
    "io.debezium.connector.mysql.Source",
    fields=(
        Field("file", Schema("string")),
        Field("db", Schema("string")),
        Field("table", Schema("string", optional=True)),
    ),
)


class Told:
    """The events of statements, one after the other."""

    def __init__(self) -> None:
        self.history = History("shop")
        self.changes = SchemaChanges("shop", "mysql", SOURCE, lambda database, table: not table.startswith("_"))

    def __call__(self, ddl: str) -> list[Message]:
        applied = self.history.apply(ddl, "shop", Dialect())
        return list(self.changes.events(Statement(ddl, {"file": "binlog.1"}, 5), applied))

    def kinds(self, ddl: str) -> list[tuple[str, str, bool]]:
        """Type, table and whether the table is told, of each change."""
        return [
            (change["type"], change["id"], change["table"] is not None)
            for message in self(ddl)
            for change in cast("list[Any]", message.value["tableChanges"])
        ]


def test_what_happens_to_captured_tables_is_told() -> None:
    told = Told()
    assert told.kinds("CREATE TABLE t (a int PRIMARY KEY)") == [("CREATE", '"shop"."t"', True)]
    assert told.kinds("ALTER TABLE t ADD b int") == [("ALTER", '"shop"."t"', True)]
    assert told.kinds("ALTER TABLE t COMMENT 'x', ENGINE = InnoDB") == [("ALTER", '"shop"."t"', True)]
    assert told.kinds("ALTER TABLE t ENGINE = InnoDB") == []
    assert told.kinds("RENAME TABLE t TO u") == [("ALTER", '"shop"."u"', True)]
    assert told.kinds("CREATE TABLE _u_gho LIKE u") == []
    assert told.kinds("RENAME TABLE u TO _u_del, _u_gho TO u") == [("ALTER", '"shop"."u"', True)]
    assert told.kinds("DROP TABLE u, _u_del") == [("DROP", '"shop"."u"', False)]
    assert told("DROP TABLE _u_del") == []
    assert told("INSERT INTO t VALUES (1)") == []
    assert [message.key for message in told("CREATE DATABASE other")] == [{"databaseName": "other"}]


def test_tables_are_told_column_by_column() -> None:
    (message,) = Told()(
        "CREATE TABLE t (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x',"
        " price decimal(10,2), state enum('a','b''c'), made timestamp(3) NULL, place point) CHARSET latin1 COMMENT 'c'"
    )
    assert message.value["source"] == {"file": "binlog.1", "db": "shop", "table": "t"}
    (change,) = cast("list[Any]", message.value["tableChanges"])
    table = change["table"]
    assert (table["defaultCharsetName"], table["primaryKeyColumnNames"], table["comment"]) == ("latin1", ["id"], "c")
    of = {column["name"]: column for column in table["columns"]}
    assert of["id"] | {"x": 0} == {
        "name": "id", "jdbcType": -5, "nativeType": None, "typeName": "BIGINT UNSIGNED",
        "typeExpression": "BIGINT UNSIGNED", "charsetName": None, "length": None, "scale": None, "position": 1,
        "optional": False, "autoIncremented": True, "generated": True, "comment": None, "defaultValueExpression": None,
        "enumValues": [], "x": 0,
    }  # fmt: skip
    assert (of["name"]["length"], of["name"]["charsetName"], of["name"]["defaultValueExpression"]) == (
        20,
        "latin1",
        "x",
    )
    assert (of["price"]["length"], of["price"]["scale"], of["price"]["jdbcType"]) == (10, 2, 3)
    assert of["state"]["enumValues"] == ["'a'", "'b''c'"]
    assert [of[name]["jdbcType"] for name in ("made", "place")] == [2014, 1111]


def test_events_can_be_encoded() -> None:
    told = Told()
    events = told("CREATE TABLE t (a int, b enum('x'))") + told("DROP TABLE t")
    for form in ("avro", "json"):
        config = SourceConfig.model_validate({"type": "mysql", "topic_prefix": "shop", "format": form})
        records = ChangeEncoder(cast("Registry", Numbers()), config).encode(events)
        assert [record.topic for record in records] == ["shop", "shop"]
    assert json.loads(records[1].value or b"")["tableChanges"][0]["type"] == "DROP"
