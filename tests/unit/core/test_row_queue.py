"""Rows come out of the queue as they went in, and are changes of a snapshot for whoever looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.core.rows import RowChanges, RowQueue, Rows
from tailrace.event import Change
from unit.core.rows import Spot, table

lines = st.lists(st.binary(max_size=30), max_size=12)
steps = st.lists(st.tuples(lines, st.integers(0, 9), st.integers(0, 120)), max_size=12)


def queued(rows: Sequence[bytes]) -> RowQueue:
    queue = RowQueue()
    queue.extend(rows)
    return queue


@given(steps=steps)
def test_rows_come_out_in_order_within_the_bounds(steps: Sequence[tuple[Sequence[bytes], int, int]]) -> None:
    queue, held = RowQueue(), deque[bytes]()
    for more, most, most_bytes in steps:
        queue.extend(more)
        held.extend(more)
        assert (len(queue), queue.size) == (len(held), sum(map(len, held)))
        taken = queue.take(most, most_bytes)
        assert list(taken) == [held.popleft() for _ in range(len(taken))]
        assert taken.size == sum(map(len, taken))
        assert len(taken) <= most
        assert not taken or taken.size - len(taken[-1]) < most_bytes
        assert not held or len(taken) == most or taken.size >= most_bytes
    assert list(queue.take(len(held), 10_000)) == list(held)


def test_a_queue_forgets_what_it_is_told_to_forget() -> None:
    queue = queued([b"one", b"two"])
    queue.take(1, 1)
    queue.clear()
    queue.extend([b"three"])
    assert list(queue.take(9, 9)) == [b"three"]


def test_rows_count_from_both_ends_and_have_bounds() -> None:
    rows = queued([b"a", b"", b"bc"]).take(3, 9)
    assert (rows[0], rows[1], rows[-1], rows[-3]) == (b"a", b"", b"bc", b"a")
    for beyond in (3, -4):
        with pytest.raises(IndexError):
            rows[beyond]
    assert not Rows()


def test_rows_are_changes_of_a_snapshot() -> None:
    shape, origin = table((("text", True),), (0,), "copy"), Spot()
    changes = RowChanges(Change, shape, queued([b"a", b"b"]).take(2, 9), origin, 7)
    first, second = changes
    assert len(changes) == 2
    assert (first.op, first.before_wire, first.after_wire, first.at, first.moved) == ("r", None, b"a", 7, False)
    assert first.origin is origin
    assert second.after == {"c0\u00e4": "b"}
