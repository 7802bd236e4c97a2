"""Events of the schema-change topic, as Debezium's: what a DDL statement did to the tables that are captured.

    <topic> the prefix alone
    key     {"databaseName"}
    value   {"source", "ts_ms", "databaseName", "schemaName", "ddl", "tableChanges"}

A table change has the whole table as it is from then on, null for one that was dropped. Types are told by JDBC's
numbers. Source: Debezium's SchemaFactory, ConnectTableChangeSerializer, MySqlAntlrDdlParser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tailrace.event import Message
from tailrace.schema import Field, Schema, Value
from tailrace_mysql.ddl import AlterTable, CreateTable, DropTables, RenameTables
from tailrace_mysql.declaration import DeclaredColumn, DeclaredTable
from tailrace_mysql.history import Applied, Entry

_STRING = Schema("string")
_TEXT = Schema("string", optional=True)
_INT = Schema("int32")
_OPTIONAL_INT = Schema("int32", optional=True)
_FLAG = Schema("boolean", optional=True)
_TEXTS = Schema("array", items=_STRING, optional=True)
_PACKAGE = "io.debezium.connector.schema"

_COLUMN = Schema(
    "struct",
    f"{_PACKAGE}.Column",
    version=1,
    fields=(
        Field("name", _STRING),
        Field("jdbcType", _INT),
        Field("nativeType", _OPTIONAL_INT),
        Field("typeName", _STRING),
        Field("typeExpression", _TEXT),
        Field("charsetName", _TEXT),
        Field("length", _OPTIONAL_INT),
        Field("scale", _OPTIONAL_INT),
        Field("position", _INT),
        Field("optional", _FLAG),
        Field("autoIncremented", _FLAG),
        Field("generated", _FLAG),
        Field("comment", _TEXT),
        Field("defaultValueExpression", _TEXT),
        Field("enumValues", _TEXTS),
    ),
)
_TABLE = Schema(
    "struct",
    f"{_PACKAGE}.Table",
    version=1,
    optional=True,
    fields=(
        Field("defaultCharsetName", _TEXT),
        Field("primaryKeyColumnNames", _TEXTS),
        Field("columns", Schema("array", items=_COLUMN)),
        Field("comment", _TEXT),
    ),
)
_CHANGE = Schema(
    "struct",
    f"{_PACKAGE}.Change",
    version=1,
    fields=(Field("type", _STRING), Field("id", _STRING), Field("table", _TABLE)),
)

_JDBC: Mapping[str, int] = {
    "tinyint": 5, "smallint": 5, "mediumint": 4, "int": 4, "bigint": -5, "float": 6, "double": 8, "decimal": 3,
    "bit": -7, "year": 4, "date": 91, "time": 92, "datetime": 93, "timestamp": 2014, "char": 1, "varchar": 12,
    "tinytext": 12, "text": 12, "mediumtext": 12, "longtext": 12, "binary": -2, "varbinary": -3, "tinyblob": 2004,
    "blob": 2004, "mediumblob": 2004, "longblob": 2004, "enum": 1, "set": 1,
}  # fmt: skip
_OTHER = 1111


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as the stream met it: `source` are the values of the source block but database and tables."""

    ddl: str
    source: Mapping[str, Value]
    ts_ms: int
    """Now."""


class SchemaChanges:
    """Makes the events of one source, whose source block has the schema `source`."""

    def __init__(
        self,
        prefix: str,
        connector: Literal["mysql", "mariadb"],
        source: Schema,
        captures: Callable[[str, str], bool],
    ) -> None:
        self._topic = prefix
        self._captures = captures
        package = f"io.debezium.connector.{connector}"
        self._key = Schema("struct", f"{package}.SchemaChangeKey", version=1, fields=(Field("databaseName", _STRING),))
        self._value = Schema(
            "struct",
            f"{package}.SchemaChangeValue",
            version=1,
            fields=(
                Field("source", source),
                Field("ts_ms", Schema("int64")),
                Field("databaseName", _TEXT),
                Field("schemaName", _TEXT),
                Field("ddl", _TEXT),
                Field("tableChanges", Schema("array", items=_CHANGE)),
            ),
        )

    def events(self, statement: Statement, applied: Applied) -> Sequence[Message]:
        """Return the event for a statement; none where it concerns nothing that is captured."""
        told = [entry for entry in applied.entries if entry.table and self._captures(entry.database, entry.table)]
        databases = [entry.database for entry in applied.entries if entry.table is None]
        if not told and not databases:
            return []
        database = databases[0] if databases else told[0].database
        tables = ",".join(dict.fromkeys(entry.table or "" for entry in told)) or None
        value: dict[str, Value] = {
            "source": {**statement.source, "db": database, "table": tables},
            "ts_ms": statement.ts_ms,
            "databaseName": database,
            "schemaName": None,
            "ddl": statement.ddl,
            "tableChanges": self._changes(told, applied),
        }
        return [Message(self._topic, self._key, {"databaseName": database}, self._value, value)]

    @staticmethod
    def _changes(told: Sequence[Entry], applied: Applied) -> list[Value]:
        kind = "CREATE" if isinstance(applied.statement, CreateTable) else "ALTER"
        renames = isinstance(applied.statement, RenameTables | AlterTable)
        arrived = {(entry.was.database, entry.was.name) for entry in told if entry.was is not None and entry.state}
        changes: list[Value] = []
        # Where tables swap their names, one comes under a name that another one just left.
        for entry in {(entry.database, entry.table): entry for entry in told}.values():
            table = entry.state if isinstance(entry.state, DeclaredTable) else None
            if table is None and renames and (entry.database, entry.table) in arrived:
                continue  # it goes on under another name
            dropped = table is None and (isinstance(applied.statement, DropTables) or not applied.unread)
            changes.append({
                "type": "DROP" if dropped else kind,
                "id": f'"{entry.database}"."{entry.table}"',
                "table": None if table is None else _table(table),
            })  # fmt: skip
        return changes


def _table(table: DeclaredTable) -> dict[str, Value]:
    return {
        "defaultCharsetName": table.charset,
        "primaryKeyColumnNames": list(table.primary_key),
        "columns": [_column(column, position) for position, column in enumerate(table.columns, 1)],
        "comment": table.comment or None,
    }


def _column(column: DeclaredColumn, position: int) -> dict[str, Value]:
    name = column.type.upper() + " UNSIGNED" * column.unsigned + " ZEROFILL" * column.zerofill
    return {
        "name": column.name,
        "jdbcType": _JDBC.get(column.type, _OTHER),
        "nativeType": None,
        "typeName": name,
        "typeExpression": name,
        "charsetName": column.charset,
        "length": 1 if column.type == "enum" else column.length or None,
        "scale": column.scale,
        "position": position,
        "optional": column.nullable,
        "autoIncremented": column.auto_increment,
        "generated": column.auto_increment or bool(column.generated),
        "comment": column.comment or None,
        "defaultValueExpression": None if column.default is None else column.default.text,
        "enumValues": ["'" + member.replace("'", "''") + "'" for member in column.members],
    }
