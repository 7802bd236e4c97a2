"""A replica in Postgres: rows come by COPY, straight into the table where they are new, else by a temporary one.

    new rows      savepoint, COPY table; where one is there already after all, back and merge
    others        COPY temporary table, INSERT … SELECT … ON CONFLICT (key) DO UPDATE
    deletes       DELETE … USING unnest(keys)
    position      UPDATE tailrace_replica … WHERE task = … AND epoch = …, in the same transaction

A row that the server refuses is found by halves, under savepoints, and handed back. One writer: an advisory lock of the
session refuses a second one, and the epoch fences off a session that lost its lock without noticing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import LiteralString, cast

import psycopg
from psycopg import sql

from tailrace.codec.delivery import Delivery
from tailrace.codec.registry import AvroSchema
from tailrace.errors import BadRecord
from tailrace.position import Position
from tailrace.source import Finding
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.copyline import line_writer
from tailrace_replica.destination import BOOKS, Reject, fenced, held
from tailrace_replica.postgres_fault import translated
from tailrace_replica.postgres_table import PostgresTables, identifier, typed
from tailrace_replica.postgres_type import escaped, text_of, type_of
from tailrace_replica.target import Changes, Lines, Patch, RowWriter, Target, key_of, missing_row

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('tailrace replica ' || %s, 0))"
_LINES_AT_ONCE = 2_000
"""Lines that are handed to libpq together."""


class PostgresWriter:
    """Rows as lines of COPY's text format."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._texts: list[Callable[..., str]] = [text_of(column.kind) for column in target.columns]
        self._by_name = {column.name: text for column, text in zip(target.columns, self._texts, strict=True)}

    def row(self, values: tuple[object, ...]) -> bytes:
        """Return the line."""
        cells = [
            "\\N" if value is None else escaped(text(value)) for text, value in zip(self._texts, values, strict=True)
        ]
        return ("\t".join(cells) + "\n").encode()

    def lines(self, schema: AvroSchema | None) -> Lines | None:
        """Return the compiled core's way, where it knows all kinds of the columns."""
        return line_writer(self._target, schema)

    def bound(self, names: Sequence[str], values: Mapping[str, object]) -> tuple[object, ...]:
        """Return the texts of the named columns."""
        return tuple([None if values[name] is None else self._by_name[name](values[name]) for name in names])


