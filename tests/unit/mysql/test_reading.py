"""Which chunks of a snapshot may be emitted, by where the stream is. Readers are set by hand; none is connected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import Chunk, TableSnapshot
from tailrace_mysql.chunks import ChunkReader, ReadView, State
from tailrace_mysql.place import rank
from tailrace_mysql.reading import Reading

FILE = "binlog.000001"


class Numbers:
    """Orders keys that are one number."""

    def ranks(self, keys: Sequence[Key], bounds: Sequence[Key]) -> list[int]:
        return [sum(int(bound[0]) < int(key[0]) for bound in bounds) for key in keys]


class Line:
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    busy = pending = False

    def query(self, sql: str) -> list[tuple[str, str]]:
        self.told.append(sql)
        return [(FILE, "100")]

    def post(self, sql: str) -> None:
        self.told.append(sql)

    def receive(self, _: int) -> list[Any]:
        return []


class Locks:
    """What a server without GTIDs lets the reading ask."""

    exact, locks, may_lock = False, True, True

    def __init__(self, table: object) -> None:
        self.table = table
        self.held = False

    @contextmanager
    def locked(self, _: object) -> Iterator[bool]:
        self.held = True
        yield True
        self.held = False

    def readable(self, _: str) -> object:
        assert not self.held, "a connection that has locked one table sees no other"
        return self.table

    def place(self) -> None:
        return None


class Stage:
    """A table of two chunks, each with its reader; the later one's is looked at first."""

    def __init__(self) -> None:
        self.table = TableSnapshot("db.t", ("id",), Numbers())
        self.snapshot = Snapshot([self.table])
        self.reading = Reading(
            self.snapshot, {}, sight=cast("Any", None), place=cast("Any", None), connect=cast("Any", None), view_sql="",
            readers=2, chunk_rows=5,
        )  # fmt: skip
        self.first, self.second = self._chunk(("5",)), self._chunk(None)
        self.reader_of_first, self.reader_of_second = self._reader(self.first), self._reader(self.second)
        self.reading._readers += [self.reader_of_second, self.reader_of_first]

    def _chunk(self, upper: Key | None) -> Chunk:
        chunk = self.snapshot.next_chunk()
        assert chunk is not None
        self.table.bound(chunk, upper)
        return chunk

    def _reader(self, chunk: Chunk) -> ChunkReader:
        reader = ChunkReader(cast("Any", Line()), "", 5)
        reader.chunk = chunk
        return reader

    def view(self, reader: ChunkReader, pos: int) -> None:
        reader.view, reader.checked, reader.state = ReadView("", FILE, pos), True, State.VIEWED


def test_a_chunk_waits_for_the_ones_before_it() -> None:
    """Else the stream would stop at a change of its rows, and never reach the place that the one before waits for."""
    stage = Stage()
    stage.view(stage.reader_of_first, 200)
    stage.view(stage.reader_of_second, 100)
    stage.reading.reached(rank(FILE, 100))
    assert stage.second.view is None
    assert stage.reader_of_second.state is State.PAUSE
    assert cast("Any", stage.reader_of_second.connection).told == ["ROLLBACK"]
    stage.reading.reached(rank(FILE, 200))
    assert stage.snapshot.is_next(stage.first)
    stage.view(stage.reader_of_second, 300)
    stage.reading.reached(rank(FILE, 300))
    assert stage.second.view is not None


def test_chunks_of_one_place_are_taken_in_their_order() -> None:
    stage = Stage()
    stage.view(stage.reader_of_first, 100)
    stage.view(stage.reader_of_second, 100)
    stage.reading.reached(rank(FILE, 99))
    assert (stage.first.view, stage.second.view) == (None, None)
    stage.reading.reached(rank(FILE, 100))
    assert stage.first.view is not None
    assert stage.second.view is not None


def test_a_read_under_a_lock_is_of_its_place_and_none_after_it() -> None:
    """The stream goes on before anybody looks at the reader again; what it brings after that place is not read."""
    stage = Stage()
    key = SimpleNamespace(names=("id",), columns=(), beyond=lambda _: "", upto=lambda _: "")
    table = SimpleNamespace(name="t", key=key, selected=("id",))
    stage.reading._sight, stage.reading._tables = cast("Any", Locks(table)), {"db.t": cast("Any", table)}
    stage.reader_of_first.table, stage.reader_of_first.state = cast("Any", table), State.PAUSE
    stage.reading.advance(1.0)
    stage.reading.reached(rank(FILE, 100))
    assert stage.snapshot.is_next(stage.first)
    assert stage.reader_of_first.cut == rank(FILE, 100)
