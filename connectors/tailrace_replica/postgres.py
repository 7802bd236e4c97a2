"""A replica in Postgres: rows come by COPY, straight into the table where they are new, else by a temporary one.

    new rows      COPY table; where one is there already after all, back and merge
    others        COPY temporary table, MERGE; both as `postgres_merge.py` has it
    deletes       DELETE … USING unnest(keys)
    position      UPDATE tailrace_replica … WHERE task = … AND epoch = …, in the same transaction

A row that the server refuses is found and handed back. One writer: an advisory lock of the
session refuses a second one, and the epoch fences off a session that lost its lock without noticing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import LiteralString, cast

import psycopg
import structlog
from psycopg import conninfo, sql

from tailrace.codec.delivery import Delivery
from tailrace.codec.registry import AvroSchema
from tailrace.errors import ConfigError
from tailrace.position import Position
from tailrace.source import Finding
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.copyline import is_tuple, line_writer
from tailrace_replica.destination import BOOKS, MOVES, Reject, fenced, held
from tailrace_replica.postgres_fault import translated
from tailrace_replica.postgres_merge import PostgresMerges, Rows
from tailrace_replica.postgres_table import PostgresTables, identifier, one_at_a_time, typed
from tailrace_replica.postgres_type import escaped, text_of, type_of
from tailrace_replica.target import Changes, Half, Lines, Patch, RowWriter, Target, key_of, missing_row

log = structlog.get_logger()

_PLANS = "SET enable_hashjoin = off; SET enable_mergejoin = off"
"""Rows to change are found by their key's index. Statistics of a temporary table are none, and what the planner would
choose for some thousands of rows is to read all of a table that has some hundred thousand."""
_NUMBER = "hashtextextended('tailrace replica ' || %s, 0)"
_LOCK = f"SELECT pg_try_advisory_lock({_NUMBER})"
_END_HOLDER = (
    f"SELECT pid, pg_terminate_backend(pid) FROM pg_locks, {_NUMBER} AS number WHERE granted "
    "AND locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND classid::bigint = number >> 32 & x'ffffffff'::bigint AND objid::bigint = number & x'ffffffff'::bigint "
    "AND objsubid = 1"
)
"""How a lock's number is told: PostgreSQL's manual, chapter "pg_locks"."""


class PostgresWriter:
    """Rows as lines of COPY's text format, or as tuples of its binary one where they are to be merged."""

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

    def lines(self, schema: AvroSchema | None, *, new: bool) -> Lines | None:
        """Return the compiled core's way, where it knows all kinds of the columns."""
        tuples = None if new else line_writer(self._target, schema, binary=True)
        return tuples or line_writer(self._target, schema)

    def bound(self, names: Sequence[str], values: Mapping[str, object]) -> tuple[object, ...]:
        """Return the texts of the named columns."""
        return tuple([None if values[name] is None else self._by_name[name](values[name]) for name in names])


