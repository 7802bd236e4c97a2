"""The compiled reader of record batches gives the records that plain Python gives, and the same words for damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.core.batch import read_records
from tailrace.event import Record
from tailrace.log.backend import StoredRecord
from tailrace.log.store.record import BlockBuilder, CorruptBatch, Frame, decode_plainly, decode_records, varint

RECORDS = st.lists(
    st.builds(
        Record,
        st.just("t"),
        st.none() | st.binary(max_size=40),
        st.none() | st.binary(max_size=300),
        st.integers(-(2**40), 2**45),
        st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=9)), max_size=3),
    ),
    max_size=8,
)
Decode = Callable[[bytes, Frame], list[StoredRecord]]


def encoded(records: Sequence[Record]) -> tuple[bytes, Frame]:
    builder = BlockBuilder()
    for record in records:
        builder.add(record)
    block = builder.take()
    return bytes(block.records), Frame("t", 3, 1000, block.timestamps[0], block.count, block.count)


def outcome(decode: Decode, data: bytes, frame: Frame) -> list[StoredRecord] | str:
    try:
        return decode(data, frame)
    except CorruptBatch as error:
        return str(error)


@given(records=RECORDS)
def test_records_are_the_same(records: Sequence[Record]) -> None:
    data, frame = encoded(records)
    found = read_records(data, frame, StoredRecord)
    assert found == decode_plainly(data, frame)
    assert found is not None
    assert [(type(each), each.headers) for each in found] == [
        (StoredRecord, list(record.headers) or ()) for record in records
    ]
    assert len({hash(each._replace(headers=())) for each in found}) == len(found)


def damaged(data: bytes, damage: tuple[int, bytes, int]) -> bytes:
    place, octets, gone = damage
    at = place % (len(data) + 1)
    return data[:at] + octets + data[at + gone :]


@given(
    records=RECORDS,
    damage=st.tuples(st.integers(0, 1000), st.binary(max_size=3), st.integers(0, 3)),
    more=st.integers(-2, 2),
    last=st.integers(-1, 9),
)
@example(records=[Record("t", None, None, 5)], damage=(2, varint(2**62), 1), more=0, last=1)
@example(records=[Record("t", None, None, 5)], damage=(2, b"\xff" * 9 + b"\x03", 1), more=0, last=1)
@settings(max_examples=500, deadline=None)
def test_damage_is_told_in_the_same_words(
    records: Sequence[Record], damage: tuple[int, bytes, int], more: int, last: int
) -> None:
    whole, frame = encoded(records)
    data = damaged(whole, damage)
    frame = replace(frame, count=max(frame.count + more, 0), last_offset_delta=last)
    assert outcome(decode_records, data, frame) == outcome(decode_plainly, data, frame)


def test_numbers_that_do_not_fit_are_left_to_python() -> None:
    data, frame = encoded([Record("t", b"k", b"v", 5)])
    far = replace(frame, base_timestamp=2**63 - 1)
    assert read_records(data, far, StoredRecord) is None
    assert decode_records(data, far) == decode_plainly(data, far)
