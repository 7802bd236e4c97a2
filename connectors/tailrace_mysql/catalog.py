"""What the server says of its tables now: which are captured, and how each is declared.

It is asked before the stream begins and for each chunk of the snapshot, never for what the stream tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.errors import Fatal
from tailrace_mysql.altered import created
from tailrace_mysql.connection import Connection, identifier, literal
from tailrace_mysql.ddl import CreateTable, read_ddl
from tailrace_mysql.declaration import DeclaredDatabase, DeclaredTable
from tailrace_mysql.selection import Selection
from tailrace_mysql.statement import Dialect, UnreadDdl

_TABLES = """
SELECT table_schema, table_name, COALESCE(table_rows, 0) FROM information_schema.tables
 WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_schema NOT IN {system}
 ORDER BY table_schema, table_name
"""
_DATABASES = """
SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata
 WHERE schema_name NOT IN {system}
"""
_SYSTEM = "('mysql', 'information_schema', 'performance_schema', 'sys')"


@dataclass(frozen=True, slots=True)
class ListedTable:
    """A table that is captured. `estimate` is how many rows the server guesses it has."""

    database: str
    name: str
    estimate: int

    @property
    def id(self) -> str:
        """The table's name in configurations and messages."""
        return f"{self.database}.{self.name}"


class Catalog:
    """Asks on a connection of its own."""

    def __init__(self, connection: Connection, selection: Selection, dialect: Dialect) -> None:
        self._connection = connection
        self._selection = selection
        self._dialect = dialect

    def tables(self) -> Sequence[ListedTable]:
        """Return the tables that are captured, by name."""
        rows = self._connection.query(_TABLES.format(system=_SYSTEM))
        listed = (ListedTable(database or "", name or "", int(count or 0)) for database, name, count in rows)
        return [table for table in listed if self._selection.captures(table.database, table.name)]

    def databases(self) -> Sequence[DeclaredDatabase]:
        """Return all databases with what tables that are made in them get."""
        rows = self._connection.query(_DATABASES.format(system=_SYSTEM))
        return [DeclaredDatabase(name or "", charset or "utf8mb4", collation) for name, charset, collation in rows]

    def declared(self, database: str, name: str) -> DeclaredTable | None:
        """Return a table as it is declared now, None where there is none; raises `Fatal` where that cannot be read."""
        if not self._connection.query(
            "SELECT 1 FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') "
            f"AND table_schema = {literal(database)} AND table_name = {literal(name)}"
        ):
            return None
        sql = self._connection.one(f"SHOW CREATE TABLE {identifier(database)}.{identifier(name)}")[1] or ""
        try:
            statement = read_ddl(sql, self._dialect)
            if isinstance(statement, CreateTable):
                return created(statement, DeclaredDatabase(database, "utf8mb4"))
        except UnreadDdl as error:
            raise Fatal(
                f"table {database}.{name}: what SHOW CREATE TABLE says cannot be read: {error.message}",
                hint="leave the table out with `exclude`, or upgrade Tailrace",
            ) from error
        return None
