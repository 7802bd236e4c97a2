"""A replica in a SQLite file, in WAL mode, so that it can be read while it is written.

integers, booleans   INTEGER, BOOLEAN (0 and 1)
floats               REAL; NaN is refused, since SQLite would make it NULL
bytes                BLOB
everything else      TEXT, exactly: decimals with all their digits, dates as ISO-8601, arrays and documents as JSON
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal, Retriable, TailraceError
from tailrace.position import Position
from tailrace.source import Finding
from tailrace_replica.books import FileLock
from tailrace_replica.bound import BoundWriter
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.destination import BOOKS, MOVES, Reject, fenced
from tailrace_replica.kind import Kind
from tailrace_replica.printed import printer
from tailrace_replica.statement import Statements
from tailrace_replica.target import Changes, Half, Patch, Target, key_of, missing_row

_TYPES = {
    "int16": "INTEGER",
    "int32": "INTEGER",
    "int64": "INTEGER",
    "boolean": "BOOLEAN",
    "float32": "REAL",
    "float64": "REAL",
    "bytes": "BLOB",
}
_BUSY_SECONDS = 20.0


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _upsert(key: Sequence[str], others: Sequence[str]) -> str:
    if not others:
        return "ON CONFLICT DO NOTHING"
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join([f'{name} = excluded.{name}' for name in others])}"


_SAY = Statements(_quote, "?", _upsert)


class SqliteDestination:
    """A `Destination`."""

    template = "{table}"
    ddl_commits = False
    held_rows = 20_000

    def __init__(self, config: ReplicaConfig, file: Path) -> None:
        self._file = file
        self._drop = config.dropped_columns == "drop"
        self._connection: sqlite3.Connection | None = None
        self._lock: FileLock | None = None
        self._task = ""
        self._epoch = 0
        self._fitting: dict[tuple[str, ...], Target] = {}

    def open(self, task: str, *, seize: bool = False) -> Position | None:  # noqa: ARG002 - nobody can be ended
        """Lock the file, count the epoch up, return the position."""
        self.close()
        self._lock, self._task = FileLock(self._file, task), task
        self._lock.acquire()
        with self._translated("open the replica"):
            self._connection = self._connected()
            _make_books(self._connection)
            row = self._connection.execute(
                f"INSERT INTO {BOOKS} (task, epoch) VALUES (?, 1) ON CONFLICT (task) DO UPDATE SET epoch = epoch + 1 "
                "RETURNING epoch, position",
                (task,),
            ).fetchone()
        self._epoch = row[0]
        return None if row[1] is None else json.loads(row[1])

    def writer(self, target: Target) -> BoundWriter:
        """Return what makes values to bind."""
        return BoundWriter(target, _binder)

    def prepare(self, target: Target) -> None:
        """Make or alter the table. A column's declared type binds nobody in SQLite: it is left as it was."""
        if not target.columns or self._fitting.get(target.name) is target:
            return
        with self._translated(f"prepare table {target.label}"):
            self._begin()
            there = self._columns(target)
            if there:
                self._alter(target, there)
            else:
                self._own.execute(f"CREATE TABLE {_SAY.table(target)} ({', '.join(_declared(target))})")
        self._fitting[target.name] = target

    def apply(self, changes: Changes, reject: Reject) -> None:
        """Make the changes."""
        target = changes.target
        with self._translated(f"write to table {target.label}"):
            self._begin()
            if changes.emptied:
                if self._columns(target):
                    self._own.execute(f"DELETE FROM {_SAY.table(target)}")
                return
            if changes.moved is not None:
                self._move(target, changes.moved)
                return
            if not target.key:
                self._put(_SAY.insert(target), [(row, item) for row, item in changes.added], reject)
                return
            gone = [item for row, item in changes.rows.values() if row is None]
            if gone:
                writer = BoundWriter(target, _binder)
                keys = [writer.bound(target.key, key_of(item)) for item in gone]
                self._own.executemany(_SAY.delete(target), keys)
            rows = [(row, item) for row, item in changes.rows.values() if isinstance(row, tuple)]
            self._put(_SAY.put(target), rows, reject)
            for row, item in changes.rows.values():
                if isinstance(row, Patch):
                    self._patch(target, row, item, reject)

    def commit(self, position: Position) -> None:
        """Commit, unless another writer has come meanwhile."""
        with self._translated("commit to the replica"):
            self._begin()
            found = self._own.execute(
                f"UPDATE {BOOKS} SET position = ? WHERE task = ? AND epoch = ?",
                (json.dumps(position), self._task, self._epoch),
            )
            if found.rowcount != 1:
                raise fenced(self._task)
            self._own.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file, which rolls back."""
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            self._lock.release()
        self._connection = self._lock = None
        self._fitting.clear()

    def position(self, task: str) -> Position | None:
        """Return the position."""
        if not self._file.exists():
            return None
        with self._translated("look up the position"), closing(self._connected()) as connection:
            _make_books(connection)
            row = connection.execute(f"SELECT position FROM {BOOKS} WHERE task = ?", (task,)).fetchone()
        return None if row is None or row[0] is None else json.loads(row[0])

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position."""
        lock = FileLock(self._file, task)
        lock.acquire()
        try:
            with self._translated("set the position"), closing(self._connected()) as connection:
                _make_books(connection)
                connection.execute(f"DELETE FROM {MOVES}")  # who begins anew meets both halves again
                connection.execute(
                    f"INSERT INTO {BOOKS} (task, epoch, position) VALUES (?1, 1, ?2) "
                    "ON CONFLICT (task) DO UPDATE SET epoch = epoch + 1, position = ?2",
                    (task, None if position is None else json.dumps(position)),
                )
        finally:
            lock.release()

    def check(self) -> Sequence[Finding]:
        """Look whether the file can be written to."""
        try:
            lock = FileLock(self._file, "check")
            lock.acquire()
            lock.release()
            with self._translated("open the replica"), closing(self._connected()) as connection:
                _make_books(connection)
        except TailraceError as error:
            return [Finding(ok=False, what=error.message, mend=error.hint)]
        return [Finding(ok=True, what=f"file {self._file} can be written to, by SQLite {sqlite3.sqlite_version}")]

    @property
    def _own(self) -> sqlite3.Connection:
        assert self._connection is not None, "used before open"
        return self._connection

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=_BUSY_SECONDS, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _begin(self) -> None:
        if not self._own.in_transaction:
            self._own.execute("BEGIN IMMEDIATE")

    def _columns(self, target: Target) -> dict[str, str]:
        return {row[1]: row[2] for row in self._own.execute(f"PRAGMA table_info({_SAY.table(target)})")}

    def _alter(self, target: Target, there: Mapping[str, str]) -> None:
        for column in target.columns:
            new, old = type_of(column.kind), there.get(column.name)
            if old is None:
                self._own.execute(f"ALTER TABLE {_SAY.table(target)} ADD COLUMN {_quote(column.name)} {new}")
            elif old != new and old in {"TEXT", "REAL"}:
                # What is stored in it would take the old type's form: numbers become texts, integers lose digits.
                raise Fatal(
                    f"table {target.label} column {column.name} is {old}, and the source has {new} now",
                    hint="drop the table and reset the sink",
                )
        if self._drop:
            for name in there.keys() - {column.name for column in target.columns}:
                self._own.execute(f"ALTER TABLE {_SAY.table(target)} DROP COLUMN {_quote(name)}")

    def _move(self, target: Target, half: Half) -> None:
        second = self._own.execute(f"DELETE FROM {MOVES} WHERE mark = ?", (half.mark,)).rowcount
        if not second:
            self._own.execute(f"INSERT INTO {MOVES} VALUES (?)", (half.mark,))
        if not half.leaving:
            return
        old, new = half.old, half.new
        if not second and not self._own.execute(_SAY.exists(target), new).fetchone():
            self._own.execute(_SAY.change(target, target.key), (*new, *old))
        elif old != new:
            self._own.execute(_SAY.delete(target), old)

    def _put(self, statement: str, rows: Sequence[tuple[object, Delivery]], reject: Reject) -> None:
        self._own.execute("SAVEPOINT rows")
        try:
            self._own.executemany(statement, [cast("tuple[object, ...]", row) for row, _ in rows])
        except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError):
            # Which of them it is, is found one by one.
            self._own.execute("ROLLBACK TO rows")
            for row, item in rows:
                self._put_one(statement, cast("tuple[object, ...]", row), item, reject)
        self._own.execute("RELEASE rows")

    def _put_one(self, statement: str, row: tuple[object, ...], item: Delivery, reject: Reject) -> None:
        try:
            self._own.execute(statement, row)
        except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError) as error:
            reject(item, BadRecord(f"SQLite refuses the row: {type(error).__name__}"))

    def _patch(self, target: Target, patch: Patch, item: Delivery, reject: Reject) -> None:
        if not patch.names:
            return
        key = BoundWriter(target, _binder).bound(target.key, key_of(item))
        if not self._own.execute(_SAY.change(target, patch.names), (*patch.values, *key)).rowcount:
            reject(item, missing_row(target))

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _meaning(f"{doing} {self._file}", error) from error


