"""Records side by side: what is found out in one go is what a look at each would find."""

from __future__ import annotations

from array import array

import pytest

from tailrace.core.stored import Places, alike, span
from tailrace.event import StoredRecord

MARK = b"\x00\x00\x00\x00\x07"


def record(offset: int, timestamp: int = 0, /, **others: object) -> StoredRecord:
    plain = StoredRecord("shop.public.goods", 0, offset, timestamp, None, MARK + b"value", ())
    return plain._replace(**others)  # type: ignore[arg-type] # members of all types


@pytest.mark.parametrize(
    "other",
    [
        record(2, topic="shop.public.bads"),
        record(2, partition=1),
        record(2, -1),
        record(2, 100),
        record(2, value=None),
        record(2, value=b""),
        record(2, value=MARK[:-1]),
        record(2, value=b"\x00\x00\x00\x00\x08value"),
        record(2, value="text"),
    ],
)
def test_one_that_differs_is_noticed(other: StoredRecord) -> None:
    records = [record(1), record(2, 99), record(3, value=MARK)]
    assert alike(records, MARK, 0, 100)
    for place in range(len(records)):
        assert not alike([*records[: place + 1], other], MARK, 0, 100)


def test_equal_topics_need_not_be_one_object() -> None:
    assert alike([record(1), record(2, topic="".join(["shop.", "public.goods"]))], MARK, 0, 1)
    assert alike([], MARK, 0, 1)


def test_a_span_is_that_of_the_records_that_are_named() -> None:
    records = [record(place, time) for place, time in enumerate([-5, 7, 3, 7, 2**62])]
    assert span(records, 1, 4) == (3, 7)
    assert span(records, 0, 5) == (-5, 2**62)
    assert span(records, 2, 3) == (3, 3)
    for first, end in [(1, 1), (-1, 2), (4, 6), (3, 2)]:
        with pytest.raises(ValueError, match="records"):
            span(records, first, end)


def test_places_are_columns_and_headers_have_rows() -> None:
    places, headers = Places(), [("name", b"value")]
    records = [record(40, 1), record(41, -2, headers=headers), record(2**60, 3)]
    assert places.extend(records, 1, 3) == [(0, headers)]
    assert places.extend(records, 0, 2) == [(3, headers)]
    assert places.extend(records, 2, 2) == []
    assert len(places) == 4
    offsets, times = places.take()
    assert array("q", offsets).tolist() == [41, 2**60, 40, 41]
    assert array("q", times).tolist() == [-2, 3, 1, -2]
    assert (len(places), places.take()) == (0, (b"", b""))


def test_what_is_no_record_is_refused() -> None:
    whole, strange = record(1), (1, 2, 3)
    for damaged in ([whole, strange], [whole, None], [whole, whole._replace(offset=2**64)]):
        places = Places()
        with pytest.raises((TypeError, OverflowError)):
            places.extend(damaged, 0, 2)  # type: ignore[arg-type] # that is what is tried
        places.extend([whole], 0, 1)
        assert [len(column) % 8 for column in places.take()] == [0, 0]
    with pytest.raises(TypeError):
        alike([whole, strange], MARK, 0, 1)  # type: ignore[list-item] # that is what is tried
