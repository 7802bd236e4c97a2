"""A replica in a DuckDB file, which is open only while a commit is written: DuckDB lets one process at a time have it.

Rows go through a temporary CSV file into a temporary table of texts, since binding row by row is slow in a database of
columns; from there they are cast into the table, in place of those that have their keys. Tables have no primary key:
that replacing alone keeps keys apart, and an index of DuckDB would cost more than the rows.

    arrays               lists       documents, json   JSON       decimals of more than 38 digits   VARCHAR
    bytes                BLOB        uuid              UUID       any scale                         VARCHAR
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, ConfigError, Fatal, Retriable, TailraceError
from tailrace.position import Position
from tailrace.source import Finding
from tailrace_replica.books import FileLock
from tailrace_replica.bound import BoundWriter
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.destination import BOOKS, MOVES, Reject, fenced
from tailrace_replica.kind import Kind
from tailrace_replica.printed import printer
from tailrace_replica.target import Changes, Half, Name, Patch, Target, key_of, missing_row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TYPES = {
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "boolean": "BOOLEAN",
    "bytes": "BLOB",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "uuid": "UUID",
    "json": "JSON",
    "document": "JSON",
}
_WIDER = {
    "SMALLINT": {"INTEGER", "BIGINT"},
    "INTEGER": {"BIGINT"},
    "FLOAT": {"DOUBLE"},
}
_NULL = "\\N"
_MAKE_BOOKS = f"CREATE TABLE IF NOT EXISTS {BOOKS} (task VARCHAR PRIMARY KEY, epoch BIGINT NOT NULL, position VARCHAR)"
_MAKE_MOVES = f"CREATE TABLE IF NOT EXISTS {MOVES} (mark VARCHAR PRIMARY KEY)"


class DuckDestination:
    """A `Destination`."""

    template = "{schema}.{table}"
    ddl_commits = False
    held_rows = 20_000

    def __init__(self, config: ReplicaConfig, file: Path) -> None:
        self._file = file
        self._drop = config.dropped_columns == "drop"
        self._connection: DuckDBPyConnection | None = None
        self._lock: FileLock | None = None
        self._task = ""
        self._epoch = 0
        self._fitting: dict[Name, Target] = {}

    def open(self, task: str, *, seize: bool = False) -> Position | None:  # noqa: ARG002 - nobody can be ended
        """Lock the file, count the epoch up, return the position."""
        self.close()
        self._lock, self._task = FileLock(self._file, task), task
        self._lock.acquire()
        with self._translated("open the replica"), closing(self._connected()) as connection:
            connection.execute(_MAKE_BOOKS)
            connection.execute(_MAKE_MOVES)
            row = connection.execute(
                f"INSERT INTO {BOOKS} VALUES (?, 1, NULL) ON CONFLICT (task) DO UPDATE SET epoch = epoch + 1 "
                "RETURNING epoch, position",
                [task],
            ).fetchone()
        assert row is not None
        self._epoch = row[0]
        return None if row[1] is None else json.loads(row[1])

    def writer(self, target: Target) -> BoundWriter:
        """Return what makes texts."""
        return BoundWriter(target, _text_of)

    def prepare(self, target: Target) -> None:
        """Make or alter the table."""
        if not target.columns or self._fitting.get(target.name) is target:
            return
        with self._translated(f"prepare table {target.label}"):
            there = self._columns(target.name)
            if there:
                self._alter(target, there)
            else:
                if len(target.name) > 1:
                    self._run(f"CREATE SCHEMA IF NOT EXISTS {_quote(target.name[0])}")
                columns = [f"{_quote(column.name)} {type_of(column.kind)}" for column in target.columns]
                self._run(f"CREATE TABLE {_quoted(target.name)} ({', '.join(columns)})")
        self._fitting[target.name] = target

    def apply(self, changes: Changes, reject: Reject) -> None:
        """Make the changes."""
        target = changes.target
        with self._translated(f"write to table {target.label}"):
            if changes.emptied:
                if self._columns(target.name):
                    self._run(f"DELETE FROM {_quoted(target.name)}")
                return
            if changes.moved is not None:
                self._move(target, changes.moved)
                return
            rows = changes.added or [(row, item) for row, item in changes.rows.values() if isinstance(row, tuple)]
            if target.key:
                self._delete(target, changes)
            self._insert(target, [(cast("tuple[str | None, ...]", row), item) for row, item in rows], reject)
            for row, item in changes.rows.values():
                if isinstance(row, Patch):
                    self._patch(target, row, item, reject)

    def commit(self, position: Position) -> None:
        """Commit, unless another writer has come meanwhile; then let go of the file."""
        with self._translated("commit to the replica"):
            found = self._run(
                f"UPDATE {BOOKS} SET position = ? WHERE task = ? AND epoch = ? RETURNING epoch",
                [json.dumps(position), self._task, self._epoch],
            ).fetchone()
            if found is None:
                raise fenced(self._task)
            self._run("COMMIT")
        self._disconnect()

    def close(self) -> None:
        """Let go of the file, which rolls back."""
        self._disconnect()
        if self._lock is not None:
            self._lock.release()
        self._lock = None
        self._fitting.clear()

    def position(self, task: str) -> Position | None:
        """Return the position."""
        if not self._file.exists():
            return None
        with self._translated("look up the position"), closing(self._connected()) as connection:
            connection.execute(_MAKE_BOOKS)
            connection.execute(_MAKE_MOVES)
            row = connection.execute(f"SELECT position FROM {BOOKS} WHERE task = ?", [task]).fetchone()
        return None if row is None or row[0] is None else json.loads(row[0])

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position."""
        lock = FileLock(self._file, task)
        lock.acquire()
        try:
            with self._translated("set the position"), closing(self._connected()) as connection:
                connection.execute(_MAKE_BOOKS)
                connection.execute(_MAKE_MOVES)
                connection.execute(f"DELETE FROM {MOVES}")  # who begins anew meets both halves again
                connection.execute(
                    f"INSERT INTO {BOOKS} VALUES ($1, 1, $2) "
                    "ON CONFLICT (task) DO UPDATE SET epoch = epoch + 1, position = $2",
                    [task, None if position is None else json.dumps(position)],
                )
        finally:
            lock.release()

    def check(self) -> Sequence[Finding]:
        """Look whether the file can be written to."""
        try:
            self.position("check")
            lock = FileLock(self._file, "check")
            lock.acquire()
            lock.release()
        except TailraceError as error:
            return [Finding(ok=False, what=error.message, mend=error.hint)]
        return [Finding(ok=True, what=f"file {self._file} can be written to, by DuckDB {_duckdb().__version__}")]

    def _connected(self) -> DuckDBPyConnection:
        connection: DuckDBPyConnection = _duckdb().connect(str(self._file))
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _run(self, statement: str, parameters: Sequence[object] = ()) -> DuckDBPyConnection:
        if self._connection is None:
            self._connection = self._connected()
            self._connection.execute("BEGIN")
        return self._connection.execute(statement, list(parameters))

    def _columns(self, name: Name) -> dict[str, str]:
        found = self._run(
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE schema_name = ? AND table_name = ? AND database_name = current_database()",
            name if len(name) > 1 else ("main", *name),
        )
        return dict(found.fetchall())

    def _alter(self, target: Target, there: Mapping[str, str]) -> None:
        table = _quoted(target.name)
        for column in target.columns:
            new, old = type_of(column.kind), there.get(column.name)
            if old is None:
                self._run(f"ALTER TABLE {table} ADD COLUMN {_quote(column.name)} {new}")
            elif widens(old, new):
                self._run(f"ALTER TABLE {table} ALTER COLUMN {_quote(column.name)} TYPE {new}")
            elif old != new and not widens(new, old):
                raise Fatal(
                    f"table {target.label} column {column.name} is {old}, and the source has {new} now",
                    hint="change the column by hand so that it takes both, or drop the table and reset the sink",
                )
        if self._drop:
            for name in there.keys() - {column.name for column in target.columns}:
                self._run(f"ALTER TABLE {table} DROP COLUMN {_quote(name)}")

    def _move(self, target: Target, half: Half) -> None:
        second = self._run(f"DELETE FROM {MOVES} WHERE mark = ? RETURNING mark", [half.mark]).fetchone()
        if second is None:
            self._run(f"INSERT INTO {MOVES} VALUES (?)", [half.mark])
        if not half.leaving:
            return
        old, new = half.old, half.new
        kinds = {column.name: column.kind for column in target.columns}
        texts = [f"{_quote(name)} = {_cast('?', kinds[name])}" for name in target.key]
        table, which = _quoted(target.name), " AND ".join(texts)
        if second is None and self._run(f"SELECT 1 FROM {table} WHERE {which}", new).fetchone() is None:
            self._run(f"UPDATE {table} SET {', '.join(texts)} WHERE {which}", [*new, *old])
        elif old != new:
            self._run(f"DELETE FROM {table} WHERE {which}", old)

    def _delete(self, target: Target, changes: Changes) -> None:
        """Take away the rows of all keys but those that are only patched: what is put in their place comes after."""
        writer = BoundWriter(target, _text_of)
        keys = [
            (writer.bound(target.key, key_of(item)), item)
            for row, item in changes.rows.values()
            if not isinstance(row, Patch)
        ]
        kinds = {column.name: column.kind for column in target.columns}
        with self._loaded(len(target.key), keys):
            which = [f"old.{_quote(name)} = {_cast(f'c{at}', kinds[name])}" for at, name in enumerate(target.key)]
            self._run(f"DELETE FROM {_quoted(target.name)} AS old USING loaded WHERE {' AND '.join(which)}")

    def _insert(self, target: Target, rows: list[tuple[tuple[str | None, ...], Delivery]], reject: Reject) -> None:
        casts = [_cast(f"c{at}", column.kind) for at, column in enumerate(target.columns)]
        names = ", ".join([_quote(column.name) for column in target.columns])
        with self._loaded(len(target.columns), rows):
            unfit = " OR ".join(
                [
                    f"(c{at} IS NOT NULL AND {_cast(f'c{at}', column.kind, trying=True)} IS NULL)"
                    for at, column in enumerate(target.columns)
                ]
            )
            refused = {row[0] for row in self._run(f"SELECT place FROM loaded WHERE {unfit}").fetchall()}
            for place in sorted(refused):
                reject(rows[place][1], BadRecord("DuckDB refuses the row: a value does not fit its column's type"))
            self._run(
                f"INSERT INTO {_quoted(target.name)} ({names}) SELECT {', '.join(casts)} FROM loaded "
                f"WHERE NOT list_contains(?, place) ORDER BY place",
                [sorted(refused) or [-1]],
            )

    @contextmanager
    def _loaded(self, width: int, rows: Sequence[tuple[tuple[object, ...], Delivery]]) -> Iterator[None]:
        """Have the rows in the temporary table `loaded`, with their place, as texts."""
        columns = {"place": "BIGINT", **{f"c{at}": "VARCHAR" for at in range(width)}}
        with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="", encoding="utf-8") as file:
            out = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            for place, (row, _) in enumerate(rows):
                out.writerow([place, *[_NULL if text is None else f"={text}" for text in row]])
            file.flush()
            told = ", ".join([f"'{name}': '{kind}'" for name, kind in columns.items()])
            texts = ", ".join(
                [f"CASE WHEN c{at} = '{_NULL}' THEN NULL ELSE c{at}[2:] END AS c{at}" for at in range(width)]
            )
            self._run(
                f"CREATE OR REPLACE TEMPORARY TABLE loaded AS SELECT place, {texts} FROM read_csv('{file.name}', "
                f"columns = {{{told}}}, header = false, delim = ',', quote = '\"', escape = '\"', auto_detect = false, "
                "nullstr = '', allow_quoted_nulls = false, max_line_size = 1073741824, parallel = false, "
                "new_line = '\\n')"
            )
        yield
        self._run("DROP TABLE loaded")

    def _patch(self, target: Target, patch: Patch, item: Delivery, reject: Reject) -> None:
        if not patch.names:
            return
        kinds = {column.name: column.kind for column in target.columns}
        to_set = ", ".join([f"{_quote(name)} = {_cast('?', kinds[name])}" for name in patch.names])
        which = " AND ".join([f"{_quote(name)} = {_cast('?', kinds[name])}" for name in target.key])
        key = BoundWriter(target, _text_of).bound(target.key, key_of(item))
        statement = f"UPDATE {_quoted(target.name)} SET {to_set} WHERE {which}"
        found = self._run(statement, [*patch.values, *key]).fetchone()
        if found is None or not found[0]:
            reject(item, missing_row(target))

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        duckdb = _duckdb()
        try:
            yield
        except duckdb.Error as error:
            raise _meaning(f"{doing} {self._file}", error) from error


