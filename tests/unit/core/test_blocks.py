"""Blocks of records are what the log's own reader takes for records, each in its partition, none too large."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.core.block import Block, Blocks, partition_hash
from tailrace.errors import BadRecord
from tailrace.event import Record
from tailrace.log.store.partitioner import murmur2, partition_of
from tailrace.log.store.record import Frame, decode_records

octets = st.none() | st.binary(max_size=40) | st.binary(min_size=60, max_size=70) | st.just(b"x" * 9000)
headers = st.lists(st.tuples(st.text(max_size=5), octets), max_size=3)
records = st.builds(
    Record, st.sampled_from(["a", "b"]), octets, octets, st.integers(0, 2**41), headers, st.none() | st.integers(0, 2)
)


def told(record: Record) -> tuple[object, ...]:
    return record.topic, record.key, record.value, record.timestamp_ms, list(record.headers)


def read(block: Block) -> list[Record]:
    """Read a block as the log does."""
    base, latest = block.timestamps
    frame = Frame(block.topic, block.partition, 100, base, block.count, block.count - 1)
    stored = decode_records(block.records, frame)
    assert [one.offset for one in stored] == list(range(100, 100 + block.count))
    assert max(one.timestamp_ms for one in stored) == latest
    return [Record(one.topic, one.key, one.value, one.timestamp_ms, one.headers, one.partition) for one in stored]


@given(given_records=st.lists(records, max_size=20), most=st.sampled_from([1, 200, 1 << 20]))
def test_the_log_reads_what_was_appended(given_records: Sequence[Record], most: int) -> None:
    blocks = Blocks(lambda _: 3, most)
    for record in given_records:
        blocks.append(record)
    taken = blocks.take()
    assert blocks.take() == []
    expected: dict[tuple[str, int], list[object]] = {}
    for record in given_records:
        partition = partition_of(record.key, 3) if record.partition is None else record.partition
        expected.setdefault((record.topic, partition), []).append(told(record))
    found: dict[tuple[str, int], list[object]] = {}
    for block in taken:
        assert list(map(told, read(block))) == [(block.topic, *record) for record in block.decoded()]
        found.setdefault((block.topic, block.partition), []).extend(map(told, read(block)))
    assert found == expected


@given(batches=st.lists(st.lists(records, max_size=6), max_size=5))
def test_blocks_that_are_joined_hold_the_records_of_all(batches: Sequence[Sequence[Record]]) -> None:
    whole = Block("a", 1)
    sizes = []
    for batch in batches:
        part = Block("b", 0)
        assert sum([part.append(record) for record in batch]) == part.size
        sizes.append(whole.extend(part))
        assert part.count == len(batch)
    assert whole.size == sum(sizes)
    expected = [("a", *told(record)[1:]) for batch in batches for record in batch]
    assert list(map(told, read(whole) if whole.count else [])) == expected


@given(key=st.binary(max_size=40))
def test_the_hash_is_the_logs(key: bytes) -> None:
    assert partition_hash(key) == murmur2(key)


def test_a_block_is_closed_once_it_is_full() -> None:
    blocks = Blocks(lambda _: 1, 1000)
    for _ in range(5):
        blocks.append(Record("a", None, b"x" * 600, 1))
    assert [block.count for block in blocks.take()] == [2, 2, 1]
    for _ in range(10_001):
        blocks.append(Record("a", None, None, 1))
    assert max(block.count for block in blocks.take()) <= 10_000


@pytest.mark.parametrize("partition", [-1, 3])
def test_a_partition_that_there_is_not_is_refused(partition: int) -> None:
    blocks = Blocks(lambda _: 3)
    with pytest.raises(BadRecord, match="topic a has 3 partitions"):
        blocks.append(Record("a", b"k", b"v", 1, partition=partition))
    assert blocks.take() == []


def test_partitions_are_counted_once_for_each_topic() -> None:
    asked: list[str] = []

    def count(topic: str) -> int:
        asked.append(topic)
        return 2

    blocks = Blocks(count)
    for topic in "abab":
        blocks.append(Record(topic, b"k", b"v", 1))
        blocks.take()
    assert asked == ["a", "b"]
