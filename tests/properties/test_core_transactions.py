"""With the core's shortcuts and without them a binlog tells the same: changes, positions, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import cast
from zlib import compress

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.core.told import Told
from tailrace.core.transactions import Whole
from tailrace.errors import TailraceError
from tailrace.event import Change, Event, Table
from tailrace.schema import Schema
from tailrace.snapshot.schedule import Snapshot
from tailrace_mysql.capture import Capture, Followed
from tailrace_mysql.captured import Captured
from tailrace_mysql.gtid import GtidPosition, GtidSet
from tailrace_mysql.order import TableKey
from tailrace_mysql.origin import Place
from tailrace_mysql.position import StreamPosition
from tailrace_mysql.row import BinlogRow
from tailrace_mysql.shortcut import Shortcut
from tailrace_mysql.stream import Stream
from tailrace_mysql.tablemap import TableMap
from tailrace_mysql.transaction import Executed
from unit.mysql.binlog import event, rows_body, table_body

MAP = table_body(b"\x03\x0f", b"\x14\x00", b"\x02")  # int and varchar(20)
OTHER = MAP.replace(b"items", b"goods")
UUIDS = (bytes(range(16)), bytes(16))


class OneTable:
    """A capture of shop.items."""

    def __init__(self) -> None:
        described = TableMap.parse(MAP, mariadb=False)
        table = Table("shop.items", "t", (), (0,), BinlogRow("shop.items", described.widths), Schema("struct"))
        self._captured = Captured(described, table, cast("TableKey", None))

    def of_map(self, body: bytes, _: Snapshot) -> Captured | None:
        return self._captured if body == MAP else None

    def follow(self, *_: object) -> Followed:
        return Followed()

    def refuse_rows(self, *_: object) -> None:
        return


def image(number: int, text: bytes) -> bytes:
    return b"\xfc" + pack("<I", number) + bytes((len(text),)) + text


@st.composite
def rows(draw: st.DrawFn, *, damaged: bool = False) -> bytes:
    kind = draw(st.sampled_from([23, 24, 25, 30, 31, 32]))
    images = draw(st.lists(st.builds(image, st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=4))
    if kind in {24, 31}:
        images += images[:1] * (len(images) % 2)
    after = b"\xff" if kind in {24, 31} else b""
    octets, head = b"".join(images), draw(st.sampled_from([None, None, b"\x81"]))
    if damaged:
        head = draw(st.sampled_from([head, b"\x81", b"\x82\0", b"\x01", b"\x91"]))
    if head is not None:  # MariaDB deflates them all together
        octets = head + bytes((len(octets),)) + compress(octets + (draw(st.sampled_from([b"", b"more"])) * damaged))
        octets = octets[: len(octets) - draw(st.sampled_from([0, 5])) * damaged]
    deflated = 0 if head is None else 143 if kind < 30 else 139
    return event(kind + deflated, rows_body(2, octets, present=b"\xff", after=after, v2=kind >= 30))


@st.composite
def gtid(draw: st.DrawFn) -> bytes:
    number = draw(st.sampled_from([1, 2, 3, 4, 0, -5]))
    times = draw(st.sampled_from([b"", pack("<Q", 5)[:7], pack("<Q", 1 << 55 | 9)[:7] + pack("<Q", 3)[:7], bytes(7)]))
    body = b"\1" + draw(st.sampled_from(UUIDS)) + pack("<qB", number, draw(st.sampled_from([2, 2, 2, 1]))) + bytes(16)
    return event(33, body + times + b"\x20\0\0\0\0")


@st.composite
def mariadb_gtid(draw: st.DrawFn) -> bytes:
    flags = draw(st.sampled_from([4, 4, 4, 6, 1, 64, 0]))
    rest = draw(st.sampled_from([b"", bytes(6), b"\1\2", b"\x10\7\0\0\0", bytes(8), bytes(8) + b"\1\2", b"\1"]))
    return event(162, pack("<QIB", draw(st.integers(1, 9)), draw(st.integers(0, 2)), flags) + rest)


@st.composite
def query(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from([b"BEGIN", b"BEGIN", b"BEGIN", b"SAVEPOINT a", b"COMMIT", b"XA END X'01'", b"begin"]))
    variables = draw(st.sampled_from([b"", b"\0\1\2\3\4", b"\1" + bytes(8)]))
    name = draw(st.sampled_from([b"shop", b"", "läden".encode(), b"\xff"]))
    return event(
        2, pack("<IIBHH", draw(st.integers(0, 9)), 0, len(name), 0, len(variables)) + variables + name + b"\0" + text
    )


def table_map(body: bytes, *, end_pos: int = 1000) -> bytes:
    return event(19, (5).to_bytes(6, "little") + b"\1\0" + body, end_pos=end_pos)


BEGIN = event(2, pack("<IIBHH", 8, 0, 4, 0, 0) + b"shop\0BEGIN")
XIDS = st.sampled_from([event(16, bytes(8)), event(16, bytes(8)), event(16, bytes(3))])
MAPS = st.sampled_from([table_map(MAP), table_map(MAP), table_map(OTHER), table_map(MAP[:-1])])
# Whether rows that nobody wants can be inflated is nothing that the core looks at.
INNER = st.lists(MAPS | rows() | rows() | st.just(event(29, b"\3abc")), max_size=5)
PLAIN = st.lists(rows(damaged=True) | rows() | st.just(event(29, b"\3abc")), max_size=5).map(
    lambda inner: [table_map(MAP), *inner, event(16, bytes(8))]
)
MYSQL = st.builds(lambda head, rest: [head, BEGIN, *rest], gtid(), PLAIN) | st.builds(
    lambda head, begin, inner, end: [head, begin, *inner, end], gtid(), query(), INNER, XIDS
)
MARIADB = st.builds(lambda head, rest: [head, *rest], mariadb_gtid(), PLAIN) | st.builds(
    lambda head, inner, end: [head, *inner, end], mariadb_gtid(), INNER, XIDS
)


def payload(events: Sequence[bytes], *, missing: int = 0, algorithm: int = 0, announced: int | None = None) -> bytes:
    """Return the event that MySQL compresses the events of a transaction into, or that without its last octets."""
    plain = b"".join(events)
    size = len(plain) if announced is None else announced
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(plain) if algorithm == 0 else plain
    packed = packed[: len(packed) - missing]
    fields = [(2, lenenc(algorithm)), (1, lenenc(len(packed))), (3, lenenc(size))]
    head = b"".join(bytes((number, len(value))) + value for number, value in fields)
    return event(40, head + b"\0" + packed)


def lenenc(number: int) -> bytes:
    return bytes((number,)) if number < 251 else b"\xfc" + pack("<H", number)


@st.composite
def compressed(draw: st.DrawFn) -> list[bytes]:
    """Return a transaction of MySQL in two events; some of it damaged, or compressed as nobody does."""
    head, *events = draw(MYSQL)
    events = [one[:13] + bytes(4) + one[17:] if draw(st.booleans()) else one for one in events]
    damage: dict[str, int] = draw(
        st.sampled_from([{}, {}, {}, {"missing": 2}, {"algorithm": 255}, {"algorithm": 7}, {"announced": 9}])
    )
    return [head, payload(events + draw(st.sampled_from([[], [], [BEGIN], [b"x"]])), **damage)]


STRAY = st.sampled_from([[event(27, b"binlog.000001")], [event(16, bytes(8))], [b"short"], [event(99, b"")]])


@st.composite
def binlogs(draw: st.DrawFn, transactions: st.SearchStrategy[list[bytes]]) -> list[bytes]:
    """Return events whose ends rise; now and then one is in no file, or has no end."""
    whole = [one for piece in draw(st.lists(transactions, max_size=6)) for one in piece]
    for place in draw(st.sets(st.integers(0, 40), max_size=1)):
        whole[place:place] = draw(STRAY)
    strange = draw(st.sets(st.integers(0, 60), max_size=1))
    at, placed = 4, []
    for index, one in enumerate(whole):
        at += len(one)
        end, flags = (0, draw(st.sampled_from([0, 0x20]))) if index in strange else (at, 0)
        placed.append(one[:13] + pack("<IH", end, flags) + one[19:] if len(one) >= 19 else one)
    return placed


def shown(change: Event) -> tuple[object, ...]:
    assert isinstance(change, Change)
    origin = change.origin.source_block(change)
    return change.table, change.op, change.before_wire, change.after_wire, change.at, change.moved, tuple(origin)


def run(
    events: Sequence[bytes], executed: Executed | None, capture: OneTable, bounds: tuple[int, int]
) -> tuple[list[object], object]:
    """Return all that is told, and how it ends: where the stream is, or what is wrong."""
    place = Place("shop", "mysql", {"shop.items": ("shop", "items")})
    start = StreamPosition("binlog.000001", 4)
    stream = Stream(start, executed, cast("Capture", capture), Snapshot([]), place, gtids=executed is not None)
    stream.feed(events)
    told: list[object] = []
    try:
        while stream.waiting:
            taken, _ = stream.take(*bounds)
            assert len(taken) <= bounds[0]
            told += map(shown, taken)
    except TailraceError as error:
        return told, (type(error), error.message)
    return told, (stream.position(), stream.commit_time, stream.state, str(stream.executed), stream.streamed)


def check(events: Sequence[bytes], executed: Executed | None, bounds: tuple[int, int]) -> None:
    capture = OneTable()
    told, end = run(events, executed, capture, bounds)
    with pytest.MonkeyPatch.context() as patch:  # hypothesis does not renew fixtures for each example
        patch.setattr(Shortcut, "rows", lambda *_: (0, 0))
        patch.setattr(Shortcut, "transactions", lambda _, __, executed, *___: (Whole(), executed))
        slowly, slow_end = run(events, executed, capture, bounds)
    assert end == slow_end
    # Where it ends badly the last batch is lost, and that may be another one.
    fewer = min(len(told), len(slowly)) if isinstance(end, tuple) and isinstance(end[0], type) else None
    assert told[:fewer] == slowly[:fewer]


BOUNDS = st.tuples(st.integers(1, 30), st.sampled_from([1, 200, 10_000]))


@settings(max_examples=150, deadline=None)
@given(binlogs(MYSQL | compressed()), st.sampled_from([GtidSet(), None]), BOUNDS)
def test_transactions_of_mysql_come_the_same(
    events: list[bytes], executed: GtidSet | None, bounds: tuple[int, int]
) -> None:
    check(events, executed, bounds)


@settings(max_examples=150, deadline=None)
@given(binlogs(MARIADB), st.sampled_from([GtidPosition(), None]), BOUNDS)
def test_transactions_of_mariadb_come_the_same(
    events: list[bytes], executed: GtidPosition | None, bounds: tuple[int, int]
) -> None:
    check(events, executed, bounds)


@pytest.mark.parametrize("packed", [False, True])
def test_plain_transactions_are_taken_whole(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    head = event(33, b"\1" + UUIDS[0] + pack("<qB", 1, 2) + bytes(16) + pack("<Q", 5)[:7] + b"\x20\0\0\0\0")
    inserted = event(30, rows_body(2, image(1, b"a"), present=b"\xff"))
    rest = [BEGIN, table_map(MAP), inserted, event(16, bytes(8))]
    one = [head, payload(rest)] if packed else [head, *rest]
    handled: list[bytes] = []
    handle = Stream._handle

    def noted(stream: Stream, data: bytes, events: Told) -> None:
        handled.append(data)
        handle(stream, data, events)

    monkeypatch.setattr(Stream, "_handle", noted)
    told, end = run([*one, *one, *one], GtidSet(), OneTable(), (100, 10_000))
    # Of the first transaction, whose table was not known, all but its rows.
    assert (len(told), len(handled)) == (3, 5 if packed else 4)
    assert isinstance(end, tuple)


def test_the_events_of_a_compressed_transaction_have_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    head = event(
        33, b"\1" + UUIDS[0] + pack("<qB", 1, 2) + bytes(16) + pack("<Q", 5)[:7] + b"\x20\0\0\0\0", end_pos=300
    )
    inserted = event(30, rows_body(2, image(1, b"a"), present=b"\xff"))
    second = payload([BEGIN, table_map(MAP), inserted, event(16, bytes(8))])
    first = [head, BEGIN, table_map(MAP), inserted, event(16, bytes(8))]
    monkeypatch.setattr(Shortcut, "rows", lambda *_: (0, 0))  # whole transactions alone
    told, _ = run([*first, head, second], GtidSet(), OneTable(), (100, 10_000))
    origin = cast("tuple[object, ...]", cast("tuple[object, ...]", told[1])[6])
    assert 1000 - len(second) in origin
