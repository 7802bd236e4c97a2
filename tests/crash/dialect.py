"""What the writers need of a database: its statements, its connections, and which of its errors they are to expect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import psycopg
from psycopg import errors, sql

from crash.tables import BULK_KEYS, SCHEMA, TABLES, CrashTable


class Writing(Protocol):
    """A writer's connection, autocommitting outside of transactions."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> object:
        """Run one statement; `%s` stands for each value."""

    def execute_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for each row of values."""

    def transaction(self) -> AbstractContextManager[object]:
        """A transaction or, inside one, a savepoint; what is raised in it rolls it back."""
        ...


class Dialect(Protocol):
    """One kind of database. `lost` are errors that end a connection, `refused` those that end a transaction."""

    tables: Sequence[CrashTable]
    lost: tuple[type[Exception], ...]
    refused: tuple[type[Exception], ...]

    def connect(self, dsn: str) -> AbstractContextManager[Writing]: ...

    def insert(self, table: CrashTable) -> str: ...

    def upsert(self, table: CrashTable) -> str: ...

    def twin(self, verb: str) -> str:
        """Return a statement that begins with `verb` and is for one row of `twins` whose a is given."""
        ...

    def quiet(self, connection: Writing) -> None:
        """Let the transaction take no lock for each key."""

    def bulk(self, connection: Writing, rows: int, number: int) -> None:
        """Insert `rows` accounts, then change a tenth of them."""


class PostgresWriting:
    """psycopg's connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.transaction = connection.transaction

    def execute(self, statement: str, values: Sequence[object] = ()) -> object:
        return self._connection.execute(sql.SQL(statement), values or None)

    def execute_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(sql.SQL(statement), rows)


class PostgresDialect:
    """Postgres."""

    tables: Sequence[CrashTable] = TABLES
    lost: tuple[type[Exception], ...] = (psycopg.OperationalError,)
    refused: tuple[type[Exception], ...] = (errors.DeadlockDetected, errors.LockNotAvailable, errors.UniqueViolation)

    @contextmanager
    def connect(self, dsn: str) -> Iterator[Writing]:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            writing = PostgresWriting(connection)
            writing.execute("SET lock_timeout = '2s'")
            yield writing

    def insert(self, table: CrashTable) -> str:
        conflict = "" if table.keyless else " ON CONFLICT DO NOTHING"
        return f"INSERT INTO {SCHEMA}.{table.name} VALUES ({places(table)}){conflict}"

    def upsert(self, table: CrashTable) -> str:
        assignments = ", ".join(f"{name} = excluded.{name}" for name in table.names if name not in table.key)
        conflict = f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {assignments}"
        return f"INSERT INTO {SCHEMA}.{table.name} VALUES ({places(table)}) {conflict}"

    def twin(self, verb: str) -> str:
        chosen = f"SELECT ctid FROM {SCHEMA}.twins WHERE a = %s LIMIT 1 FOR UPDATE SKIP LOCKED"
        return f"{verb} WHERE ctid = ({chosen})"

    def quiet(self, connection: Writing) -> None:
        connection.execute("SET LOCAL crash.bulk = 'on'")

    def bulk(self, connection: Writing, rows: int, number: int) -> None:
        first = BULK_KEYS + number * 10_000_000
        connection.execute(
            f"INSERT INTO {SCHEMA}.accounts SELECT n, 'bulk ' || n, n %% 1000, true, 0, 0, 0"
            " FROM generate_series(%s::bigint, %s) n",
            [first, first + rows - 1],
        )
        connection.execute(
            f"UPDATE {SCHEMA}.accounts SET balance = balance + 1 WHERE id >= %s AND id < %s",
            [first, first + rows // 10],
        )


def places(table: CrashTable) -> str:
    """Return a place for each column's value."""
    return ", ".join(["%s"] * len(table.names))
