"""Rows that wait in the core as they came are encoded as the changes that they stand for."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.core.cutter import Cutter, Mapped
from tailrace.core.told import Told, take_rows
from tailrace.event import At, Change, Table, filled
from tailrace.schema import Value
from tailrace_mysql.row import BinlogRow
from tailrace_mysql.rows import RowOp
from unit.core.binlog_rows import COLUMNS, binlog_cell, table
from unit.core.twins import Pair, outcome
from unit.mysql.binlog import event, rows_body

KINDS: dict[RowOp, int] = {"c": 30, "u": 31, "d": 32}


class Steady:
    """An origin whose blocks differ in nothing but what `at` says."""

    def steady_block(self, _: Table) -> Sequence[Value | At]:
        return ["shop", At(shift=24), At(before="[", after="]"), At(mask=0xFFFFFF)]

    def source_block(self, change: Change) -> Sequence[Value]:
        return filled(self.steady_block(change.table), change.at)


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair()


@st.composite
def told(draw: st.DrawFn) -> Told:
    """Rows of two tables, some of their columns not there, now and then a change of another kind between them."""
    shapes, maps = [], dict[int, Mapped]()
    for number in range(2):
        columns = draw(st.lists(st.tuples(st.sampled_from(sorted(COLUMNS)), st.booleans()), min_size=1, max_size=9))
        key = tuple(draw(st.lists(st.integers(0, len(columns) - 1), unique=True, max_size=2)))
        shape = table(tuple(columns), key, "binlog", draw(st.sampled_from(["null", "epoch", "fail"])))
        assert isinstance(shape.format, BinlogRow)
        maps[number] = Mapped(shape, Cutter(shape.format.widths, key))
        shapes.append((shape, [COLUMNS[spelling] for spelling, _ in columns]))
    events, origin = Told(Change), Steady()
    for _ in range(draw(st.integers(1, 4))):
        number, op = draw(st.integers(0, 1)), draw(st.sampled_from(sorted(KINDS)))
        shape, columns_ = shapes[number]
        whole = b"\xff" * ((len(columns_) + 7) // 8)
        sides = [whole if draw(st.booleans()) else draw(st.binary(min_size=len(whole), max_size=len(whole)))
                 for _ in range(2 if op == "u" else 1)]  # fmt: skip
        cells = [
            [binlog_cell(column) for place, column in enumerate(columns_) if side[place >> 3] >> (place & 7) & 1]
            for side in sides
        ]
        images = b"".join(
            image([draw(st.none() | cell) for cell in side]) for _ in range(draw(st.integers(0, 4))) for side in cells
        )
        body = rows_body(len(columns_), images, present=sides[0], after=b"".join(sides[1:]), table=number)
        take_rows(deque([event(KINDS[op], body)]), (maps, {}), origin, events, 100, 10**6)
        if draw(st.integers(0, 3)) == 0:
            events.append(Change(shape, "t", None, None, origin=origin, at=3))
    return events


def image(cells: Sequence[bytes | None]) -> bytes:
    nulls = sum(1 << place for place, cell in enumerate(cells) if cell is None)
    return nulls.to_bytes((len(cells) + 7) // 8, "little") + b"".join([cell for cell in cells if cell is not None])


@settings(max_examples=300, deadline=None)
@given(events=told())
def test_rows_are_encoded_as_the_changes_that_they_are(pair: Pair, events: Told) -> None:
    changes = list(events)
    for _ in range(2):  # the core takes over where a table is known
        assert outcome(pair.core, events) == outcome(pair.core, changes) == outcome(pair.twin, changes)


def test_events_are_found_from_both_ends() -> None:
    shape = table((("int", True),), (0,), "binlog", "null")
    events, truncated = Told(Change), Change(shape, "t", None, None, origin=Steady())
    maps = {5: Mapped(shape, Cutter((4,), (0,)))}
    rows = event(30, rows_body(1, b"".join(b"\0" + pack("<I", number) for number in (1, 2)), present=b"\1"))
    for _ in range(2):
        assert take_rows(deque([rows]), (maps, {}), Steady(), events, 100, 10**6)[0] == 2
        events.extend([truncated])
    assert [change.op for change in events if isinstance(change, Change)] == ["c", "c", "t"] * 2
    assert events[-1] is events[2] is truncated
    found = events[-2]
    assert isinstance(found, Change)
    assert found.after == {"c0\u00e4": 2}
    for beyond in (6, -7):
        with pytest.raises(IndexError):
            events[beyond]
