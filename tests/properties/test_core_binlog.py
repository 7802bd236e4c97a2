"""The compiled core and its Python twins do the same with MySQL's rows: records of them, and changes out of events."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from struct import pack
from zlib import crc32

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.core.cutter import Cutter, Mapped
from tailrace.core.events import cut_events
from tailrace.core.told import Told, cut_changes, take_rows
from tailrace.event import Change, Event, Table
from tailrace.schema import UNAVAILABLE
from tailrace_mysql.event import decode
from tailrace_mysql.header import Header
from tailrace_mysql.jsonb import text as jsonb_text
from tailrace_mysql.origin import mark
from tailrace_mysql.packet import Packets, framed
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
    cut = cut_changes(Mapped(table, Cutter(widths, key)), Change, op, (present, after, data), origin, 7)
    told = None if cut is None else [(c.op, c.before_wire, c.after_wire, c.at, c.moved) for c in cut]
    assert told == expected
    assert all(change.origin is origin and change.table is table for change in cut or ())


def test_what_is_not_there_moves_nothing() -> None:
    mapped = Mapped(object(), Cutter((4, -1), (0,)))
    images = (b"\x03", b"\x02", b"\x00" + pack("<I", 1) + b"\x01a" + b"\x00\x01b")
    (change,) = cut_changes(mapped, Change, "u", images, None, 1) or []
    assert (change.moved, UNAVAILABLE in BinlogRow("a.t", (4, -1)).cells(change.after_wire or b"")) == (False, True)


@pytest.mark.parametrize("images", [(b"", b"", b""), (b"\x01", b"\x01\x02", b"\x00"), (b"\x01", b"\x01", b"\x00")])
def test_what_cannot_be_cut_is_left_to_python(images: tuple[bytes, bytes, bytes]) -> None:
    assert cut_changes(Mapped(object(), Cutter((4,), ())), Change, "u", images, None, 1) is None


def test_no_cutter_is_made_of_nonsense() -> None:
    with pytest.raises(ValueError, match="-5"):
        Cutter((-5,), ())
    with pytest.raises(IndexError):
        Cutter((4,), (1,))


def rows_event(
    number: int, op: RowOp, columns: int, images: tuple[bytes, bytes, bytes], *, v2: bool, end: int
) -> bytes:
    """Return a rows event as the server writes it."""
    kind = {"c": 30, "u": 31, "d": 32}[op] if v2 else {"c": 23, "u": 24, "d": 25}[op]
    body = number.to_bytes(6, "little") + b"\0\0" + (b"\4\0xy" if v2 else b"") + bytes([columns]) + b"".join(images)
    return pack("<IBIIIH", 1, kind, 7, 19 + len(body) + 4, end, 0) + body


def table_map(number: int, body: bytes, *, end: int, flags: int = 0) -> bytes:
    """Return a table map."""
    return pack("<IBIIIH", 1, 19, 7, 27 + len(body) + 4, end, flags) + number.to_bytes(6, "little") + b"\1\0" + body


def shown_of(change: Event) -> tuple[object, ...]:
    assert isinstance(change, Change)
    return change.table, change.op, change.before_wire, change.after_wire, change.origin, change.at, change.moved


@settings(max_examples=200, deadline=None)
@given(rows_events(), st.booleans())
def test_events_are_taken_as_python_reads_them(
    event: tuple[list[str], tuple[int, ...], RowOp, tuple[bytes, bytes, bytes]], v2: bool
) -> None:
    columns, key, op, images = event
    cutter, table, origin = Cutter([COLUMNS[name].width for name in columns], key), object(), Spot()
    data = rows_event(5, op, len(columns), images, v2=v2, end=1000)
    read = decode(data)
    assert isinstance(read, Rows)
    assert (read.op, read.width, read.present, read.present_after, read.data) == (op, len(columns), *images)
    mapped = Mapped(table, cutter)
    expected = cut_changes(mapped, Change, op, images, origin, mark(read.header.start_pos, 0))
    other = rows_event(6, op, len(columns), images, v2=v2, end=900)
    named = table_map(5, b"goods", end=950)
    backlog, told = deque([other, named, data, b"what python knows"]), Told(Change)
    maps = {6: Mapped(None, cutter)}, {b"goods": mapped}
    taken = take_rows(backlog, maps, origin, told, 10**6, 10**6)
    assert maps[0][5] is mapped
    before = len(other) + len(named)
    if expected is None:
        assert (list(backlog), list(told), taken) == ([data, b"what python knows"], [], (0, before, 950))
        return
    assert (list(backlog), taken) == ([b"what python knows"], (len(told), before + len(data), 1000))
    shown = [shown_of(change) for change in told]
    assert shown == [shown_of(change) for change in expected]


def test_no_event_is_taken_of_an_unknown_table_or_width_or_beyond_the_bounds() -> None:
    images = (b"\x01", b"", b"\0" + pack("<I", 1))
    events = [rows_event(5, "c", width, images, v2=True, end=100) for width in (1, 1, 2)]
    backlog, told = deque(events), Told(Change)
    known = {5: Mapped(object(), Cutter((4,), (0,)))}, dict[bytes, Mapped]()
    assert take_rows(backlog, ({}, {}), None, told, 9, 10**6) == (0, 0, -1)
    assert take_rows(backlog, known, None, told, 1, 10**6) == (1, len(events[0]), 100)
    assert take_rows(backlog, known, None, told, 9, 10**6) == (1, len(events[1]), 100)
    assert list(backlog) == [events[2]]


@st.composite
def dumped(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Events, and the packets that they come in; the last of these may be something else."""
    events = draw(st.lists(st.binary(min_size=19, max_size=60).filter(lambda event: event[4] != 15), max_size=6))
    octets = b"".join(
        framed(b"\0" + event + pack("<I", crc32(event)), number & 0xFF) for number, event in enumerate(events, 250)
    )
    return events, octets + draw(st.sampled_from([b"", framed(b"\xff\x01\x00no", 0), framed(b"\0" * 40, 0), b"\1\0"]))


