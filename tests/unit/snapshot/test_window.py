"""Windows: what becomes of a chunk's rows while it is uncertain what its read sees."""

from __future__ import annotations

from tailrace.snapshot.order import IntegerOrder
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import EMIT, TableSnapshot
from tailrace.snapshot.window import TORN, Window


class PlaceView:
    def __init__(self, place: int) -> None:
        self.place = place

    def sees(self, transaction: int) -> bool:
        return transaction <= self.place

    def passed(self, place: int) -> bool:
        return place > self.place

    def to_json(self) -> int:
        return self.place


def table_with_chunks() -> TableSnapshot:
    """Rows 1..10 emitted, 11..20 and 21..30 being read."""
    table = TableSnapshot("t", ["id"], IntegerOrder())
    for upper in ("10", "20", "30"):
        chunk = table.next_chunk()
        assert chunk is not None
        table.bound(chunk, (upper,))
    first = table.flight[0]
    table.start(first, PlaceView(5))
    table.emit(first, None, 10)
    return table


def test_a_change_is_noted_by_the_chunk_that_holds_its_key() -> None:
    table = table_with_chunks()
    second, third = table.flight
    second.window, third.window = Window(), Window()
    for key, row in (("10", "a"), ("11", "b"), ("20", None), ("21", "c"), ("31", "d")):
        table.amend((key,), row)
    assert second.window.rows == {("11",): "b", ("20",): None}
    assert third.window.rows == {("21",): "c"}
    assert not second.window.useless


def test_places_are_looked_up_as_long_as_a_window_is_open() -> None:
    table = TableSnapshot("t", ["id"], IntegerOrder())
    chunk = table.next_chunk()
    assert chunk is not None
    table.bound(chunk, None)
    assert not table.undecided(7)
    chunk.window = Window()
    assert table.undecided(7)
    table.amend(("3",), "row")
    assert chunk.window.rows == {("3",): "row"}
    table.start(chunk, PlaceView(8))
    assert not table.watched


def test_a_change_without_key_or_with_a_torn_row_makes_reads_useless() -> None:
    table = table_with_chunks()
    second, third = table.flight
    second.window, third.window = Window(), Window()
    table.amend(("21",), TORN)
    assert not second.window.useless
    assert third.window.useless
    table.amend(None, None)
    assert second.window.useless


def test_a_chunk_that_counts_as_a_whole_has_no_position_before_its_end() -> None:
    table = table_with_chunks()
    snapshot = Snapshot([table])
    chunk = table.flight[0]
    snapshot.start(chunk, PlaceView(9))
    told = [snapshot.committable]
    chunk.whole = True
    told.append(snapshot.committable)
    snapshot.emit(chunk, None, 3)
    told.append(snapshot.committable)
    assert told == [True, False, True]


def test_entered_transactions_are_not_kept() -> None:
    table = table_with_chunks()
    snapshot = Snapshot([table], known=["b.t", "a.t"])
    snapshot.enter(6, 6)
    state = snapshot.to_json()
    assert state["unseen"] == []
    assert state["known"] == ["a.t", "b.t"]
    assert table.judge(("5",), 6) is EMIT
