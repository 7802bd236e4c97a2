"""Rows into a table of a Postgres replica; the server works while the caller goes on.

    new rows     SAVEPOINT, COPY table                                       sent; `settle` waits for the answer
    others       SAVEPOINT, COPY temporary table                             as they come
                 MERGE INTO table USING temporary table, TRUNCATE, RELEASE   sent, likewise

So the next rows are read and printed while the server stores these. They are merged in the order of their key: rows
that lie together in the table and its index are found, and their new versions indexed, while the pages are at hand.
The temporary table's types are our own, and so it may be given rows in the binary format (`copyline.py`).
Where new rows turn out to be there already, or to need a cast, the savepoint takes them back, and they are merged.
Before Postgres 15, which has MERGE, the statement is INSERT … ON CONFLICT: that locks each row first, which costs a
third more.

Rows that the server refuses are found by halves, each half under a savepoint and waited for.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import pq, sql

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord
from tailrace_replica.copyline import is_tuple
from tailrace_replica.destination import Reject
from tailrace_replica.postgres_fault import translated
from tailrace_replica.postgres_table import PostgresTables, identifier
from tailrace_replica.target import Name, Target

Rows = list[tuple[bytes, Delivery]]
"""Lines or tuples of COPY, and the deliveries that they are of."""

_LINES_AT_ONCE = 2_000
"""Lines that are handed to libpq together."""
_SAVEPOINT = sql.SQL("SAVEPOINT tailrace_merge")
_BACK = sql.SQL("ROLLBACK TO SAVEPOINT tailrace_merge")
_RELEASE = sql.SQL("RELEASE SAVEPOINT tailrace_merge")
_MERGE_SINCE = 150_000
_BINARY = sql.SQL(" (FORMAT binary)")
_TUPLES_BEGIN, _TUPLES_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
"""Signature, flags and the size of no extension; and no further tuple: Postgres manual, COPY, "Binary Format"."""


_NOT_AS_NEW = (psycopg.errors.UniqueViolation, psycopg.DataError, psycopg.errors.DatatypeMismatch)
"""What a merge makes good, or tells more of: rows that are there, values that the table does not take as they are."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was sent, and is not answered yet: a merge, or new rows straight into the table."""

    target: Target
    lines: Rows
    reject: Reject
    new: bool = False


