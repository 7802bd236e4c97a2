"""The stream takes rows through the compiled core as it takes them without: same changes, positions and errors.

The messages are a transaction of inserts, updates and deletes of tables with and without a key, captured or not, whole
or damaged, with relations described again in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from struct import pack
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.core.pgoutput import Received, drain
from tailrace.errors import TailraceError
from tailrace.event import Change, Event, Table
from tailrace.schema import UNAVAILABLE
from tailrace.snapshot.schedule import Snapshot
from tailrace_postgres import stream as stream_module
from tailrace_postgres.origin import Place
from tailrace_postgres.pgoutput import Relation
from tailrace_postgres.position import StreamPosition
from tailrace_postgres.stream import Stream
from tailrace_postgres.table import Tables
from unit.core.rows import table, tuple_data

SHAPES = {
    1: table((("int4", True), ("text", False)), (0,), "tuple"),
    2: table((("text", False),), (), "tuple"),
    3: None,
    4: table((("text", True), ("int4", True), ("text", False)), (1, 0), "tuple"),
}
COLUMNS = {1: 2, 2: 1, 3: 1, 4: 3}
BEGIN = b"B" + pack(">QqI", 5000, 1, 77)
COMMIT = b"C" + pack(">BQQq", 0, 5000, 5008, 1)


class FakeTables:
    """Gives the tables of `SHAPES`."""

    in_binary = False

    def of_relation(self, relation: Relation) -> Table | None:
        return SHAPES[relation.oid]

    def joined(self, oid: int) -> bool:
        return False


def relation(oid: int) -> bytes:
    columns = b"".join([b"\x00c%d\x00" % index + pack(">Ii", 25, -1) for index in range(COLUMNS[oid])])
    return b"R" + pack(">I", oid) + b"s\x00t%d\x00f" % oid + pack(">H", COLUMNS[oid]) + columns


cells = st.sampled_from([b"", b"1", b"22", None, UNAVAILABLE])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    oid = draw(st.sampled_from(sorted(SHAPES)))
    if not draw(st.integers(0, 14)):
        return relation(oid)
    row = st.tuples(*[cells] * COLUMNS[oid]).map(tuple_data)
    kind = draw(st.sampled_from(["I", "U", "D", "U"]))
    old = draw(row) if kind == "D" or (kind == "U" and draw(st.booleans())) else None
    new = None if kind == "D" else old if old and draw(st.booleans()) else draw(row)
    message = kind.encode() + pack(">I", oid)
    message += b"" if old is None else draw(st.sampled_from([b"K", b"O"])) + old
    message += b"" if new is None else b"N" + new
    if draw(st.integers(0, 24)):
        return message
    at = draw(st.integers(0, len(message)))
    return message[:at] + draw(st.binary(max_size=2)) + message[at + 1 :]


def told(events: Sequence[Event]) -> list[object]:
    return [
        (one.table, one.op, one.before_wire, one.after_wire, one.at, one.moved)
        for one in events
        if isinstance(one, Change)
    ]


def run(received: Sequence[Received], start: StreamPosition, bounds: tuple[int, int]) -> list[object]:
    """Return what each `take` gave, with the position after it, and the words of the error at the end, if any."""
    place = Place("shop", "db", {"a.t": ("a", "t")})
    stream = Stream(start, cast("Tables", FakeTables()), Snapshot([]), place)
    stream.feed(received)
    found: list[object] = []
    try:
        while stream.waiting:
            events, size = stream.take(*bounds)
            found.append((told(events), size, stream.position))
    except TailraceError as error:
        found.append(str(error))
    return found


@settings(max_examples=500, deadline=None)
@given(
    rows=st.lists(messages(), max_size=25),
    skip=st.sampled_from([None, 0, 3]),
    bounds=st.tuples(st.integers(1, 30), st.sampled_from([1, 60, 10_000])),
)
def test_rows_come_the_same_with_and_without_the_core(
    rows: Sequence[bytes], skip: int | None, bounds: tuple[int, int]
) -> None:
    whole = [BEGIN, *map(relation, SHAPES), *rows, COMMIT]
    received = [Received(4000 + number, data) for number, data in enumerate(whole)]
    start = StreamPosition(0, None, 10) if skip is None else StreamPosition(5000, skip, 10)
    with_core = run(received, start, bounds)
    with pytest.MonkeyPatch.context() as patch:  # hypothesis does not renew fixtures for each example
        patch.setattr(stream_module, "take_rows", lambda *_: (0, 0))
        assert run(received, start, bounds) == with_core


frames = st.lists(
    st.binary(max_size=60) | st.binary(max_size=40).map(lambda rest: b"w" + pack(">QQq", 7, 9, 1) + rest), max_size=12
)


@given(octets=frames, most=st.integers(1, 8), most_bytes=st.integers(1, 300))
def test_only_xlog_data_is_drained(octets: Sequence[bytes], most: int, most_bytes: int) -> None:
    waiting = deque(octets)

    def get_copy_data(_: int) -> tuple[int, memoryview]:
        return (len(waiting[0]), memoryview(waiting.popleft())) if waiting else (0, memoryview(b""))

    received: list[Received] = []
    got, size = drain(get_copy_data, received, most, most_bytes)
    taken = octets[: len(received)]
    assert [one.data for one in received] == [octet[25:] for octet in taken]
    assert size == sum(map(len, taken))
    if got is None:
        assert len(received) >= most or size >= most_bytes
    elif got[0]:
        following = octets[len(received)]
        assert bytes(got[1]) == following
        assert following[:1] != b"w" or len(following) < 25


def test_a_row_that_was_not_described_is_refused() -> None:
    [words] = run(
        [Received(1, BEGIN), Received(2, b"I\x00\x00\x00\x09N" + tuple_data([b"1"]))],
        StreamPosition(0, None, 1),
        (9, 999),
    )
    assert "came before its description" in str(words)
