"""A connection that reads one chunk of a table at a time, without ever waiting.

    BOUND    the key of the chunk's last row is looked for          (autocommit)
    BOUNDED  `upper` has it
    VIEW     the transaction has begun: BEGIN, LOCK TABLE, the view (repeatable read, read only)
    VIEWED   `view` and `signature` have what it sees
    PAUSE    the view was of no use: another one shortly
    ROWS     COPY of the rows between the bounds, into `rows`
    END      the answers to what was sent with it: COMMIT, so that the lock is gone even if nobody asks any more, and
             perhaps the last key of the chunk that follows, which the server looks for while the rows are made events
    READ     all rows are there
    CHANGED  the table is not what the catalogue said

The lock comes first: a statement that rewrites or empties the table makes it look empty to older views, and with the
lock held there can be none between the view and the rows. It is the weakest there is, it holds up no reader or writer.
It does not know which chunks to read, nor when their rows may be emitted; `reading.py` does.
"""

from __future__ import annotations

import time
from collections.abc import Container
from dataclasses import dataclass
from enum import Enum

from psycopg import OperationalError, pq

from tailrace.core.copytext import drain_lines, drain_rows
from tailrace.core.rows import RowQueue, Rows
from tailrace.snapshot.order import Key
from tailrace.snapshot.table import Chunk, TableSnapshot
from tailrace_postgres.catalog import SIGNATURE, CatalogColumn, CatalogTable, row_filter
from tailrace_postgres.connection import Connection, rows_of
from tailrace_postgres.fault import lost_connection, server_fault, sqlstate
from tailrace_postgres.libpq import copy_messages
from tailrace_postgres.lsn import parse_lsn
from tailrace_postgres.order import key_columns
from tailrace_postgres.view import SnapshotView

MOST_BUFFERED = 2 * 1024 * 1024
"""Bytes of rows that wait to be emitted; beyond these the server has to wait, as the socket fills."""

MOST_PER_TURN = 10_000  # rows taken from the connection at once, so that the stream is not kept waiting

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.5

CHANGED_STATES = {"42P01", "42703", "3F000", "42704", "42883", "42804"}
"""What the server says of a table or column that is gone, or has another type: look at the catalogue again."""


class State(Enum):
    """What a reader is doing; see above."""

    IDLE = "idle"
    BOUND = "bound"
    BOUNDED = "bounded"
    VIEW = "view"
    VIEWED = "viewed"
    PAUSE = "pause"
    ROWS = "rows"
    END = "end"
    READ = "read"
    CHANGED = "changed"


@dataclass(slots=True, frozen=True)
class _Bounds:
    """Where a chunk ends whose turn has not come: `upper` is None where the table ends with it."""

    table: TableSnapshot
    lower: Key
    upper: Key | None

    def follows(self, chunk: Chunk) -> bool:
        """Whether they are those of `chunk`."""
        return chunk.table is self.table and chunk.lower == self.lower


