"""The compiled core and its Python twin write the same records, and refuse the same rows with the same words.

Both are driven through `ChangeEncoder` with rows of every type in wire form, sound, at the edges, and damaged.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.core.rows import RowChanges, RowQueue
from tailrace.errors import BadRecord
from tailrace.event import Change, Event
from unit.core.binary_cells import CELLS
from unit.core.rows import TYPES, Spot, batches, binary_copy_row, copy_line, table
from unit.core.twins import Pair, outcome


@pytest.fixture(scope="module")
def pair() -> Pair:
    """One pair for all examples: a table that comes again is known to the core then."""
    return Pair()


@settings(max_examples=300, deadline=None)
@given(events=batches())
def test_both_write_the_same(pair: Pair, events: list[Event]) -> None:
    for _ in range(2):  # the core takes over where a table is known
        assert outcome(pair.core, events) == outcome(pair.twin, events)


@settings(max_examples=200, deadline=None)
@given(events=batches(), first=st.integers(0, 2))
def test_rows_of_a_snapshot_need_no_change_to_be_written(pair: Pair, events: list[Event], first: int) -> None:
    whole = [event for event in events if isinstance(event, Change) and event.after_wire is not None]
    queue, origin = RowQueue(), Spot()
    queue.extend([event.after_wire or b"" for event in whole])
    queue.take(first, 1 << 20)
    rows = queue.take(len(whole), 1 << 20)
    if not rows:
        return
    changes = RowChanges(Change, whole[0].table, rows, origin, 5)
    for _ in range(2):  # at first the core does not know the table
        assert outcome(pair.core, changes) == outcome(pair.twin, list(changes))


PRINTED = sorted(set(TYPES) - {"money", "interval", "int4[]"})
"""Types whose values print themselves as Postgres does."""


@settings(max_examples=400, deadline=None)
@given(rows=st.data(), spelling=st.sampled_from(PRINTED))
def test_binary_and_text_of_a_value_are_the_same(pair: Pair, rows: st.DataObject, spelling: str) -> None:
    columns = (("int4", True), (spelling, True))
    in_text, in_binary = table(columns, (0,), "copy"), table(columns, (0,), "binary_copy")
    text_of = in_binary.columns[1].text
    assert text_of is not None
    cell = rows.draw(CELLS[spelling.partition("(")[0]])
    try:
        text = text_of(cell)
        text.decode()
    except (BadRecord, UnicodeDecodeError):
        return
    wires = [(in_text, copy_line([b"7", text])), (in_binary, binary_copy_row([b"\0\0\0\7", cell]))]
    events: list[list[Event]] = [[Change(shape, "r", None, wire, origin=Spot(), at=1)] for shape, wire in wires]
    by_text, *others = [outcome(encoder, batch) for batch in events for encoder in (pair.twin, pair.core, pair.core)]
    if isinstance(by_text[0], str):  # refused; the words differ
        assert [type(found[0]) for found in others] == [str] * 5
    else:
        assert others == [by_text] * 5
