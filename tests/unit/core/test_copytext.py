"""Lines of COPY are taken whole, within bounds, and become rows of the snapshot."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.core.copytext import drain_lines, drain_rows
from tailrace.core.rows import RowQueue
from tailrace.errors import BadRecord
from tailrace_postgres.row import WireFormat

lines = st.lists(st.binary(max_size=30), max_size=12)


@given(sent=lines, most=st.integers(0, 15), end=st.sampled_from([0, -1]))
def test_lines_are_drained_without_their_newlines(sent: Sequence[bytes], most: int, end: int) -> None:
    waiting = deque(sent)

    def get_copy_data(_: int) -> tuple[int, memoryview]:
        if not waiting:
            return end, memoryview(b"")
        line = waiting.popleft() + b"\n"
        return len(line), memoryview(line)

    rows = RowQueue()
    got = drain_lines(get_copy_data, rows, most)
    assert rows.size == sum(map(len, sent[:most]))
    assert list(rows.take(len(rows), 1000)) == sent[:most]
    assert got is None if most <= len(sent) else (got is not None and got[0] == end)


HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(4)
TRAILER = b"\xff\xff"


@given(
    sent=st.lists(st.binary(min_size=3, max_size=30), max_size=12), most=st.integers(0, 15),
    extension=st.binary(max_size=9),
)  # fmt: skip
def test_rows_are_drained_without_header_and_trailer(sent: Sequence[bytes], most: int, extension: bytes) -> None:
    messages = [*sent, TRAILER]
    messages[0] = HEADER + len(extension).to_bytes(4, "big") + extension + messages[0]
    waiting = deque(messages)

    def get_copy_data(_: int) -> tuple[int, memoryview]:
        return (len(waiting[0]), memoryview(waiting.popleft())) if waiting else (-1, memoryview(b""))

    rows = RowQueue()
    got = drain_rows(get_copy_data, rows, most)
    assert rows.size == sum(map(len, sent[:most]))
    assert list(rows.take(len(rows), 1000)) == sent[:most]
    assert got is None if most <= len(sent) else (got is not None and got[0] == -1)


@pytest.mark.parametrize("cut", range(1, 19))
def test_a_header_that_is_cut_short_stays_and_is_refused_as_a_row(cut: int) -> None:
    waiting = deque([(HEADER + bytes(4))[:cut]])
    rows = RowQueue()
    drain_rows(lambda _: (cut, memoryview(waiting.popleft())) if waiting else (-1, memoryview(b"")), rows, 9)
    (row,) = rows.take(2, 100)
    assert row == (HEADER + bytes(4))[:cut]
    with pytest.raises(BadRecord):
        WireFormat("binary_copy", "t", 1).cells(row)
