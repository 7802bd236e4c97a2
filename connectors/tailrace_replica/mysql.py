"""A replica in MySQL or MariaDB: rows by INSERT … ON DUPLICATE KEY UPDATE, many to a statement.

DDL ends a transaction here, so all tables of a commit are altered before any of its rows is written; columns are
dropped after it. One writer: a named lock of the session, and the epoch in the books. Values are bound under a strict
SQL mode: what a column cannot hold is refused, never cut.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import structlog

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal
from tailrace.position import Position
from tailrace.source import Finding
from tailrace_replica.bound import BoundWriter
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.destination import BOOKS, MOVES, Reject, fenced, held
from tailrace_replica.mysql_connection import connected
from tailrace_replica.mysql_fault import refuses_row, translated
from tailrace_replica.mysql_type import binder_of, normal, type_of, widens
from tailrace_replica.statement import Statements
from tailrace_replica.target import Changes, Half, Patch, Target, key_of, missing_row

log = structlog.get_logger()

if TYPE_CHECKING:
    from pymysql import Connection
    from pymysql.cursors import Cursor

_MAKE_BOOKS = (
    f"CREATE TABLE IF NOT EXISTS {BOOKS} (task VARCHAR(190) PRIMARY KEY, epoch BIGINT NOT NULL, position LONGTEXT) "
    "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE = InnoDB"
)
_MAKE_MOVES = (
    f"CREATE TABLE IF NOT EXISTS {MOVES} (mark CHAR(64) PRIMARY KEY) "
    "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE = InnoDB"
)
_Rows: TypeAlias = "Sequence[tuple[Any, Delivery]]"
"""Values to bind, and what they were made of."""
_NO_SUCH_THREAD = 1094
_LOCK_SECONDS = 3
"""A server lets go of the lock of a connection that has just been closed a moment later only."""
_WORTH_A_LOOK = 8
"""A row's statement is at most about so many times as long as its record: text may be escaped, numbers are printed."""
_PACKET_HEAD = 16
"""Octets that a packet has beside the statement, generously."""


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``").replace("%", "%%") + "`"


def _upsert(key: Sequence[str], others: Sequence[str]) -> str:
    names = others or key[:1]
    return f"ON DUPLICATE KEY UPDATE {', '.join([f'{name} = VALUES({name})' for name in names])}"


_SAY = Statements(_quote, "%s", _upsert)


class MysqlDestination:
    """A `Destination`."""

    template = "{table}"
    ddl_commits = True
    held_rows = 20_000

    def __init__(self, config: ReplicaConfig) -> None:
        self._config = config
        self._connection: Connection[Cursor] | None = None
        self._task = ""
        self._epoch = self._packet = 0
        self._begun = False
        self._fitting: dict[tuple[str, ...], Target] = {}
        self._to_drop: list[str] = []

    def open(self, task: str, *, seize: bool = False) -> Position | None:
        """Connect, lock, count the epoch up, return the position."""
        self.close()
        self._connection, self._task = self._connected(), task
        with translated("open the replica"):
            self._lock(self._connection, task, seize=seize)
            self._run(_MAKE_BOOKS)
            self._run(_MAKE_MOVES)
            self._run(
                f"INSERT INTO {BOOKS} (task, epoch) VALUES (%s, 1) ON DUPLICATE KEY UPDATE epoch = epoch + 1", (task,)
            )
            self._connection.commit()
            row = self._row(self._connection, f"SELECT epoch, position FROM {BOOKS} WHERE task = %s", (task,))
            self._packet = self._row(self._connection, "SELECT @@max_allowed_packet", ())[0]
            self._connection.commit()
        self._epoch = row[0]
        return None if row[1] is None else json.loads(row[1])

    def writer(self, target: Target) -> BoundWriter:
        """Return what makes values to bind."""
        return BoundWriter(target, binder_of)

    def prepare(self, target: Target) -> None:
        """Make or alter the table; no row of this commit may have been written yet."""
        if not target.columns or self._fitting.get(target.name) is target:
            return
        assert not self._begun, "tables are altered before rows are written"
        with translated(f"prepare table {target.label}"):
            there = self._columns(target)
            if there:
                self._alter(target, there)
            else:
                self._run(
                    f"CREATE TABLE {_SAY.table(target)} ({', '.join(_declared(target))}) "
                    "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ENGINE = InnoDB"
                )
        self._fitting[target.name] = target

    def apply(self, changes: Changes, reject: Reject) -> None:
        """Make the changes."""
        target = changes.target
        with translated(f"write to table {target.label}"):
            if changes.emptied:
                if self._columns(target):
                    self._begin()
                    self._run(f"DELETE FROM {_SAY.table(target)}")
                return
            self._begin()
            if changes.moved is not None:
                self._move(target, changes.moved)
                return
            if not target.key:
                self._put(_SAY.insert(target), list(changes.added), reject)
                return
            writer = BoundWriter(target, binder_of)
            gone = [writer.bound(target.key, key_of(item)) for row, item in changes.rows.values() if row is None]
            if gone:
                self._many(_SAY.delete(target), gone)
            rows = [(row, item) for row, item in changes.rows.values() if isinstance(row, tuple)]
            self._put(_SAY.put(target), rows, reject)
            for row, item in changes.rows.values():
                if isinstance(row, Patch):
                    self._patch(target, row, item, reject)

    def commit(self, position: Position) -> None:
        """Commit, unless another writer has come meanwhile; then drop the columns that are to go."""
        with translated("commit to the replica"):
            self._begin()
            self._run(f"UPDATE {BOOKS} SET position = %s WHERE task = %s", (json.dumps(position), self._task))
            self._own.commit()
            self._begun = False
            while self._to_drop:
                self._run(self._to_drop.pop())

    def close(self) -> None:
        """Disconnect, which rolls back and lets go of the lock."""
        if self._connection is not None and self._connection.open:
            self._connection.close()
        self._connection, self._begun = None, False
        self._fitting.clear()
        self._to_drop.clear()

    def position(self, task: str) -> Position | None:
        """Return the position."""
        with translated("look up the position"), closing(self._connected()) as connection:
            if not self._row(connection, "SHOW TABLES LIKE %s", (BOOKS,)):
                return None
            row = self._row(connection, f"SELECT position FROM {BOOKS} WHERE task = %s", (task,))
        return None if not row or row[0] is None else json.loads(row[0])

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position."""
        at = None if position is None else json.dumps(position)
        with translated("set the position"), closing(self._connected()) as connection:
            self._lock(connection, task)
            with connection.cursor() as cursor:
                cursor.execute(_MAKE_BOOKS)
                cursor.execute(_MAKE_MOVES)
                cursor.execute(f"DELETE FROM {MOVES}")  # who begins anew meets both halves again
                cursor.execute(
                    f"INSERT INTO {BOOKS} (task, epoch, position) VALUES (%s, 1, %s) "
                    "ON DUPLICATE KEY UPDATE epoch = epoch + 1, position = %s",
                    (task, at, at),
                )
            connection.commit()

    def check(self) -> Sequence[Finding]:
        """Look whether there is a server, and a database."""
        with translated("look at the server"), closing(self._connected()) as connection:
            version, user, database, read_only = self._row(
                connection, "SELECT version(), current_user(), database(), @@read_only", ()
            )
            grants = self._rows(connection, "SHOW GRANTS")
        told = " ".join([str(row[0]) for row in grants])
        may = "ALL PRIVILEGES" in told or all(word in told for word in ("CREATE", "ALTER", "INSERT", "DELETE"))
        return [
            Finding(ok=True, what=f"connected to {version}, database {database}, as {user}"),
            Finding(
                ok=not read_only,
                what="server is read-only" if read_only else "server takes writes",
                mend="have the url lead to the primary",
            ),
            Finding(
                ok=may,
                what=f"{user} may {'' if may else 'not '}make and change tables",
                mend=f"GRANT CREATE, ALTER, INSERT, UPDATE, DELETE, SELECT ON {database}.* TO {user}",
            ),
        ]

    @property
    def _own(self) -> Connection[Cursor]:
        assert self._connection is not None, "used before open"
        return self._connection

    def _connected(self) -> Connection[Cursor]:
        with translated("connect to the replica"):
            return connected(self._config.url.get_secret_value(), self._config.connect_timeout)

    def _lock(self, connection: Connection[Cursor], task: str, *, seize: bool = False) -> None:
        name = "tailrace." + hashlib.sha256(task.encode()).hexdigest()[:40]
        if seize:
            self._end_holder(connection, name)
        if self._row(connection, "SELECT GET_LOCK(%s, %s)", (name, _LOCK_SECONDS))[0] != 1:
            raise held(task)

    def _end_holder(self, connection: Connection[Cursor], name: str) -> None:
        """End the connection that has a lock, which undoes what it had not committed."""
        import pymysql

        (number,) = self._row(connection, "SELECT IS_USED_LOCK(%s)", (name,))
        if number is None:
            return
        log.warning("taking the replica over", task=self._task, from_connection=number)
        try:
            self._row(connection, f"KILL {int(number)}", ())
        except pymysql.err.Error as error:
            if error.args[0] != _NO_SUCH_THREAD:
                raise

    def _begin(self) -> None:
        """Have a transaction open that holds our row of the books."""
        if self._begun:
            return
        self._own.begin()
        found = self._row(
            self._own,
            f"SELECT epoch FROM {BOOKS} WHERE task = %s AND epoch = %s FOR UPDATE",
            (self._task, self._epoch),
        )
        if not found:
            raise fenced(self._task)
        self._begun = True

    def _run(self, statement: str, parameters: Sequence[object] = ()) -> int:
        with self._own.cursor() as cursor:
            return cursor.execute(statement, parameters or None)

    def _many(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._own.cursor() as made:
            cursor = cast("Any", made)  # the setting of a class, as its types have it
            cursor.max_stmt_length = min(cursor.max_stmt_length, self._packet - _PACKET_HEAD)
            cursor.executemany(statement, rows)

    def _row(self, connection: Connection[Cursor], statement: str, parameters: Sequence[object]) -> tuple[Any, ...]:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchone() or ()

    def _rows(self, connection: Connection[Cursor], statement: str) -> Sequence[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def _columns(self, target: Target) -> dict[str, str]:
        with self._own.cursor() as cursor:
            cursor.execute(
                "SELECT column_name, column_type FROM information_schema.columns "
                "WHERE table_schema = database() AND table_name = %s",
                (".".join(target.name),),
            )
            return {str(name): normal(_text(declared)) for name, declared in cursor.fetchall()}

    def _alter(self, target: Target, there: Mapping[str, str]) -> None:
        steps = []
        for column in target.columns:
            new, old = type_of(column.kind, key=column.name in target.key), there.get(column.name)
            if old is None:
                steps.append(f"ADD COLUMN {_quote(column.name)} {new} NULL")
            elif widens(old, new):
                null = "NOT NULL" if column.name in target.key else "NULL"
                steps.append(f"MODIFY COLUMN {_quote(column.name)} {new} {null}")
            elif old != new and not widens(new, old):
                raise Fatal(
                    f"table {target.label} column {column.name} is {old}, and the source has {new} now",
                    hint="change the column by hand so that it takes both, or drop the table and reset the sink",
                )
        if steps:
            self._run(f"ALTER TABLE {_SAY.table(target)} {', '.join(steps)}")
        if self._config.dropped_columns == "drop":
            gone = there.keys() - {column.name for column in target.columns}
            self._to_drop += [f"ALTER TABLE {_SAY.table(target)} DROP COLUMN {_quote(name)}" for name in gone]

    def _move(self, target: Target, half: Half) -> None:
        second = self._run(f"DELETE FROM {MOVES} WHERE mark = %s", (half.mark,))
        if not second:
            self._run(f"INSERT INTO {MOVES} VALUES (%s)", (half.mark,))
        if not half.leaving:
            return
        old, new = half.old, half.new
        if not second and not self._row(self._own, _SAY.exists(target), new):
            self._run(_SAY.change(target, target.key), (*new, *old))
        elif old != new:
            self._run(_SAY.delete(target), old)

    def _put(self, statement: str, rows: _Rows, reject: Reject) -> None:
        """Write rows; the server would cut the connection at one that is too long, again and again."""
        sent = []
        for row, item in rows:
            long = len(item.record.value or b"") * _WORTH_A_LOOK > self._packet
            if long and (error := self._too_long(statement, row)):
                reject(item, error)
            else:
                sent.append((row, item))
        self._put_apart(statement, sent, reject)

    def _put_apart(self, statement: str, rows: _Rows, reject: Reject) -> None:
        """Write rows, or of two halves those that the server takes."""
        import pymysql

        if not rows:
            return
        self._run("SAVEPOINT tailrace_rows")
        try:
            self._many(statement, [row for row, _ in rows])
        except pymysql.err.Error as error:
            if not refuses_row(error):
                raise
            self._run("ROLLBACK TO SAVEPOINT tailrace_rows")
            if len(rows) == 1:
                reject(rows[0][1], BadRecord(f"MySQL refuses the row: error {error.args[0]}"))
                return
            middle = len(rows) // 2
            self._put_apart(statement, rows[:middle], reject)
            self._put_apart(statement, rows[middle:], reject)

    def _too_long(self, statement: str, values: tuple[object, ...]) -> BadRecord | None:
        with self._own.cursor() as cursor:
            size = len(cursor.mogrify(statement, values).encode("utf-8", "surrogateescape"))
        if size + _PACKET_HEAD <= self._packet:
            return None
        return BadRecord(
            f"MySQL takes no statement of {size} octets: max_allowed_packet is {self._packet}",
            hint="raise max_allowed_packet of the server",
        )

    def _patch(self, target: Target, patch: Patch, item: Delivery, reject: Reject) -> None:
        if not patch.names:
            return
        key = BoundWriter(target, binder_of).bound(target.key, key_of(item))
        # The count of an update leaves out rows that are so already.
        if not self._row(self._own, _SAY.exists(target), key):
            reject(item, missing_row(target))
            return
        statement, values = _SAY.change(target, patch.names), (*patch.values, *key)
        if error := self._too_long(statement, values):
            reject(item, error)
            return
        self._run(statement, values)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _declared(target: Target) -> list[str]:
    parts = [
        f"{_quote(column.name)} {type_of(column.kind, key=column.name in target.key)}" for column in target.columns
    ]
    if target.key:
        parts.append(f"PRIMARY KEY ({', '.join(map(_quote, target.key))})")
    return parts
