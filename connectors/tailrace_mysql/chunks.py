"""A connection that reads one chunk of a table at a time, without ever waiting.

    BOUND    the key of the chunk's last row is looked for                          (autocommit)
    BOUNDED  `upper` has it
    VIEW     the transaction has begun, and the server has said what it surely sees, and what it cannot see
    VIEWED   `view` has that
    ROWS     the rows between the bounds come, into `rows`
    END      COMMIT
    READ     all rows are there
    PAUSE    the read was of no use: another one shortly
    CHANGED  the table is not what the catalogue said

MariaDB says exactly which place of the binlog a snapshot shows. MySQL does not: what had been committed before is
seen, what is written to the binlog later is not, and transactions in between may be. `reading.py` makes up for these,
from the stream; it also says which chunks to read, and when their rows may be emitted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tailrace.core.rows import RowQueue, Rows
from tailrace.event import Table
from tailrace.snapshot.order import Key
from tailrace.snapshot.table import Chunk
from tailrace_mysql.connection import Connection, identifier
from tailrace_mysql.declaration import DeclaredTable
from tailrace_mysql.fault import PassingServerFault, ServerFault
from tailrace_mysql.order import TableKey
from tailrace_mysql.packet import cells
from tailrace_mysql.place import rank
from tailrace_mysql.result import Result
from tailrace_mysql.shape import TableShape

MOST_BUFFERED = 4 * 1024 * 1024
"""Bytes of rows that wait to be emitted; beyond these the server has to wait, as the socket fills."""

MOST_PER_TURN = 512 * 1024  # bytes taken from the connection at once, so that the stream is not kept waiting

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.1

CHANGED_ERRORS = {1054, 1146, 1049, 1109, 1412, 1176}
"""What the server says of a table or column that is gone or was changed: look at the catalogue again."""


class State(Enum):
    """What a reader is doing; see above."""

    IDLE = "idle"
    BOUND = "bound"
    BOUNDED = "bounded"
    VIEW = "view"
    VIEWED = "viewed"
    ROWS = "rows"
    END = "end"
    READ = "read"
    PAUSE = "pause"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class ReadableTable:
    """A table as the snapshot reads it."""

    declared: DeclaredTable
    shape: TableShape
    table: Table
    selected: tuple[str, ...]
    """The expression that reads each column."""
    key: TableKey

    @property
    def name(self) -> str:
        """The name as SQL has it."""
        return f"{identifier(self.shape.database)}.{identifier(self.shape.name)}"


@dataclass(frozen=True, slots=True)
class ReadView:
    """What a snapshot sees: all of `seen` (GTIDs, "" where the view is exact), nothing from `file` and `pos` on."""

    seen: str
    file: str
    pos: int

    @property
    def rank(self) -> int:
        """The rank of the place from which on nothing is seen."""
        return rank(self.file, self.pos)


class ChunkReader:
    """Reads the chunks it is given. Its owner looks at `state` after each `advance`, and says how to go on."""

    def __init__(self, connection: Connection, view_sql: str, chunk_rows: int) -> None:
        self.connection = connection
        self.state = State.IDLE
        self.chunk: Chunk | None = None
        self.table: ReadableTable | None = None
        self.rows = RowQueue()
        """Rows in the text protocol's form, read and not yet emitted."""
        self.upper: Key | None = None
        self.view: ReadView | None = None
        self.streamed: object = None
        """What had been streamed when the view was asked for; the owner's own."""
        self.exact = False
        """Whether the view sees all that begins before its place, in the table at least."""
        self.amended: dict[Key, object] = {}
        """Rows of the chunk that are to be emitted in another form than they were read in, or not at all."""
        self.cut = 0
        """The rank of the place that the chunk shows the table at, once its view is accepted."""
        self.tries = 0
        self.checked = False
        """Whether the owner found that the view sees what it has to."""
        self.read_at = 0
        """When the view was taken, in microseconds since 1970."""
        self.resume_at = 0.0
        self._view_sql = view_sql
        self._chunk_rows = chunk_rows
        self._pause = FIRST_PAUSE

    @property
    def reading(self) -> bool:
        """Whether to wait for the socket."""
        if self.state is State.ROWS:
            return self.rows.size < MOST_BUFFERED
        return self.state in {State.BOUND, State.VIEW, State.END}

    def find_bound(self, chunk: Chunk, table: ReadableTable) -> None:
        """Look for the last key of `chunk`."""
        self.chunk, self.table = chunk, table
        self.view, self.upper, self.tries = None, None, 0
        self._pause = FIRST_PAUSE
        names = ", ".join(map(identifier, table.key.names))
        where = self._where(chunk.lower, None)
        columns = ", ".join(table.selected[column.place] for column in table.key.columns)
        limit = f"LIMIT {self._chunk_rows - 1}, 2"
        self._post(f"SELECT {columns} FROM {table.name} {where} ORDER BY {names} {limit}", State.BOUND)

    def take_view(self, chunk: Chunk, table: ReadableTable, streamed: object) -> None:
        """Begin the chunk's transaction."""
        self.chunk, self.table, self.streamed = chunk, table, streamed
        self.checked = False
        self.tries += 1
        self._post(self._view_sql, State.VIEW)

    def take_view_now(self, chunk: Chunk, table: ReadableTable) -> None:
        """Begin the chunk's transaction and wait for it, as somebody holds a lock for us."""
        self.chunk, self.table, self.checked = chunk, table, False
        status = self.connection.query(self._view_sql)[-1]
        self.view = ReadView("", status[0] or "", int(status[1] or 0))
        self.read_at = time.time_ns() // 1000
        self.state = State.VIEWED

    def read_rows(self, table: ReadableTable) -> None:
        """Read the chunk's rows; `table` is its shape now."""
        assert self.chunk is not None
        self.table = table
        columns = ", ".join(table.selected)
        order = f" ORDER BY {', '.join(map(identifier, table.key.names))}" if table.key.columns else ""
        where = self._where(self.chunk.lower, self.chunk.upper)
        self._post(f"SELECT {columns} FROM {table.name} {where}{order}", State.ROWS)

    def pause(self) -> None:
        """Let go of the view, which is of no use; `state` is PAUSE until `resume_at`."""
        self.connection.query("ROLLBACK")
        self.rows.clear()
        self.view, self.state = None, State.PAUSE
        self.resume_at = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def take(self, most: int, most_bytes: int) -> Rows:
        """Give out rows."""
        return self.rows.take(most, most_bytes)

    def release(self) -> None:
        """Let go of the chunk; ready for another one."""
        self.state, self.chunk, self.table, self.view = State.IDLE, None, None, None
        self.rows.clear()
        self.amended = {}
        self.tries = 0

    def advance(self) -> None:
        """Take what has come; raises `Retriable` when the connection is lost."""
        if not self.reading:
            return
        try:
            self._advance()
        except (ServerFault, PassingServerFault) as fault:
            if fault.number not in CHANGED_ERRORS:
                raise
            self.connection.query("ROLLBACK")
            self.state = State.CHANGED

    def _advance(self) -> None:
        if self.state is State.ROWS:
            results = self.connection.receive(MOST_PER_TURN)
            for result in results:
                self.rows.extend(result.take_rows())
            if not self.connection.busy:
                self._post("COMMIT", State.END)
            return
        answer = self.connection.collect()
        if answer is None:
            return
        if self.state is State.BOUND:
            self._bounded(answer[-1].rows)
        elif self.state is State.VIEW:
            self.view = read_view(answer)
            self.read_at = time.time_ns() // 1000
            self.state = State.VIEWED
        else:
            self.state = State.READ

    def _bounded(self, rows: Sequence[bytes]) -> None:
        # A row beyond the last one shows that the table goes on.
        self.upper = self._key(rows[0]) if len(rows) == 2 else None
        self.state = State.BOUNDED

    def _key(self, row: bytes) -> Key:
        table = self.table
        assert table is not None
        columns = table.table.columns
        return tuple(
            column.of_text(columns[column.place], cell or b"")
            for column, cell in zip(table.key.columns, cells(row), strict=True)
        )

    def _post(self, sql: str, state: State) -> None:
        self.connection.post(sql)
        self.state = state

    def _where(self, lower: Key | None, upper: Key | None) -> str:
        assert self.table is not None
        key = self.table.key
        parts = [f"({key.beyond(lower)})"] if lower is not None else []
        parts += [f"({key.upto(upper)})"] if upper is not None else []
        return f"WHERE {' AND '.join(parts)}" if parts else ""


def read_view(answer: Sequence[Result]) -> ReadView:
    """Return what the answer to a flavour's `view` statements says."""
    values = [[(cell or b"").decode() for cell in cells(row)] for result in answer for row in result.rows]
    if values and values[0][0].lower().startswith("binlog_snapshot_"):
        told = {name.lower(): value for name, value in values}
        return ReadView("", told["binlog_snapshot_file"], int(told["binlog_snapshot_position"]))
    seen, status = values[0][0], values[-1]
    return ReadView(seen.replace("\n", ""), status[0], int(status[1]))
