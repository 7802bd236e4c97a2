"""How the writers speak to MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pymysql.connections import Connection
from pymysql.cursors import Cursor
from pymysql.err import IntegrityError, InterfaceError, OperationalError

from crash.dialect import Writing, places
from crash.mysql_tables import MYSQL_TABLES
from crash.tables import BULK_KEYS, SCHEMA, CrashTable
from servers.mysql_server import MysqlServer

_LOCK_TIMEOUT, _DEADLOCK = 1205, 1213


class Refused(Exception):
    """A deadlock, a lock that was waited for too long, a key that is there."""


class Deadlock(Refused):
    """The server has rolled back the whole transaction."""


class MysqlWriting:
    """PyMySQL's connection."""

    def __init__(self, connection: Connection[Cursor]) -> None:
        self._connection = connection
        self._depth = 0

    def execute(self, statement: str, values: Sequence[object] = ()) -> object:
        try:
            with self._connection.cursor() as cursor:
                return cursor.execute(statement, values or None)
        except IntegrityError as taken:
            raise Refused from taken
        except OperationalError as error:
            if error.args[0] == _DEADLOCK:
                raise Deadlock from error
            if error.args[0] == _LOCK_TIMEOUT:
                raise Refused from error
            raise

    def execute_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        name = f"s{self._depth}"
        begin, commit, back = ("BEGIN", "COMMIT", "ROLLBACK") if not self._depth else (
            f"SAVEPOINT {name}", f"RELEASE SAVEPOINT {name}", f"ROLLBACK TO SAVEPOINT {name}"
        )  # fmt: skip
        self.execute(begin)
        self._depth += 1
        try:
            yield
        except BaseException as raised:
            self._depth -= 1
            if not (self._depth and isinstance(raised, Deadlock)):  # then the savepoint is gone as well
                with suppress(OperationalError, InterfaceError):
                    self.execute(back)
            raise
        self._depth -= 1
        self.execute(commit)


class MysqlDialect:
    """MySQL and MariaDB; connections go to `server`."""

    tables: Sequence[CrashTable] = MYSQL_TABLES
    lost: tuple[type[Exception], ...] = (OperationalError, InterfaceError, OSError)
    refused: tuple[type[Exception], ...] = (Refused,)

    def __init__(self, server: MysqlServer) -> None:
        self._server = server

    @contextmanager
    def connect(self, dsn: str) -> Iterator[Writing]:
        with self._server.connect(SCHEMA) as connection:
            writing = MysqlWriting(connection)
            writing.execute("SET innodb_lock_wait_timeout = 2")
            yield writing

    def insert(self, table: CrashTable) -> str:
        ignore = "" if table.keyless else " IGNORE"
        return f"INSERT{ignore} INTO {SCHEMA}.{table.name} VALUES ({places(table)})"

    def upsert(self, table: CrashTable) -> str:
        assignments = ", ".join(f"{name} = VALUES({name})" for name in table.names if name not in {*table.key, "ver"})
        return f"INSERT INTO {SCHEMA}.{table.name} VALUES ({places(table)}) ON DUPLICATE KEY UPDATE {assignments}"

    def twin(self, verb: str) -> str:
        return f"{verb} WHERE a = %s LIMIT 1"

    def quiet(self, connection: Writing) -> None:
        connection.execute("SET @crash_bulk = 1")

    def bulk(self, connection: Writing, rows: int, number: int) -> None:
        first = BULK_KEYS + number * 10_000_000
        connection.execute(
            f"INSERT INTO {SCHEMA}.accounts SELECT a.id + 4096 * b.id + %s, CONCAT('bulk ', a.id), a.id, 1, 0, 0, 0"
            f" FROM {SCHEMA}.numbers a JOIN {SCHEMA}.numbers b ON a.id + 4096 * b.id < %s",
            [first, rows],
        )
        connection.execute(
            f"UPDATE {SCHEMA}.accounts SET balance = balance + 1 WHERE id >= %s AND id < %s",
            [first, first + rows // 10],
        )