class PostgresMerges:
    """The merges of one connection. Call `settle` before anything else is done with the connection."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], tables: PostgresTables) -> None:
        self._connection = connection
        self._tables = tables
        self._sent: _Sent | None = None
        self._merging: set[Name] = set()

    def store(self, target: Target, lines: Rows, reject: Reject) -> None:
        """Have new rows stored; what the server says of them comes with `settle`."""
        if target.name in self._merging:
            self.send(target, lines, reject)
            return
        self.settle()
        self._connection.execute(_SAVEPOINT)
        self._copying(self._into(identifier(target.name), target))
        pgconn = self._connection.pgconn
        for part in _parts(lines):
            while not pgconn.put_copy_data(part):
                self._flush()
            self._flush()
        while not pgconn.put_copy_end():
            self._flush()
        self._flush()
        self._sent = _Sent(target, lines, reject, new=True)

    def send(self, target: Target, lines: Rows, reject: Reject) -> None:
        """Have rows merged into the table; what the server says of them comes with `settle`."""
        self.settle()
        temporary, sent = self._tables.temporary(target), _Sent(target, lines, reject)
        self._connection.execute(_SAVEPOINT)  # after the temporary table is there: going back would take it away
        try:
            self.copy(temporary, target, lines)
        except psycopg.DataError:
            self._again(sent)
            return
        self._query(self._statement(target))
        self._sent = sent

    def settle(self) -> None:
        """Wait for the answer to what was sent last, and hand refused rows back; what is raised names its table."""
        sent, self._sent = self._sent, None
        if sent is not None:
            with translated(f"write to table {sent.target.label}"):
                self._settle(sent)

    def refusing(self, lines: Rows, store: Callable[[Rows], None], reject: Reject) -> None:
        """Store lines under a savepoint; where the server refuses them, find out which by halves."""
        try:
            with self._connection.transaction():
                store(lines)
        except psycopg.DataError as error:
            if len(lines) == 1:
                told = error.diag.message_primary or type(error).__name__
                reject(lines[0][1], BadRecord(f"postgres refuses the row ({error.sqlstate}): {_without_values(told)}"))
                return
            middle = len(lines) // 2
            self.refusing(lines[:middle], store, reject)
            self.refusing(lines[middle:], store, reject)

    def copy(self, table: sql.Composable, target: Target, rows: Rows) -> None:
        """Copy lines and tuples into a table."""
        into = self._into(table, target)
        lines = [row for row in rows if not is_tuple(row[0])]
        if lines:
            with self._connection.cursor().copy(into) as copy:
                for part in _parts(lines):
                    copy.write(part)
        if len(lines) == len(rows):
            return
        with self._connection.cursor().copy(into + _BINARY) as copy:
            copy.write(_TUPLES_BEGIN)
            for part in _parts(rows if not lines else [row for row in rows if is_tuple(row[0])]):
                copy.write(part)
            copy.write(_TUPLES_END)

    def _into(self, table: sql.Composable, target: Target) -> sql.Composed:
        columns = _listed([sql.Identifier(column.name) for column in target.columns])
        return sql.SQL("COPY {} ({}) FROM STDIN").format(table, columns)

    def _settle(self, sent: _Sent) -> None:
        try:
            self._answer()
        except _NOT_AS_NEW as error:
            if sent.new:
                self._merge_after(error, sent)
            elif isinstance(error, psycopg.DataError):
                self._again(sent)
            else:
                raise
        else:
            if sent.new:
                self._connection.execute(_RELEASE)

    def _merge_after(self, error: psycopg.Error, sent: _Sent) -> None:
        """Take new rows back, and merge them; wait for it."""
        self._back()
        if isinstance(error, psycopg.errors.UniqueViolation):
            self._merging.add(sent.target.name)  # some are there already, after a reset say
        self.send(sent.target, sent.lines, sent.reject)
        self.settle()

    def _back(self) -> None:
        self._connection.execute(_BACK)
        self._connection.execute(_RELEASE)

    def _again(self, sent: _Sent) -> None:
        self._back()

        def merge(part: Rows) -> None:
            temporary = self._tables.temporary(sent.target)
            self.copy(temporary, sent.target, part)
            self._connection.execute(self._upsert(sent.target, temporary))
            self._connection.execute(sql.SQL("TRUNCATE {}").format(temporary))

        self.refusing(sent.lines, merge, sent.reject)

    def _query(self, statement: sql.Composed) -> None:
        self._connection.pgconn.send_query(statement.as_bytes(self._connection))
        self._flush()

    def _flush(self) -> None:
        pgconn = self._connection.pgconn
        while pgconn.flush():
            select.select([], [pgconn.socket], [])

    def _copying(self, statement: sql.Composed) -> None:
        """Begin a COPY from here; raises what the server has against it."""
        self._query(statement)
        result = self._result()
        if result is not None and result.status != pq.ExecStatus.COPY_IN:
            self._answer(result)

    def _result(self) -> pq.abc.PGresult | None:
        pgconn = self._connection.pgconn
        while pgconn.is_busy():
            select.select([pgconn.socket], [], [])
            pgconn.consume_input()
        return pgconn.get_result()

    def _answer(self, first: pq.abc.PGresult | None = None) -> None:
        """Take all results of the query, of which `first` has been taken; raises the first error among them."""
        result, failed = first or self._result(), None
        while result is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR and failed is None:
                failed = psycopg.errors.error_from_result(result)
            result = self._result()
        if failed is not None:
            raise failed

    def _statement(self, target: Target) -> sql.Composed:
        temporary = self._tables.temporary(target)
        steps = [self._upsert(target, temporary), sql.SQL("TRUNCATE {}").format(temporary), _RELEASE]
        return sql.SQL("; ").join(steps)

    def _upsert(self, target: Target, temporary: sql.Identifier) -> sql.Composed:
        names = [sql.Identifier(column.name) for column in target.columns]
        key = [sql.Identifier(name) for name in target.key]
        others = [sql.Identifier(column.name) for column in target.columns if column.name not in target.key]
        table = identifier(target.name)
        rows = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(_listed(names), temporary, _order(target))
        if self._connection.info.server_version < _MERGE_SINCE:
            return sql.SQL("INSERT INTO {} ({}) {} ON CONFLICT ({}) DO {}").format(
                table, _listed(names), rows, _listed(key), _update(others, "excluded", "NOTHING")
            )
        return sql.SQL(
            "MERGE INTO {} AS old USING ({}) AS new ON {} WHEN MATCHED THEN {} "
            "WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})"
        ).format(
            table,
            rows,
            sql.SQL(" AND ").join([sql.SQL("old.{0} = new.{0}").format(name) for name in key]),
            _update(others, "new", "DO NOTHING"),
            _listed(names),
            _listed([sql.SQL("new.{}").format(name) for name in names]),
        )


def _parts(lines: Rows) -> Iterator[bytes]:
    for start in range(0, len(lines), _LINES_AT_ONCE):
        yield b"".join([line for line, _ in lines[start : start + _LINES_AT_ONCE]])


def _listed(names: list[sql.Identifier] | list[sql.Composed]) -> sql.Composed:
    return sql.SQL(", ").join(names)


def _order(target: Target) -> sql.Composed:
    """Return the key's columns to sort by; texts by their octets, which is quick, and near enough to any collation."""
    texts = {column.name for column in target.columns if column.kind.name == "text"}
    plain, octets = sql.SQL("{}"), sql.SQL('{} COLLATE "C"')
    return _listed([(octets if name in texts else plain).format(sql.Identifier(name)) for name in target.key])


def _update(names: list[sql.Identifier], source: str, without: LiteralString) -> sql.Composable:
    if not names:
        return sql.SQL(without)
    changes = [sql.SQL("{0} = {1}.{0}").format(name, sql.Identifier(source)) for name in names]
    return sql.SQL("UPDATE SET {}").format(_listed(changes))


def _without_values(message: str) -> str:
    """Return a message without what it quotes: that may be a row's value."""
    return message.partition(":")[0]