@settings(max_examples=200, deadline=None)
@given(dumped(), st.integers(1, 7), st.integers(1, 200))
def test_events_come_out_of_packets_as_python_takes_them(told: tuple[list[bytes], bytes], most: int, step: int) -> None:
    events, octets = told
    packets = Packets()
    packets.sequence = 250
    found: list[bytes] = []
    for at in range(0, len(octets), step):
        packets.feed(octets[at : at + step])
        while taken := packets.take_events(most, 10**6):
            assert len(taken) <= most
            found += taken
    assert found == events
    assert packets.sequence == (250 + len(events)) & 0xFF


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6), st.binary(max_size=18))
def test_events_are_cut_out_of_a_block(bodies: list[bytes], rest: bytes) -> None:
    whole = [pack("<IBIIIH", 1, 2, 3, 19 + len(body), 0, 0) + body for body in bodies]
    found: list[bytes] = []
    assert cut_events(b"".join(whole) + rest, found) == sum(map(len, whole))
    assert found == whole


def test_an_event_shorter_than_its_header_is_no_event() -> None:
    with pytest.raises(ValueError, match="18 octets"):
        cut_events(pack("<IBIIIH", 1, 2, 3, 18, 0, 0), [])


def test_table_maps_that_are_unknown_or_in_no_file_are_left_to_python() -> None:
    known = dict[int, Mapped](), {b"goods": Mapped(None, Cutter((), ()))}
    strange = [table_map(5, b"other", end=9), table_map(5, b"goods", end=9, flags=0x20), table_map(5, b"", end=9)[:-1]]
    for event in strange:
        backlog = deque([event])
        assert take_rows(backlog, known, None, Told(Change), 9, 10**6) == (0, 0, -1)
        assert (list(backlog), known[0]) == ([event], {})