class PostgresDestination:
    """A `Destination`."""

    template = "{schema}.{table}"
    ddl_commits = False
    held_rows = 10_000

    def __init__(self, config: ReplicaConfig) -> None:
        self._config = config
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._tables: PostgresTables | None = None
        self._merges: PostgresMerges | None = None
        self._task = ""
        self._epoch = 0

    def open(self, task: str, *, seize: bool = False) -> Position | None:
        """Connect, lock, count the epoch up, return the position."""
        self.close()
        connection = self._connected()
        self._connection, self._task = connection, task
        with translated("open the replica"):
            if not _locked(connection, task) and not (seize and _seized(connection, task)):
                raise held(task)
            connection.execute(_PLANS)
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
        self._merges = PostgresMerges(connection, self._tables)
        return None if row[1] is None else json.loads(str(row[1]))

    def writer(self, target: Target) -> RowWriter:
        """Return what makes lines of COPY."""
        return PostgresWriter(target)

    def prepare(self, target: Target) -> None:
        """Make or alter the table."""
        if target.columns:
            with translated(f"prepare table {target.label}"):
                self._own_merges.settle()
                self._begin()
                self._own_tables.prepare(target)

    def apply(self, changes: Changes, reject: Reject) -> None:
        """Make the changes."""
        target = changes.target
        with translated(f"write to table {target.label}"):
            self._own_merges.settle()
            self._begin()
            if changes.emptied:
                if self._own_tables.types_of(target.name) is not None:
                    self._run(sql.SQL("TRUNCATE {}").format(identifier(target.name)))
                return
            if changes.moved is not None:
                self._move(target, changes.moved)
                return
            if not target.key:
                self._add(target, [(cast("bytes", row), item) for row, item in changes.added], reject)
                return
            self._delete(target, [item for row, item in changes.rows.values() if row is None])
            lines = [(row, item) for row, item in changes.rows.values() if isinstance(row, bytes)]
            self._store(target, lines, reject, fresh=changes.fresh)
            patches = [(row, item) for row, item in changes.rows.values() if isinstance(row, Patch)]
            if patches:
                self._own_merges.settle()
            for patch, item in patches:
                self._patch(changes, patch, item, reject)

    def commit(self, position: Position) -> None:
        """Commit, unless another writer has come meanwhile."""
        with translated("commit to the replica"):
            self._own_merges.settle()
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
        self._connection = self._tables = self._merges = None

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
            if not _locked(connection, task):
                raise held(task)
            _make_books(connection)
            connection.execute(f"DELETE FROM {MOVES}")  # who begins anew meets both halves again
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

    @property
    def _own_merges(self) -> PostgresMerges:
        assert self._merges is not None, "used before open"
        return self._merges

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        with translated("connect to the replica"):
            return psycopg.connect(connection_string(self._config))

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

    def _store(self, target: Target, lines: Rows, reject: Reject, *, fresh: bool) -> None:
        if not lines:
            return
        new = fresh and not any(is_tuple(row) for row, _ in lines)
        (self._own_merges.store if new else self._own_merges.send)(target, lines, reject)

    def _add(self, target: Target, lines: Rows, reject: Reject) -> None:
        merges = self._own_merges
        merges.refusing(lines, lambda part: merges.copy(identifier(target.name), target, part), reject)

    def _move(self, target: Target, half: Half) -> None:
        second = self._own.execute(f"DELETE FROM {MOVES} WHERE mark = %s", (half.mark,)).rowcount
        if not second:
            self._own.execute(f"INSERT INTO {MOVES} VALUES (%s)", (half.mark,))
        if not half.leaving:
            return
        old, new = half.old, half.new
        kinds = {column.name: typed(type_of(column.kind)) for column in target.columns}
        texts = [sql.SQL("{} = %s::{}").format(sql.Identifier(name), kinds[name]) for name in target.key]
        table, which = identifier(target.name), sql.SQL(" AND ").join(texts)
        there = sql.SQL("SELECT 1 FROM {} WHERE {}").format(table, which)
        if not second and self._run(there, new) == 0:
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


def connection_string(config: ReplicaConfig) -> str:
    """Return what libpq is given: the url's settings, and ours where it has none.

    A host that does not answer for about a minute is given up; a statement may take as long as it likes.
    """
    try:
        given = conninfo.conninfo_to_dict(config.url.get_secret_value())
    except psycopg.ProgrammingError:
        # Not chained: the error quotes the string, password and all.
        raise ConfigError("url: is no connection string", hint="postgresql://user:password@host/database") from None
    ours: dict[str, str | int] = {
        "connect_timeout": config.connect_timeout,
        "application_name": "tailrace replica",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }
    return conninfo.make_conninfo("", **{**ours, **given})


def _locked(connection: psycopg.Connection[tuple[object, ...]], task: str) -> bool:
    found = connection.execute(_LOCK, (task,)).fetchone()
    return found is not None and bool(found[0])


def _seized(connection: psycopg.Connection[tuple[object, ...]], task: str) -> bool:
    """Take the lock from whoever holds it: with its connection ended, what it had not committed is undone."""
    for pid, _ in connection.execute(_END_HOLDER, (task,)).fetchall():
        log.warning("taking the replica over", task=task, from_pid=pid)
    connection.execute("SET LOCAL lock_timeout = '10s'")
    connection.execute(f"SELECT pg_advisory_lock({_NUMBER})", (task,))
    connection.execute("SET LOCAL lock_timeout = 0")
    return True


def _make_books(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    row = connection.execute("SELECT to_regclass(%s)", (MOVES,)).fetchone()
    if row is None or row[0] is None:
        one_at_a_time(connection)
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {BOOKS} "
            "(task text PRIMARY KEY, epoch bigint NOT NULL, position text, committed timestamptz)"
        )
        connection.execute(f"CREATE TABLE IF NOT EXISTS {MOVES} (mark text PRIMARY KEY)")
