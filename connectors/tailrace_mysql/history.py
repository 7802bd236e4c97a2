"""The schema history: how every table was declared, at each place of the binlog.

`History` holds the tables as of the place where the stream stands; `apply` takes a DDL statement, and returns what
became of the tables that it touched. Each of these goes into a topic of its own, in the order of the stream and so in
one commit with the position: read again up to the version that the position names, the topic gives the state at that
position.

    <topic> __tailrace-schema-history.<connector>
    key     {"connector"}
    value   {"version", "database", "table", "state", "ddl", "ts_ms"}

`state` is JSON (`declaration`): null for what is gone or can no longer be told, a database's where `table` is null. A
version that comes a second time says that the position was set back: what followed it before counts no longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from tailrace.errors import Fatal
from tailrace.event import Message
from tailrace.schema import Field, Schema, Value
from tailrace.source import Recalled
from tailrace_mysql.altered import altered, created, renamed, resolved
from tailrace_mysql.clause import Name
from tailrace_mysql.ddl import (
    AlterTable,
    CreateTable,
    Ddl,
    DropDatabase,
    DropTables,
    RenameTables,
    SetDatabase,
    read_ddl,
    table_named,
)
from tailrace_mysql.declaration import (
    DeclaredDatabase,
    DeclaredTable,
    database_json,
    database_of,
    table_json,
    table_of,
)
from tailrace_mysql.statement import Dialect, UnreadDdl

_KEY = Schema("struct", "io.tailrace.mysql.SchemaHistoryKey", version=1, fields=(Field("connector", Schema("string")),))
_TEXT = Schema("string", optional=True)
_VALUE = Schema(
    "struct",
    "io.tailrace.mysql.SchemaHistory",
    version=1,
    fields=(
        Field("version", Schema("int64")),
        Field("database", Schema("string")),
        Field("table", _TEXT),
        Field("state", _TEXT),
        Field("ddl", _TEXT),
        Field("ts_ms", Schema("int64")),
    ),
)


def history_topic(connector: str) -> str:
    """Return the topic of a connector's schema history."""
    return f"__tailrace-schema-history.{connector}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one table, or with `table` None of a database: its `state`, None for gone or no longer known."""

    database: str
    table: str | None
    state: DeclaredTable | DeclaredDatabase | None
    was: DeclaredTable | None = None
    """The table before, under its name before."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a statement did: nothing where it concerns no table. `unread` says why its table is no longer known."""

    statement: Ddl | None
    entries: tuple[Entry, ...] = ()
    unread: UnreadDdl | None = None


