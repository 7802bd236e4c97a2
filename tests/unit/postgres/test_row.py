"""Rows of both kinds: what is cut, what is refused, what is filled in."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import BadRecord
from tailrace.schema import UNAVAILABLE
from tailrace_postgres.row import WireFormat, fill_unchanged

CELLS = st.lists(st.one_of(st.none(), st.just(UNAVAILABLE), st.binary(max_size=20)), min_size=1, max_size=6)


def tuple_data(cells: list[object]) -> bytes:
    wire = struct.pack(">H", len(cells))
    for cell in cells:
        if isinstance(cell, bytes):
            wire += b"t" + struct.pack(">I", len(cell)) + cell
        else:
            wire += b"n" if cell is None else b"u"
    return wire


@given(CELLS)
def test_tuple_data(cells: list[object]) -> None:
    wire = tuple_data(cells)
    assert WireFormat("tuple", "t", len(cells)).cells(wire) == cells
    for length in range(len(wire)):
        with pytest.raises(BadRecord, match="row of t"):
            WireFormat("tuple", "t", len(cells)).cells(wire[:length])
    with pytest.raises(BadRecord):
        WireFormat("tuple", "t", len(cells)).cells(wire + b"n")
    with pytest.raises(BadRecord):
        WireFormat("tuple", "t", len(cells) + 1).cells(wire)


def test_binary_values_are_refused() -> None:
    with pytest.raises(BadRecord, match="unknown kind"):
        WireFormat("tuple", "t", 1).cells(b"\0\1b\0\0\0\1x")


@given(st.lists(st.one_of(st.none(), st.binary(max_size=20)), min_size=1, max_size=6))
def test_binary_copy(cells: list[bytes | None]) -> None:
    wire = struct.pack(">H", len(cells)) + b"".join(
        [struct.pack(">i", -1) if cell is None else struct.pack(">i", len(cell)) + cell for cell in cells]
    )
    assert WireFormat("binary_copy", "t", len(cells)).cells(wire) == cells
    for length in range(len(wire)):
        with pytest.raises(BadRecord, match="row of t"):
            WireFormat("binary_copy", "t", len(cells)).cells(wire[:length])
    for other in (wire + b"n", b"\0\1\xff\xff\xff\xfe"):
        with pytest.raises(BadRecord):
            WireFormat("binary_copy", "t", len(cells)).cells(other)


def test_a_binary_tuple_holds_binary_values_only() -> None:
    assert WireFormat("binary_tuple", "t", 3).cells(b"\0\3b\0\0\0\1xnu") == [b"x", None, UNAVAILABLE]
    with pytest.raises(BadRecord, match="unknown kind"):
        WireFormat("binary_tuple", "t", 1).cells(b"\0\1t\0\0\0\1x")


def copied(cells: list[bytes | None]) -> bytes:
    """As the server escapes."""
    escapes = {8: b"\\b", 12: b"\\f", 10: b"\\n", 13: b"\\r", 9: b"\\t", 11: b"\\v", 92: b"\\\\"}
    texts = [b"\\N" if cell is None else b"".join(escapes.get(byte, bytes([byte])) for byte in cell) for cell in cells]
    return b"\t".join(texts)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=20)), min_size=1, max_size=6))
def test_copy_text(cells: list[bytes | None]) -> None:
    line = copied(cells)
    assert WireFormat("copy", "t", len(cells)).cells(line) == cells
    with pytest.raises(BadRecord):
        WireFormat("copy", "t", len(cells) + 1).cells(line)


def test_a_line_of_a_table_without_columns() -> None:
    assert WireFormat("copy", "t", 0).cells(b"") == []


def test_the_text_backslash_n_is_not_null() -> None:
    assert WireFormat("copy", "t", 2).cells(b"\\\\N\t\\N") == [b"\\N", None]


@given(CELLS, st.data())
def test_values_that_were_not_sent_are_taken_from_the_old_row(new: list[object], draw: st.DataObject) -> None:
    old = draw.draw(st.lists(st.one_of(st.none(), st.binary(max_size=5)), min_size=len(new), max_size=len(new)))
    filled = WireFormat("tuple", "t", len(new)).cells(fill_unchanged(tuple_data(new), tuple_data(list(old))))
    expected = [
        before if after is UNAVAILABLE and before is not None else after
        for before, after in zip(old, new, strict=True)
    ]  # fmt: skip
    assert filled == expected