class ChunkReader:
    """Reads the chunks it is given. Its owner looks at `state` after each `advance`, and says how to go on."""

    def __init__(self, connection: Connection, publication: str, chunk_rows: int) -> None:
        self.connection = connection
        self.state = State.IDLE
        self.chunk: Chunk | None = None
        self.table: CatalogTable | None = None
        self.rows = RowQueue()
        """Rows of COPY, read and not yet emitted."""
        self.upper: Key | None = None
        self.view: SnapshotView | None = None
        self.signature = ""
        self.read_at = 0
        """When the view was taken, in microseconds since 1970."""
        self.resume_at = 0.0
        self._publication = publication
        self._row_filter = ""
        self._drain = drain_lines
        self._pgconn = connection.pgconn
        self._messages = copy_messages(connection.pgconn)
        self._chunk_rows = chunk_rows
        self._pause = FIRST_PAUSE
        self._results: list[pq.abc.PGresult] = []
        self._ahead: _Bounds | None = None

    @property
    def reading(self) -> bool:
        """Whether to wait for the socket."""
        if self.state is State.ROWS:
            return self.rows.size < MOST_BUFFERED
        return self.state in {State.BOUND, State.VIEW, State.END}

    def holds(self, rows: int, octets: int) -> bool:
        """Whether there are as many rows as can be had now, or at least so many: fewer would be a batch for nothing."""
        return self.state is not State.ROWS or not self.reading or len(self.rows) >= rows or self.rows.size >= octets

    def find_bound(self, chunk: Chunk, table: CatalogTable) -> None:
        """Look for the last key of `chunk`, unless it has been found already."""
        ahead, self._ahead = self._ahead, None
        self.chunk, self.table = chunk, table
        self.view, self.upper, self._row_filter = None, None, ""
        self._pause = FIRST_PAUSE
        if ahead is not None and ahead.follows(chunk):
            self.upper, self.state = ahead.upper, State.BOUNDED
        else:
            self._send(self._bound(chunk.lower), State.BOUND)

    def take_view(self, chunk: Chunk, table: CatalogTable) -> None:
        """Begin the chunk's transaction."""
        self.chunk, self.table = chunk, table
        name = self._name()
        self._send(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
            f"LOCK TABLE {name if table.partitioned else 'ONLY ' + name} IN ACCESS SHARE MODE; "
            f"SELECT pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text, {SIGNATURE.format(oid=table.oid)}"
            f", {row_filter(self.connection, self._publication, table.oid)}",
            State.VIEW,
        )

    def pause(self) -> None:
        """Let go of the view, which is of no use; `state` becomes PAUSE until `resume_at`."""
        self._send("ROLLBACK", State.PAUSE)
        self.resume_at = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def again(self) -> None:
        """Take another view, after a pause."""
        self._finish()
        if self.chunk is not None and self.table is not None:
            self.take_view(self.chunk, self.table)

    def read_rows(self, table: CatalogTable, told: Container[str], *, binary: bool, ahead: bool) -> None:
        """Read the chunk's rows; `table` is its shape under the lock. Of columns not `told`, nulls are read.

        `ahead`: this connection will read the chunk that follows, too, so look for the end of it.
        """
        assert self.chunk is not None
        self.table = table
        names = (column.name for column in table.columns)
        columns = ", ".join(self.connection.identifier(name) if name in told else "NULL" for name in names)
        order = f" ORDER BY {', '.join(self._key_names())}" if table.key() else ""
        where = self._where(self.chunk.lower, self.chunk.upper, only=self.chunk.only, filtered=self._row_filter)
        form = " (FORMAT binary)" if binary else ""
        self._drain = drain_rows if binary else drain_lines
        sql = f"COPY (SELECT {columns} FROM {self._from()} {where}{order}) TO STDOUT{form}; COMMIT"
        if ahead and self.chunk.upper is not None:
            sql += f"; {self._bound(self.chunk.upper)}"
        self._send(sql, State.ROWS)

    def take(self, most: int, most_bytes: int) -> Rows:
        """Give out rows."""
        return self.rows.take(most, most_bytes)

    def release(self) -> None:
        """Let go of the chunk; ready for another one."""
        self.state, self.chunk, self.table = State.IDLE, None, None
        self.rows.clear()

    def advance(self) -> None:
        """Take what has come; raises what `fault.py` makes of errors."""
        try:
            if self.state in {State.BOUND, State.VIEW, State.END}:
                self._collect()
            elif self.state is State.ROWS:
                self._copy()
        except OperationalError as error:
            raise lost_connection(str(error)) from error

    def _send(self, sql: str, state: State) -> None:
        try:
            self._pgconn.send_query(sql.encode())
            self._pgconn.flush()
        except OperationalError as error:
            raise lost_connection(str(error)) from error
        self.state = state
        self._results = []

    def _collect(self) -> None:
        self._pgconn.flush()
        self._pgconn.consume_input()
        while not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is None:
                self._done()
                return
            self._results.append(result)

    def _done(self) -> None:
        results, self._results = self._results, []
        if self.state is State.END:
            self._read(*results)
            return
        failed = next((result for result in results if result.status == pq.ExecStatus.FATAL_ERROR), None)
        if failed is not None:
            self._failed(failed)
        elif self.state is State.BOUND:
            self.upper = _last_key(results[-1])
            self.state = State.BOUNDED
        else:
            xids, high, signature, filtered = rows_of(results[-1])[0]
            self._row_filter = filtered or ""
            self.view = SnapshotView(xids or "", parse_lsn(high or "0/0"))
            self.signature = signature or ""
            self.read_at = time.time_ns() // 1000
            self.state = State.VIEWED

    def _read(self, copied: pq.abc.PGresult, *after: pq.abc.PGresult) -> None:
        """Note that the chunk has been read; a bound that was not found ahead is looked for when it is due."""
        assert self.chunk is not None
        for result in (copied, *after[:1]):
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise server_fault(result)
        if self.chunk.upper is not None and after[1:] and after[1].status == pq.ExecStatus.TUPLES_OK:
            self._ahead = _Bounds(self.chunk.table, self.chunk.upper, _last_key(after[1]))
        self.state = State.READ

    def _failed(self, result: pq.abc.PGresult) -> None:
        if sqlstate(result) not in CHANGED_STATES:
            raise server_fault(result)
        self._rollback()
        self.state = State.CHANGED

    def _copy(self) -> None:
        self._pgconn.flush()
        self._pgconn.consume_input()
        if not self._results:
            if self._pgconn.is_busy():
                return
            result = self._pgconn.get_result()
            if result is None or result.status != pq.ExecStatus.COPY_OUT:
                assert result is not None
                self._failed(result)
                return
            self._results.append(result)
        self._lines()

    def _lines(self) -> None:
        """Take rows until there are enough for a turn, or none are at hand: libpq reads no more than 16 KB at once."""
        taken, fresh = 0, True
        while taken < MOST_PER_TURN and fresh and self.rows.size < MOST_BUFFERED:
            before = len(self.rows)
            got = self._drain(self._messages, self.rows, MOST_PER_TURN - taken)
            if got is not None and got[0] < 0:
                self._results, self.state = [], State.END
                self._collect()
                return
            fresh = len(self.rows) > before
            taken += len(self.rows) - before
            if fresh and got is not None:
                self._pgconn.consume_input()

    def _finish(self) -> None:
        """Take the results of what has been sent; they are there, or as good as."""
        for result in self.connection.results(time.monotonic() + 60.0):
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise server_fault(result)

    def _rollback(self) -> None:
        self._finish()
        self.connection.query("ROLLBACK")

    def _bound(self, lower: Key | None) -> str:
        """Return the question for the last key of a chunk that begins after `lower`: one row more shows it is there."""
        names = ", ".join(self._key_names())
        where = self._where(lower, None)
        return f"SELECT {names} FROM {self._from()} {where} ORDER BY {names} OFFSET {self._chunk_rows - 1} LIMIT 2"

    def _key_names(self) -> list[str]:
        assert self.table is not None
        return [self.connection.identifier(name) for name in self.table.key()]

    def _name(self) -> str:
        assert self.table is not None
        return f"{self.connection.identifier(self.table.schema)}.{self.connection.identifier(self.table.name)}"

    def _from(self) -> str:
        assert self.table is not None
        return self._name() if self.table.partitioned else f"ONLY {self._name()}"

    def _where(self, lower: Key | None, upper: Key | None, *, only: Key | None = None, filtered: str = "") -> str:
        assert self.table is not None
        columns = key_columns(self.table)
        names = ", ".join(self._key_names())
        limits = [(">", lower), ("<=", upper), ("=", only)]
        parts = [f"({names}) {sign} ({self._row(columns, key)})" for sign, key in limits if key is not None]
        if filtered:
            parts.append(f"({filtered})")
        return f"WHERE {' AND '.join(parts)}" if parts else ""

    def _row(self, columns: list[CatalogColumn], key: Key) -> str:
        return ", ".join(
            f"{self.connection.literal(text)}::{column.type_name}" for column, text in zip(columns, key, strict=True)
        )


def _last_key(result: pq.abc.PGresult) -> Key | None:
    """Return the key that ends the chunk; a row beyond it shows that the table goes on."""
    rows = rows_of(result)
    return tuple(text or "" for text in rows[0]) if len(rows) == 2 else None