class History:
    """Tables and databases by name, as of one place of the binlog.

    `lower_case_names`: the server's lower_case_table_names is not 0, and names are compared without their case.
    `charset` is the server's own, for databases that nothing is known of.
    """

    def __init__(self, connector: str, *, lower_case_names: bool = False, charset: str = "utf8mb4") -> None:
        self.version = 0
        """Counts entries; belongs into the position."""
        self._connector = connector
        self._lower = lower_case_names
        self._charset = charset
        self._tables: dict[tuple[str, str], DeclaredTable] = {}
        self._databases: dict[str, DeclaredDatabase] = {}

    @property
    def tables(self) -> Iterable[DeclaredTable]:
        """All tables that are known."""
        return self._tables.values()

    def table(self, database: str, name: str) -> DeclaredTable | None:
        """Return a table as it is declared here, None where it is not known."""
        return self._tables.get(self._key(database, name))

    def put(self, state: DeclaredTable | DeclaredDatabase) -> Entry:
        """Take over a table or database as it was found on the server."""
        if isinstance(state, DeclaredDatabase):
            return self._set_database(state)
        return self._set(state)

    def forget(self, database: str, name: str) -> Entry:
        """Drop a table: it is gone, or what is known of it is wrong."""
        was = self._tables.pop(self._key(database, name), None)
        return Entry(database, name, None, was)

    def apply(self, sql: str, database: str, dialect: Dialect) -> Applied:
        """Follow a statement that was carried out with `database` as the session's; never raises for its text."""
        statement: Ddl | None = None
        try:
            statement = read_ddl(sql, dialect)
            return Applied(statement, self._follow(statement, database))
        except UnreadDdl as error:
            return Applied(statement, self._lost(sql, database, dialect), error)

    def message(self, entry: Entry, ddl: str | None, ts_ms: int) -> Message:
        """Return the event that keeps an entry; counts it."""
        self.version += 1
        state = entry.state
        value: dict[str, Value] = {
            "version": self.version,
            "database": entry.database,
            "table": entry.table,
            "state": table_json(state) if isinstance(state, DeclaredTable) else database_json(state) if state else None,
            "ddl": ddl,
            "ts_ms": ts_ms,
        }
        return Message(history_topic(self._connector), _KEY, {"connector": self._connector}, _VALUE, value)

    def recall(self, records: Iterable[Recalled], version: int | None = None) -> None:
        """Become what `records` of the topic say, up to `version`; raises `Fatal` where they do not reach it."""
        kept: dict[int, Mapping[str, object]] = {}
        for record in records:
            value = cast("Mapping[str, object]", record.value)
            number = cast("int", value["version"])
            for later in [known for known in kept if known >= number]:
                del kept[later]
            kept[number] = value
        if version is not None and version not in kept and version > 0:
            raise Fatal(
                f"read {history_topic(self._connector)}: it has no version {version}, which the position names",
                hint="restore the log as a whole, or reset the connector's position for a new snapshot",
            )
        for number, value in kept.items():
            if version is None or number <= version:
                self._restore(value)
                self.version = number

    def _restore(self, value: Mapping[str, object]) -> None:
        database, table, state = str(value["database"]), value["table"], cast("str | None", value["state"])
        if table is None and state is None:
            self._databases.pop(self._fold(database), None)
        elif table is None:
            self._set_database(database_of(state or ""))
        elif state is None:
            self._tables.pop(self._key(database, str(table)), None)
        else:
            self._set(table_of(state))

    def _follow(self, statement: Ddl | None, database: str) -> tuple[Entry, ...]:
        entries: Iterable[Entry] = ()
        match statement:
            case CreateTable():
                entries = self._create(statement, database)
            case AlterTable():
                entries = self._alter(statement, database)
            case DropTables():
                names = [self._named(name, database) for name in statement.names]
                entries = [self.forget(*name) for name in names if self._key(*name) in self._tables]
            case RenameTables():
                for old, new in statement.pairs:
                    entries = [*entries, *self._rename(self._named(old, database), new, database)]
            case SetDatabase():
                entries = self._alter_database(statement, database)
            case DropDatabase():
                entries = self._drop_database(statement.name)
        return tuple(entries)

    def _create(self, statement: CreateTable, database: str) -> tuple[Entry, ...]:
        name = self._named(statement.name, database)
        if statement.if_not_exists and self._key(*name) in self._tables:
            return ()
        if statement.like is None:
            return (self._set(created(replace(statement, name=name), self._database(name[0]))),)
        model = self.table(*self._named(statement.like, database))
        if model is None:
            raise UnreadDdl(f"create {name[0]}.{name[1]}: the table that it is to be like is not known")
        return (self._set(renamed(model, name)),)

    def _alter(self, statement: AlterTable, database: str) -> tuple[Entry, ...]:
        name = self._named(statement.name, database)
        table = self.table(*name)
        if table is None:
            return ()  # a view, or nothing that was ever known; a TABLE_MAP that needs it will say so
        changed = altered(table, statement.alterations)
        entries: list[Entry] = []
        if changed != table:
            entries.append(self._set(changed))
        if statement.rename is not None:
            entries += self._rename(name, statement.rename, database or name[0])
        return tuple(entries)

    def _rename(self, old: tuple[str, str], new: Name, database: str) -> tuple[Entry, ...]:
        table = self.table(*old)
        target = self._named(new, database)
        if table is None:
            # Something that is not known takes the place of what was known under that name.
            return (self.forget(*target),) if self._key(*target) in self._tables else ()
        gone = self.forget(*old)
        return (gone, replace(self._set(renamed(table, target)), was=table))

    def _alter_database(self, statement: SetDatabase, database: str) -> tuple[Entry, ...]:
        name = statement.name or database
        dropped = self._drop_database(name) if statement.replaces else ()
        known = None if statement.creates else self._databases.get(self._fold(name))
        base = known or DeclaredDatabase(name, self._charset)
        charset, collation = resolved(statement.charset, base.charset, base.collation)
        return (*dropped, self._set_database(DeclaredDatabase(name, charset, collation)))

    def _drop_database(self, name: str) -> tuple[Entry, ...]:
        folded = self._fold(name)
        tables = [table for (database, _), table in self._tables.items() if database == folded]
        entries = [self.forget(table.database, table.name) for table in tables]
        if self._databases.pop(folded, None):
            entries.append(Entry(name, None, None))
        return tuple(entries)

    def _lost(self, sql: str, database: str, dialect: Dialect) -> tuple[Entry, ...]:
        """Forget the table of a statement that cannot be read."""
        try:
            name = table_named(sql, dialect)
        except UnreadDdl:
            return ()
        return (self.forget(*self._named(name, database)),) if name else ()

    def _set(self, table: DeclaredTable) -> Entry:
        key = self._key(table.database, table.name)
        was = self._tables.get(key)
        self._tables[key] = table
        return Entry(table.database, table.name, table, was)

    def _set_database(self, database: DeclaredDatabase) -> Entry:
        self._databases[self._fold(database.name)] = database
        return Entry(database.name, None, database)

    def _database(self, name: str) -> DeclaredDatabase:
        return self._databases.get(self._fold(name)) or DeclaredDatabase(name, self._charset)

    def _named(self, name: Name, database: str) -> tuple[str, str]:
        return name[0] or database, name[1]

    def _key(self, database: str, name: str) -> tuple[str, str]:
        return self._fold(database), self._fold(name)

    def _fold(self, name: str) -> str:
        return name.lower() if self._lower else name