def type_of(kind: Kind) -> str:
    """Return the type as `duckdb_columns` prints it."""
    if kind.name == "decimal" and 0 < kind.precision <= 38 and kind.scale <= kind.precision:
        return f"DECIMAL({kind.precision},{kind.scale})"
    if kind.name == "array":
        return f"{type_of(kind.item or Kind('text'))}[]"
    return _TYPES.get(kind.name, "VARCHAR")


def widens(old: str, new: str) -> bool:
    """Whether every value of a column of type `old` can be kept, as it is, in one of type `new`."""
    if new in _WIDER.get(old, set()) or (new == "VARCHAR" and old in {"SMALLINT", "INTEGER", "BIGINT", "UUID"}):
        return True
    if not (old.startswith("DECIMAL(") and new.startswith("DECIMAL(")) or old == new:
        return False
    digits, scale = map(int, old[8:-1].split(","))
    more, finer = map(int, new[8:-1].split(","))
    return more - finer >= digits - scale and finer >= scale


def _text_of(kind: Kind) -> Callable[..., str]:
    if kind.name == "array":
        item = _text_of(kind.item or Kind("text"))
        return lambda values: json.dumps([None if each is None else item(each) for each in values], ensure_ascii=False)
    plain = printer(kind)
    if kind.name in {"date", "timestamp", "timestamptz"}:
        return lambda value: plain(value).replace(" BC", " (BC)")
    if kind.name == "decimal" and type_of(kind) != "VARCHAR":
        return lambda value: plain(value) if value.is_finite() else "not finite"
    return plain