def type_of(kind: Kind) -> str:
    """Return the declared type of a column."""
    return _TYPES.get(kind.name, "TEXT")


def _binder(kind: Kind) -> Callable[..., object]:
    if kind.name in {"float32", "float64"}:
        return _real
    if kind.name == "boolean":
        return int
    if kind.name in _TYPES:
        return lambda value: value
    return printer(kind)


def _real(value: float) -> float:
    if math.isnan(value):
        raise BadRecord("SQLite has no NaN: it would become NULL")
    return value


def _declared(target: Target) -> list[str]:
    parts = [f"{_quote(column.name)} {type_of(column.kind)}" for column in target.columns]
    if target.key:
        parts.append(f"PRIMARY KEY ({', '.join(map(_quote, target.key))})")
    return parts


def _make_books(connection: sqlite3.Connection) -> None:
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {BOOKS} (task TEXT PRIMARY KEY, epoch INTEGER NOT NULL, position TEXT)"
    )
    connection.execute(f"CREATE TABLE IF NOT EXISTS {MOVES} (mark TEXT PRIMARY KEY)")


def _meaning(doing: str, error: sqlite3.Error) -> TailraceError:
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    text = f"{doing}: SQLite says: {error} ({name})"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Retriable(text, hint="another program holds the file; it is tried again", patient=True)
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return Retriable(text, hint="the disk is full or faulty; it is tried again until there is room", patient=True)
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return Fatal(text, hint="give this user the right to write to the file and its folder")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Fatal(text, hint="the file is damaged, or no SQLite database: move it away, and it is built anew")
    return Fatal(text)