class PostgresDestination:
    """A `Destination`."""

    template = "{schema}.{table}"
    ddl_commits = False

    def __init__(self, config: ReplicaConfig) -> None:
        self._config = config
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._tables: PostgresTables | None = None
        self._task = ""
        self._epoch = 0
        self._merging: set[tuple[str, ...]] = set()

    def open(self, task: str) -> Position | None:
        """Connect, lock, count the epoch up, return the position."""
        self.close()
        connection = self._connected()
        self._connection, self._task = connection, task
        with translated("open the replica"):
            locked = connection.execute(_LOCK, (task,)).fetchone()
            if not (locked and locked[0]):
                raise held(task)
            _make_books(connection)
            row = connection.execute(
                f"INSERT INTO {BOOKS} (task, epoch) VALUES (%s, 1) "
                f"ON CONFLICT (task) DO UPDATE SET epoch = {BOOKS}.epoch + 1 RETURNING epoch, position",
                (task,),
            ).fetchone()
            connection.commit()
        assert row is not None
        self._epoch = cast("int", row[0])
        self._tables = PostgresTables(connection, drop=self._config.dropped_columns == "drop")
        return None if row[1] is None else json.loads(str(row[1]))

    def writer(self, target: Target) -> RowWriter:
        """Return what makes lines of COPY."""
        return PostgresWriter(target)

    def prepare(self, target: Target) -> None:
        """Make or alter the table."""
        if target.columns:
            with translated(f"prepare table {target.label}"):
                self._begin()
                self._own_tables.prepare(target)

    def apply(self, changes: Changes, reject: Reject) -> None:
        """Make the changes."""
        target = changes.target
        with translated(f"write to table {target.label}"):
            self._begin()
            if changes.emptied:
                if self._own_tables.types_of(target.name) is not None:
                    self._run(sql.SQL("TRUNCATE {}").format(identifier(target.name)))
                return
            if changes.moved is not None:
                self._move(target, *changes.moved)
                return
            if not target.key:
                lines = [(cast("bytes", row), item) for row, item in changes.added]
                self._refusing(lines, lambda part: self._copy(identifier(target.name), target, part), reject)
                return
            self._delete(target, [item for row, item in changes.rows.values() if row is None])
            lines = [(row, item) for row, item in changes.rows.values() if isinstance(row, bytes)]
            self._store(target, lines, reject, fresh=changes.fresh)
            for row, item in changes.rows.values():
                if isinstance(row, Patch):
                    self._patch(changes, row, item, reject)

    def commit(self, position: Position) -> None:
        """Commit, unless another writer has come meanwhile."""
        with translated("commit to the replica"):
            cursor = self._own.execute(
                f"UPDATE {BOOKS} SET position = %s, committed = now() WHERE task = %s AND epoch = %s",
                (json.dumps(position), self._task, self._epoch),
            )
            if cursor.rowcount != 1:
                raise fenced(self._task)
            self._own.commit()

    def close(self) -> None:
        """Disconnect, which rolls back."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._tables = None
        self._merging.clear()

    def position(self, task: str) -> Position | None:
        """Return the position."""
        with translated("look up the position"), closing(self._connected()) as connection:
            row = connection.execute("SELECT to_regclass(%s)", (BOOKS,)).fetchone()
            if row is None or row[0] is None:
                return None
            row = connection.execute(f"SELECT position FROM {BOOKS} WHERE task = %s", (task,)).fetchone()
        return None if row is None or row[0] is None else json.loads(str(row[0]))

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position."""
        with translated("set the position"), closing(self._connected()) as connection:
            locked = connection.execute(_LOCK, (task,)).fetchone()
            if not (locked and locked[0]):
                raise held(task)
            _make_books(connection)
            connection.execute(
                f"INSERT INTO {BOOKS} (task, epoch, position) VALUES (%(task)s, 1, %(at)s) "
                f"ON CONFLICT (task) DO UPDATE SET epoch = {BOOKS}.epoch + 1, position = %(at)s",
                {"task": task, "at": None if position is None else json.dumps(position)},
            )
            connection.commit()

    def check(self) -> Sequence[Finding]:
        """Look whether there is a server, and a right to create."""
        with closing(self._connected()) as connection:
            row = connection.execute(
                "SELECT has_database_privilege(current_database(), 'CREATE'), current_database(), current_user, "
                "pg_is_in_recovery(), current_setting('server_version')"
            ).fetchone()
        assert row is not None
        create, database, user, standby, version = row
        return [
            Finding(ok=True, what=f"connected to postgres {version}, database {database}, as {user}"),
            Finding(
                ok=not standby, what="server takes writes" if not standby else "server is a standby",
                mend="have the url lead to the primary",
            ),
            Finding(
                ok=bool(create), what=f"{user} may {'' if create else 'not '}create schemas in {database}",
                mend=f"GRANT CREATE ON DATABASE {database} TO {user}",
            ),
        ]  # fmt: skip

    @property
    def _own(self) -> psycopg.Connection[tuple[object, ...]]:
        assert self._connection is not None, "used before open"
        return self._connection

    @property
    def _own_tables(self) -> PostgresTables:
        assert self._tables is not None, "used before open"
        return self._tables

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        with translated("connect to the replica"):
            return psycopg.connect(
                self._config.url.get_secret_value(),
                connect_timeout=self._config.connect_timeout,
                application_name="tailrace replica",
            )

    def _begin(self) -> None:
        """Have a transaction open that holds our row of the books: whoever comes meanwhile waits, or fences us off."""
        if self._own.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            return
        row = self._own.execute(
            f"SELECT epoch FROM {BOOKS} WHERE task = %s AND epoch = %s FOR UPDATE", (self._task, self._epoch)
        ).fetchone()
        if row is None:
            raise fenced(self._task)

    def _run(self, statement: sql.Composed | LiteralString, parameters: Sequence[object] = ()) -> int:
        return self._own.execute(statement, parameters or None).rowcount

    def _store(self, target: Target, lines: list[tuple[bytes, Delivery]], reject: Reject, *, fresh: bool) -> None:
        if not lines:
            return
        if fresh and target.name not in self._merging:
            try:
                with self._own.transaction():
                    self._copy(identifier(target.name), target, lines)
            except psycopg.errors.UniqueViolation:
                self._merging.add(target.name)  # some are there already, after a reset say
            except (psycopg.DataError, psycopg.errors.DatatypeMismatch):
                pass  # the merge says which, and casts
            else:
                return
        self._refusing(lines, lambda part: self._merge(target, part), reject)

    def _merge(self, target: Target, lines: list[tuple[bytes, Delivery]]) -> None:
        columns = sql.SQL(", ").join([sql.Identifier(column.name) for column in target.columns])
        temporary = self._own_tables.temporary(target)
        self._copy(temporary, target, lines)
        others = [column.name for column in target.columns if column.name not in target.key]
        updates = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others]
        self._run(
            sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {}").format(
                identifier(target.name),
                columns,
                columns,
                temporary,
                sql.SQL(", ").join(map(sql.Identifier, target.key)),
                sql.SQL("UPDATE SET ") + sql.SQL(", ").join(updates) if updates else sql.SQL("NOTHING"),
            )
        )
        self._run(sql.SQL("DELETE FROM {}").format(temporary))

    def _copy(self, table: sql.Composable, target: Target, lines: list[tuple[bytes, Delivery]]) -> None:
        columns = sql.SQL(", ").join([sql.Identifier(column.name) for column in target.columns])
        with self._own.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table, columns)) as copy:
            for start in range(0, len(lines), _LINES_AT_ONCE):
                copy.write(b"".join([line for line, _ in lines[start : start + _LINES_AT_ONCE]]))

    def _refusing(
        self,
        lines: list[tuple[bytes, Delivery]],
        store: Callable[[list[tuple[bytes, Delivery]]], None],
        reject: Reject,
    ) -> None:
        """Store lines under a savepoint; where the server refuses them, find out which by halves."""
        try:
            with self._own.transaction():
                store(lines)
        except psycopg.DataError as error:
            if len(lines) == 1:
                told = error.diag.message_primary or type(error).__name__
                reject(lines[0][1], BadRecord(f"postgres refuses the row ({error.sqlstate}): {_without_values(told)}"))
                return
            middle = len(lines) // 2
            self._refusing(lines[:middle], store, reject)
            self._refusing(lines[middle:], store, reject)

    def _move(self, target: Target, old: tuple[object, ...], new: tuple[object, ...]) -> None:
        kinds = {column.name: typed(type_of(column.kind)) for column in target.columns}
        texts = [sql.SQL("{} = %s::{}").format(sql.Identifier(name), kinds[name]) for name in target.key]
        table, which = identifier(target.name), sql.SQL(" AND ").join(texts)
        there = sql.SQL("SELECT 1 FROM {} WHERE {}").format(table, which)
        if self._run(there, new) == 0:
            statement = sql.SQL("UPDATE {} SET {} WHERE {}").format(table, sql.SQL(", ").join(texts), which)
            self._run(statement, [*new, *old])
        elif old != new:
            self._run(sql.SQL("DELETE FROM {} WHERE {}").format(table, which), old)

    def _delete(self, target: Target, items: list[Delivery]) -> None:
        if not items:
            return
        kinds = {column.name: column.kind for column in target.columns}
        writer = PostgresWriter(target)
        keys = [writer.bound(target.key, key_of(item)) for item in items]
        arrays = sql.SQL(", ").join(
            [sql.SQL("%s::text[]::{}").format(typed(f"{type_of(kinds[name])}[]")) for name in target.key]
        )
        names = [sql.Identifier(name) for name in target.key]
        self._run(
            sql.SQL("DELETE FROM {0} AS old USING unnest({1}) AS gone ({2}) WHERE {3}").format(
                identifier(target.name),
                arrays,
                sql.SQL(", ").join(names),
                sql.SQL(" AND ").join([sql.SQL("old.{0} = gone.{0}").format(name) for name in names]),
            ),
            [list(texts) for texts in zip(*keys, strict=True)],
        )

    def _patch(self, changes: Changes, patch: Patch, item: Delivery, reject: Reject) -> None:
        target = changes.target
        kinds = {column.name: typed(type_of(column.kind)) for column in target.columns}
        key = PostgresWriter(target).bound(target.key, key_of(item))
        to_set = [sql.SQL("{} = %s::{}").format(sql.Identifier(name), kinds[name]) for name in patch.names]
        which = [sql.SQL("{} = %s::{}").format(sql.Identifier(name), kinds[name]) for name in target.key]
        if not to_set:
            return
        found = self._run(
            sql.SQL("UPDATE {} SET {} WHERE {}").format(
                identifier(target.name), sql.SQL(", ").join(to_set), sql.SQL(" AND ").join(which)
            ),
            [*patch.values, *key],
        )
        if not found:
            reject(item, missing_row(target))


def _make_books(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    row = connection.execute("SELECT to_regclass(%s)", (BOOKS,)).fetchone()
    if row is None or row[0] is None:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {BOOKS} "
            "(task text PRIMARY KEY, epoch bigint NOT NULL, position text, committed timestamptz)"
        )


def _without_values(message: str) -> str:
    """Return a message without what it quotes: that may be a row's value."""
    return message.partition(":")[0]