def _cast(value: str, kind: Kind, *, trying: bool = False) -> str:
    """Return the expression that makes a column's value of a text; trying, null where it cannot."""
    word = "TRY_CAST" if trying else "CAST"
    if kind.name == "bytes":
        return f"unhex({value})"
    if kind.name == "array":
        return f"{word}(from_json({value}, '[\"VARCHAR\"]') AS {type_of(kind)})"
    return f"{word}({value} AS {type_of(kind)})"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _quoted(name: Name) -> str:
    return ".".join(map(_quote, name))


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise ConfigError("duckdb is not installed", hint="pip install 'tailrace[replica]'") from error
    return duckdb


def _meaning(doing: str, error: Exception) -> TailraceError:
    first = str(error).partition("\n")[0]
    kind = type(error).__name__
    text = f"{doing}: DuckDB says: {first}"
    if "lock" in first.lower():
        return Retriable(text, hint="another process has the file open; it is tried again", patient=True)
    if "No space left" in first:
        return Retriable(text, hint="the disk is full; it is tried again until there is room", patient=True)
    if kind == "ConversionException":
        return Fatal(f"{doing}: DuckDB refuses a value", hint="set errors: skip or errors: dead_letter")
    return Fatal(text, hint="give this user the right to write to the file" if "denied" in first else "")
