"""The reading of the snapshot: gives chunks to connections, and makes events of their rows when their turn comes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import structlog

from tailrace.core.rows import RowChanges, Rows
from tailrace.errors import Fatal
from tailrace.event import Change, Event, Table
from tailrace.snapshot.marker import joined, mark_ends
from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import Chunk, TableSnapshot
from tailrace_postgres.catalog import Catalog, CatalogTable
from tailrace_postgres.chunks import ChunkReader, State
from tailrace_postgres.connection import Connection
from tailrace_postgres.origin import ChunkOrigin, Place
from tailrace_postgres.row import is_binary, key_of_row
from tailrace_postgres.table import Tables

log = structlog.get_logger()


class Reading:
    """Drives up to `readers` connections. `shapes` are the tables to read, by name; `flushed` makes an LSN durable."""

    def __init__(  # noqa: PLR0913 - keyword-only, one collaborator each
        self,
        snapshot: Snapshot,
        shapes: Mapping[str, CatalogTable],
        *,
        catalog: Catalog,
        tables: Tables,
        place: Place,
        connect: Callable[[], Connection],
        flush: Callable[[int], None],
        publication: str,
        readers: int,
        chunk_rows: int,
    ) -> None:
        self._snapshot = snapshot
        self._shapes = dict(shapes)
        self._catalog = catalog
        self._tables = tables
        self._place = place
        self._connect = connect
        self._flush = flush
        self._publication = publication
        self._most = readers
        self._chunk_rows = chunk_rows
        self._readers: list[ChunkReader] = []
        self._made: dict[ChunkReader, Table] = {}

    @property
    def connected(self) -> bool:
        """Whether there are connections."""
        return bool(self._readers)

    def sockets(self) -> list[int]:
        """Return what to wait for."""
        return [reader.connection.pgconn.socket for reader in self._readers if reader.reading]

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
        self._give_work()
        if self._snapshot.complete and self._readers:
            log.info("snapshot read", rows=self._snapshot.rows)
            self.close()

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
        self._give_work()  # before anybody waits: a connection that has just become free has nothing to wait for
        return events, size

    def close(self) -> None:
        """Hang up on all connections."""
        for reader in list(self._readers):
            self._hang_up(reader)

    def _give_work(self) -> None:
        """Have every connection read that can."""
        while (free := self._free()) is not None and (chunk := self._snapshot.next_chunk()) is not None:
            self._assign(free, chunk)

    def _free(self) -> ChunkReader | None:
        """Return a connection without work, a new one if there may be one more."""
        if self._snapshot.complete or self._snapshot.holding:
            return None
        for reader in self._readers:
            if reader.state is State.IDLE:
                return reader
        if len(self._readers) >= self._most:
            return None
        reader = ChunkReader(self._connect(), self._publication, self._chunk_rows)
        self._readers.append(reader)
        return reader

    def _assign(self, reader: ChunkReader, chunk: Chunk) -> None:
        shape = self._shapes[chunk.table.name]
        if chunk.bounded:
            reader.take_view(chunk, shape)
        else:
            reader.find_bound(chunk, shape)

    def _step(self, reader: ChunkReader, now: float) -> None:
        chunk, shape = reader.chunk, reader.table
        if chunk is None or shape is None:
            return
        if reader.state is State.BOUNDED:
            chunk.table.bound(chunk, reader.upper)
            reader.take_view(chunk, shape)
        elif reader.state is State.VIEWED:
            self._viewed(reader, chunk)
        elif reader.state is State.PAUSE and now >= reader.resume_at:
            reader.again()
        elif reader.state is State.CHANGED:
            self._look_again(chunk.table)
            chunk.table.give_up(chunk)
            reader.release()

    def _viewed(self, reader: ChunkReader, chunk: Chunk) -> None:
        view = reader.view
        assert view is not None
        if reader.signature != self._shapes[chunk.table.name].signature and not self._look_again(chunk.table):
            return  # it is gone, and its chunks are discarded
        if not self._snapshot.start(chunk, view):
            reader.pause()
            return
        # What a server loses in a crash it may do otherwise afterwards, under the same transaction ids: only a view of
        # what cannot be lost is exact.
        self._flush(view.high)
        shape = self._shapes[chunk.table.name]
        made = self._made[reader] = self._tables.of_catalog(shape)
        told = {column.name for column in made.columns}
        reader.read_rows(shape, told, binary=is_binary(made), ahead=self._most == 1)

    def _look_again(self, table: TableSnapshot) -> bool:
        """Take the table's shape from the catalogue again; False: the table is gone."""
        shape = self._catalog.table(table.object_id)
        if shape is None:
            log.warning("table is gone or no longer published, its snapshot ends", table=table.name)
            self._snapshot.drop(table)
            return False
        if shape.key() != table.key:
            raise Fatal(
                f"snapshot of {table.name}: the key changed from ({', '.join(table.key)}) to "
                f"({', '.join(shape.key())}) before all rows were read",
                hint="start the snapshot anew with `tailrace offsets reset`",
            )
        self._shapes[table.name] = shape
        return True

    def _emit(self, reader: ChunkReader, chunk: Chunk, room: tuple[int, int]) -> tuple[Sequence[Event], int]:
        whole = reader.state is State.READ
        if (chunk.only is not None and not whole) or not reader.holds(*room):
            return (), 0
        # The table's last row is marked as such, so it must be known to be the last.
        keep = 0 if whole or chunk.upper is not None else 1
        lines = reader.take(min(room[0], len(reader.rows) - keep), room[1])
        done = whole and not reader.rows
        if not lines and not done:
            return (), 0
        table = self._made[reader]
        last_of_table = done and chunk.upper is None and chunk.only is None
        events = self._events(table, reader, chunk.table, lines, last_of_table=last_of_table)
        key: Key | None = None
        if not done and chunk.only is None:
            key = key_of_row(table, lines[-1])
            if key is None:
                raise Fatal("snapshot: a key column is null", hint="the table's key was changed during its snapshot")
        self._snapshot.emit(chunk, key, len(lines))
        if done:
            log.debug("snapshot chunk done", table=chunk.table.name, rows=chunk.table.rows)
            reader.release()
        return events, lines.size

    def _events(
        self, table: Table, reader: ChunkReader, of: TableSnapshot, lines: Rows, *, last_of_table: bool
    ) -> Sequence[Change]:
        assert reader.view is not None
        origin = functools.partial(ChunkOrigin, self._place, time=reader.read_at)
        changes = RowChanges(Change, table, lines, origin(marker="true"), reader.view.high)
        return mark_ends(self._snapshot, of, changes, lambda marker: origin(marker=marker), last_of_table=last_of_table)

    def _hang_up(self, reader: ChunkReader) -> None:
        reader.connection.close()
        self._readers.remove(reader)
        self._made.pop(reader, None)
