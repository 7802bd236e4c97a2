"""The compiled core and its Python twins do the same with MySQL's rows: records of them, and changes out of events."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.core.cutter import Cutter
from tailrace.event import Change, Event, Table
from tailrace.schema import UNAVAILABLE
from tailrace_mysql.header import Header
from tailrace_mysql.jsonb import text as jsonb_text
from tailrace_mysql.row import BinlogRow
from tailrace_mysql.rows import RowOp, Rows
from tailrace_mysql.tablemap import TableMap
from unit.core.binlog_rows import COLUMNS, binlog_cell, mysql_batches
from unit.core.jsonb_bytes import jsonb
from unit.core.rows import SOURCE, Spot
from unit.core.twins import Pair, outcome


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair()


@settings(max_examples=500, deadline=None)
@given(events=mysql_batches())
def test_both_write_the_same(pair: Pair, events: list[Event]) -> None:
    for _ in range(2):  # the core takes over where a table is known
        assert outcome(pair.core, events) == outcome(pair.twin, events)


def test_documents_of_the_test_are_what_the_server_writes() -> None:
    # SELECT JSON_OBJECT('a', 1, 'bc', JSON_ARRAY(TRUE, NULL, 1.5, 'x')), as MySQL keeps it
    kept = bytes.fromhex(
        "00 02 00 2a 00 12 00 01 00 13 00 02 00 05 01 00 02 15 00 61 62 63"
        "04 00 1a 00 04 01 00 04 00 00 0b 10 00 0c 18 00 00 00 00 00 00 00 f8 3f 01 78"
    )
    assert jsonb({"a": 1, "bc": [True, None, 1.5, "x"]})[5:] == kept[5:]
    assert jsonb_text(jsonb({"a": 1, "bc": [True, None, 1.5, "x"]})) == '{"a": 1, "bc": [true, null, 1.5, "x"]}'


def moved(table: Table, before: bytes, after: bytes) -> bool:
    """Whether a column of the key that the row after has is not what it was."""
    old, new = table.format.cells(before), table.format.cells(after)
    return any(isinstance(new[place], bytes) and new[place] != old[place] for place in table.key)


@st.composite
def rows_events(draw: st.DrawFn) -> tuple[list[str], tuple[int, ...], RowOp, tuple[bytes, bytes, bytes]]:
    """Columns, key, and the present bits and images of an event; some of it damaged."""
    columns = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=11))
    key = tuple(draw(st.lists(st.integers(0, len(columns) - 1), unique=True, max_size=2)))
    op: RowOp = draw(st.sampled_from(["c", "u", "d"]))
    octets = (len(columns) + 7) // 8
    some = st.binary(min_size=octets, max_size=octets)
    present, after = draw(st.just(b"\xff" * octets) | some), draw(st.just(b"\xff" * octets) | some)
    data = b""
    for _ in range(draw(st.integers(0, 4))):
        before = draw(image(columns, present))
        same = op == "u" and present == after and draw(st.booleans())
        data += before + (before if same else draw(image(columns, after)) if op == "u" else b"")
    damage = draw(st.none() | st.none() | st.tuples(st.integers(0, len(data)), st.binary(max_size=2)))
    if damage is not None:
        data = data[: damage[0]] + damage[1] + data[damage[0] + 1 :]
    return columns, key, op, (present, after if op == "u" else b"", data)


@st.composite
def image(draw: st.DrawFn, columns: Sequence[str], present: bytes) -> bytes:
    there = [name for place, name in enumerate(columns) if present[place >> 3] >> (place & 7) & 1]
    cells = [draw(st.none() | binlog_cell(COLUMNS[name])) for name in there]
    nulls = sum(1 << place for place, cell in enumerate(cells) if cell is None)
    return nulls.to_bytes((len(there) + 7) // 8, "little") + b"".join([cell for cell in cells if cell is not None])


@settings(max_examples=300, deadline=None)
@given(rows_events())
@example((["int"], (0,), "u", (b"\x01", b"\x01", b"\x00" + pack("<I", 1) + b"\x00" + pack("<I", 2))))
def test_rows_are_cut_into_the_same_changes(
    event: tuple[list[str], tuple[int, ...], RowOp, tuple[bytes, bytes, bytes]],
) -> None:
    columns, key, op, (present, after, data) = event
    shapes = [COLUMNS[name] for name in columns]
    widths = tuple(shape.width for shape in shapes)
    table = Table("a.t", "shop.a.t", (), key, BinlogRow("a.t", widths), SOURCE)
    map_ = TableMap("a", "t", tuple(s.kind for s in shapes), tuple(s.meta for s in shapes), (), widths=widths)
    header = Header(0, 30, 1, 0, 0, 0)
    try:
        expected = [
            (op, old, new, at, old is not None and new is not None and moved(table, old, new))
            for at, (old, new) in enumerate(
                Rows(header, 1, op, False, len(widths), present, after, data).images(map_), 7
            )
        ]
    except ValueError:
        expected = None
    origin = Spot()
    cut = Cutter(widths, key).changes(Change, table, op, (present, after, data), origin, 7)
    told = None if cut is None else [(c.op, c.before_wire, c.after_wire, c.at, c.moved) for c in cut]
    assert told == expected
    assert all(change.origin is origin and change.table is table for change in cut or ())


def test_what_is_not_there_moves_nothing() -> None:
    cutter = Cutter((4, -1), (0,))
    images = (b"\x03", b"\x02", b"\x00" + pack("<I", 1) + b"\x01a" + b"\x00\x01b")
    (change,) = cutter.changes(Change, None, "u", images, None, 1) or []
    assert (change.moved, UNAVAILABLE in BinlogRow("a.t", (4, -1)).cells(change.after_wire or b"")) == (False, True)


@pytest.mark.parametrize("images", [(b"", b"", b""), (b"\x01", b"\x01\x02", b"\x00"), (b"\x01", b"\x01", b"\x00")])
def test_what_cannot_be_cut_is_left_to_python(images: tuple[bytes, bytes, bytes]) -> None:
    assert Cutter((4,), ()).changes(Change, None, "u", images, None, 1) is None


def test_no_cutter_is_made_of_nonsense() -> None:
    with pytest.raises(ValueError, match="-5"):
        Cutter((-5,), ())
    with pytest.raises(IndexError):
        Cutter((4,), (1,))
