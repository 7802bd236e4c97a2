"""The reading of the snapshot: gives chunks to connections, and makes events of their rows when their turn comes.

A chunk's read sees all that had been streamed when it was asked for: the server says so, or another read is taken. What
comes by the stream from then on, up to where the read cannot have seen any more, may or may not be seen: a window notes
those changes of the chunk's rows. When the stream has got there, the chunk, with these rows replaced, is exactly the
table at that place, and its rows are emitted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from socket import socket
from typing import Protocol

import structlog

from tailrace.core.rows import RowChanges, Rows
from tailrace.errors import Fatal
from tailrace.event import Change, Event
from tailrace.snapshot.marker import joined, mark_ends
from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import Chunk, TableSnapshot
from tailrace.snapshot.window import Window
from tailrace_mysql.chunks import ChunkReader, ReadableTable, ReadView, State
from tailrace_mysql.connection import Connection
from tailrace_mysql.fault import RESET
from tailrace_mysql.origin import BinlogOrigin, Place, mark
from tailrace_mysql.place import PlaceView

log = structlog.get_logger()


MOST_TRIES = 5
"""Reads of one chunk that come to nothing before its table is locked for the begin of the next one."""


class Sight(Protocol):
    """What the reading asks of the stream and of the server."""

    exact: bool
    """Whether the server says exactly what a read sees."""
    locks: bool
    """Whether the server does not even say what a read surely sees: only a lock makes one exact."""

    may_lock: bool
    """Whether a lock is of use, and was not refused."""

    def streamed(self) -> object:
        """Return all that has been streamed, in the form that `covered` takes."""
        ...

    def covered(self, view: ReadView, streamed: object) -> bool:
        """Whether a read with `view` saw all of `streamed` and, where views are exact, all that came since."""
        ...

    def place(self) -> int | None:
        """Return the rank of the place that the stream is at, None inside a transaction."""
        ...

    def locked(self, table: ReadableTable) -> AbstractContextManager[bool]:
        """Keep writers from a table for a moment; False: that takes too long now."""
        ...

    def readable(self, table_id: str) -> ReadableTable | None:
        """Return a table as it is now, None where it is gone."""
        ...


class Reading:
    """Drives up to `readers` connections, each of which takes its views with the statements `view_sql`."""

    def __init__(
        self, snapshot: Snapshot, tables: Mapping[str, ReadableTable], *, sight: Sight, place: Place,
        connect: Callable[[], Connection], view_sql: str, readers: int, chunk_rows: int,
    ) -> None:  # fmt: skip
        self._snapshot = snapshot
        self._tables = dict(tables)
        self._sight = sight
        self._place = place
        self._connect = connect
        self._view_sql = view_sql
        self._most = readers
        self._chunk_rows = chunk_rows
        self._readers: list[ChunkReader] = []

    @property
    def connected(self) -> bool:
        """Whether there are connections."""
        return bool(self._readers)

    @property
    def holds(self) -> bool:
        """Whether the stream has to stand still: a table without a key is being emitted."""
        tables = self._snapshot.tables.values()
        return any(table.flight and not table.key and table.flight[0].view is not None for table in tables)

    @property
    def pending(self) -> bool:
        """Whether there is something to receive that no socket shows."""
        return any(reader.reading and reader.connection.pending for reader in self._readers)

    def sockets(self) -> list[socket]:
        """Return what to wait for."""
        return [reader.connection.socket for reader in self._readers if reader.reading]

    def resume_at(self) -> float | None:
        """Return when to go on without anything having come, by the monotonic clock; None: no need."""
        return min((r.resume_at for r in self._readers if r.state is State.PAUSE), default=None)

    def advance(self, now: float) -> None:
        """Let every connection take one step, and give work to those without."""
        for reader in list(self._readers):
            if reader.chunk is not None and reader.chunk.discarded:
                self._hang_up(reader)
                continue
            reader.advance()
            self._step(reader, now)
        if (place := self._sight.place()) is not None:
            self.reached(place)
        while (free := self._free()) is not None and (chunk := self._snapshot.next_chunk()) is not None:
            self._assign(free, chunk)
        if self._snapshot.complete and self._readers:
            log.info("snapshot read", rows=self._snapshot.rows)
            self.close()

    def reached(self, rank: int) -> None:
        """Everything that begins before the place `rank` has been streamed, and nothing else."""
        for reader, chunk in self._due(rank):
            window = chunk.window
            # Its rows are emitted after those of the chunks before it, which may need the stream to go on. But that
            # would stop at the first change that is to be told after these rows: they have to be read later.
            flight = chunk.table.flight
            early = any(other.view is None for other in flight[: flight.index(chunk)])
            if early or (window is not None and window.useless):
                self._again(reader)
                continue
            reader.cut = rank
            self._snapshot.start(chunk, PlaceView(rank))
            reader.amended = {} if window is None else window.rows
            chunk.whole = bool(reader.amended)

    def _due(self, rank: int) -> Iterator[tuple[ChunkReader, Chunk]]:
        """Give the chunks whose view is that of the place `rank`, or of one before, in the order of their rows."""
        due = []
        for reader in self._readers:
            chunk, view = reader.chunk, reader.view
            if chunk is None or view is None or chunk.view is not None or chunk.discarded or view.rank > rank:
                continue
            if reader.checked:
                due.append((chunk.table.flight.index(chunk), reader, chunk))
        for _, reader, chunk in sorted(due, key=itemgetter(0)):
            yield reader, chunk

    def take(self, most: int, most_bytes: int) -> tuple[Sequence[Event], int]:
        """Return events of rows whose turn it is, and about how many bytes they take."""
        events: Sequence[Event] = ()
        size = 0
        for reader in self._readers:
            chunk = reader.chunk
            if chunk is not None and not chunk.discarded and self._snapshot.is_next(chunk):
                rows, rows_size = self._emit(reader, chunk, (most - len(events), most_bytes - size))
                events = joined(events, rows)
                size += rows_size
        return events, size

    def close(self) -> None:
        """Hang up on all connections."""
        for reader in list(self._readers):
            self._hang_up(reader)

    def _free(self) -> ChunkReader | None:
        """Return a connection without work, a new one if there may be one more."""
        if self._snapshot.complete or self._snapshot.holding:
            return None
        for reader in self._readers:
            if reader.state is State.IDLE:
                return reader
        if len(self._readers) >= self._most:
            return None
        reader = ChunkReader(self._connect(), self._view_sql, self._chunk_rows)
        self._readers.append(reader)
        return reader

    def _assign(self, reader: ChunkReader, chunk: Chunk) -> None:
        table = self._tables[chunk.table.name]
        if chunk.bounded:
            self._ask(reader, chunk, table)
        else:
            reader.find_bound(chunk, table)

    def _ask(self, reader: ChunkReader, chunk: Chunk, table: ReadableTable) -> None:
        """Have the chunk read; from now on its changes may or may not be seen."""
        lock = self._sight.locks or (reader.tries >= MOST_TRIES and self._sight.may_lock)
        reader.exact = lock or self._sight.exact
        chunk.window = None if reader.exact else Window()
        if not lock:
            reader.take_view(chunk, table, self._sight.streamed())
            return
        with self._sight.locked(table) as locked:
            if locked:
                reader.take_view_now(chunk, table)
        if locked:
            # At once: nothing notes what the stream brings of these rows, so it must not get past this view's place.
            self._viewed(reader, chunk)
            return
        reader.chunk, reader.table = chunk, table
        reader.pause()

    def _again(self, reader: ChunkReader) -> None:
        """Read the chunk anew, a little later."""
        assert reader.chunk is not None
        reader.chunk.window = None
        reader.pause()

    def _step(self, reader: ChunkReader, now: float) -> None:
        chunk, table = reader.chunk, reader.table
        if chunk is None or table is None:
            return
        if reader.state is State.BOUNDED:
            chunk.table.bound(chunk, reader.upper)
            self._ask(reader, chunk, table)
        elif reader.state is State.VIEWED:
            self._viewed(reader, chunk)
        elif reader.state is State.PAUSE and now >= reader.resume_at:
            self._ask(reader, chunk, self._tables[chunk.table.name])
        elif reader.state is State.CHANGED:
            chunk.window = None
            if self._look_again(chunk.table):
                chunk.table.give_up(chunk)
                reader.release()

    def _viewed(self, reader: ChunkReader, chunk: Chunk) -> None:
        view = reader.view
        assert view is not None
        if chunk.view is not None:
            reader.read_rows(self._tables[chunk.table.name])
            return
        if reader.checked:
            return
        reader.checked = True
        # Under a lock a read sees all of its table that was streamed, though the server does not say so.
        under_lock = reader.exact and not self._sight.exact
        if not (under_lock or self._sight.covered(view, reader.streamed)):
            self._again(reader)
        elif self._look_again(chunk.table) and chunk.table.key:
            # Rows of a table that is read in one pass may be many: they are asked for once the view is accepted.
            reader.read_rows(self._tables[chunk.table.name])

    def _look_again(self, table: TableSnapshot) -> bool:
        """Take the table's shape from the catalogue again; False: the table is gone."""
        now = self._sight.readable(table.name)
        if now is None:
            log.warning("table is gone, its snapshot ends", table=table.name)
            self._snapshot.drop(table)
            return False
        if now.key.names != table.key:
            raise Fatal(
                f"snapshot of {table.name}: the key changed from ({', '.join(table.key)}) to "
                f"({', '.join(now.key.names)}) before all rows were read",
                hint=RESET,
            )
        self._tables[table.name] = now
        return True

    # --- rows ------------------------------------------------------------------------------------------------------

    def _emit(self, reader: ChunkReader, chunk: Chunk, room: tuple[int, int]) -> tuple[Sequence[Event], int]:
        whole = reader.state is State.READ
        # The table's last row is marked as such, so it must be known to be the last.
        keep = 0 if whole or chunk.upper is not None else 1
        rows = reader.take(min(room[0], len(reader.rows) - keep), room[1])
        done = whole and not reader.rows
        if not rows and not done:
            return (), 0
        assert reader.table is not None
        changes = self._changes(reader, chunk, rows, done=done)
        origin = self._origin(reader)
        changes = mark_ends(
            self._snapshot, chunk.table, changes, lambda marker: origin(snapshot=marker),
            last_of_table=done and chunk.upper is None,
        )  # fmt: skip
        self._count(reader, chunk, rows, len(changes), done=done)
        if done:
            log.debug("snapshot chunk done", table=chunk.table.name, rows=chunk.table.rows)
            reader.release()
        return changes, rows.size

    def _count(self, reader: ChunkReader, chunk: Chunk, rows: Rows, emitted: int, *, done: bool) -> None:
        """Note what has been emitted; of a chunk that is whole only when it is all."""
        if done:
            self._snapshot.emit(chunk, None, emitted)
        elif chunk.whole:
            chunk.table.rows += emitted
        elif chunk.table.key:
            self._snapshot.emit(chunk, self._key(reader, rows[-1]), emitted)
        else:
            self._snapshot.emit(chunk, (), emitted)
        if done or chunk.table.key:
            # The stream is at the view's place or beyond it. A table without a key has no place to go on from.
            self._snapshot.passed(reader.cut)

    def _changes(self, reader: ChunkReader, chunk: Chunk, rows: Rows, *, done: bool) -> Sequence[Change]:
        assert reader.table is not None
        assert reader.view is not None
        origin, at = self._origin(reader)(snapshot="true"), mark(reader.view.pos, 0)
        if not chunk.whole:
            return RowChanges(Change, reader.table.table, rows, origin, at)
        amended = reader.amended
        changes: list[Change] = []
        for row in rows:
            key = self._key(reader, row)
            if key not in amended:
                changes.append(Change(reader.table.table, "r", None, row, origin=origin, at=at))
            else:
                changes += _amended(amended.pop(key), origin, at)
        if done:
            for made in amended.values():
                changes += _amended(made, origin, at)
            amended.clear()
        return changes

    def _key(self, reader: ChunkReader, row: bytes) -> Key:
        assert reader.table is not None
        table = reader.table.table
        key = reader.table.key.of_text(table, table.format.cells(row))
        if key is None:
            raise Fatal(f"snapshot of {table.id}: a key column is null", hint=RESET)
        return key

    def _origin(self, reader: ChunkReader) -> Callable[..., BinlogOrigin]:
        assert reader.view is not None
        return functools.partial(BinlogOrigin, self._place, time=reader.read_at, file=reader.view.file)

    def _hang_up(self, reader: ChunkReader) -> None:
        reader.connection.close()
        self._readers.remove(reader)


def _amended(row: object, origin: BinlogOrigin, at: int) -> list[Change]:
    """Return a row that changed while it was uncertain whether it was read so; none where it is gone."""
    if not isinstance(row, Change):
        return []
    return [Change(row.table, "r", None, row.after_wire, origin=origin, at=at)]
