"""Record batches: ours read by independent decoders, theirs by ours, and no damage passes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from aiokafka.record.default_records import DefaultRecordBatch as AioBatch
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AioBuilder
from aiokafka.record.memory_records import MemoryRecords as AioMemory
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import TailraceError
from tailrace.event import Record
from tailrace.log.backend import StoredRecord
from tailrace.log.store.batch import (
    HEADER_SIZE,
    check_crc,
    decode_batch,
    encode_batch,
    encode_sparse,
    read_header,
)
from tailrace.log.store.compression import CODES, Compression, compress
from tailrace.log.store.record import BlockBuilder, CorruptBatch, RecordBlock, read_varint, varint

WRITTEN: Sequence[Compression] = ("none", "lz4", "zstd")
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4

INT64 = st.integers(-(2**63), 2**63 - 1)
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=9)), max_size=3)
RECORDS = st.lists(
    st.builds(
        lambda key, value, timestamp, headers: Record("t", key, value, timestamp, headers),
        st.none() | st.binary(max_size=40),
        st.none() | st.binary(max_size=300),
        st.integers(0, 2**45),
        HEADERS,
    ),
    min_size=1,
    max_size=20,
)

SAMPLE = [
    Record("t", b"k", b"v" * 300, 1_700_000_000_000, [("name", b"1"), ("ü", None)]),
    Record("t", None, b"", 1_600_000_000_000),
    Record("t", b"", None, 1_800_000_000_000),
]


def block_of(records: Sequence[Record]) -> RecordBlock:
    builder = BlockBuilder()
    for record in records:
        builder.add(record)
    return builder.take()


def ours(batch: bytes) -> list[StoredRecord]:
    header = read_header(batch)
    check_crc(header, batch)
    return decode_batch(header, batch, "t", 3)


def content(records: Sequence[Record | StoredRecord]) -> list[tuple[object, ...]]:
    return [(each.timestamp_ms, each.key, each.value, list(each.headers)) for each in records]


@given(number=INT64)
def test_varints_come_back(number: int) -> None:
    data = varint(number)
    assert read_varint(data + b"\xff", 0) == (number, len(data))


def test_a_varint_ends_somewhere() -> None:
    with pytest.raises(CorruptBatch, match="64 bits"):
        read_varint(b"\xff" * 20, 0)


@pytest.mark.parametrize("compression", WRITTEN)
@given(records=RECORDS, base=st.integers(0, 2**60))
def test_a_batch_comes_back(compression: Compression, records: list[Record], base: int) -> None:
    batch = encode_batch(block_of(records), base, CODES[compression])
    back = ours(batch)
    assert content(back) == content(records)
    assert [each.offset for each in back] == list(range(base, base + len(records)))
    header = read_header(batch)
    assert header.size == len(batch)
    assert header.max_timestamp == max(record.timestamp_ms for record in records)
    assert {(each.topic, each.partition) for each in back} == {("t", 3)}


@pytest.mark.parametrize("compression", WRITTEN)
@given(records=RECORDS)
def test_aiokafka_reads_ours(compression: Compression, records: list[Record]) -> None:
    batch = AioBatch(encode_batch(block_of(records), 7, CODES[compression]))
    assert batch.validate_crc()
    assert batch.base_offset == 7
    back = [(each.timestamp, each.key, each.value, list(each.headers)) for each in batch]
    assert back == content(records)


@pytest.mark.parametrize("compression", [0, GZIP, LZ4, ZSTD])
@given(records=RECORDS)
def test_we_read_aiokafkas(compression: int, records: list[Record]) -> None:
    assert content(ours(bytes(build_theirs(records, compression)))) == content(records)


def build_theirs(records: Sequence[Record], compression: int) -> bytes:
    builder = AioBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=5,
        producer_epoch=1,
        base_sequence=9,
        batch_size=1 << 20,
    )
    for number, each in enumerate(records):
        builder.append(number, timestamp=each.timestamp_ms, key=each.key, value=each.value, headers=list(each.headers))
    return bytes(builder.build())


def test_snappy_is_refused_by_name() -> None:
    with pytest.raises(CorruptBatch, match="compression 2 is not supported"):
        ours(build_theirs(SAMPLE, SNAPPY))


def test_what_does_not_shrink_is_not_compressed() -> None:
    batch = encode_batch(block_of([Record("t", b"k", b"v", 1)]), 0, CODES["lz4"])
    assert read_header(batch).attributes == 0


def test_a_batch_may_stand_for_more_offsets_than_it_has_records() -> None:
    builder = BlockBuilder(base_timestamp=99)
    builder.put(3, 50, b"k", None, ())
    batch = encode_sparse(builder.take(), 10, 9, delete_horizon=True)
    header = read_header(batch)
    assert (header.next_offset, header.delete_horizon, header.max_timestamp) == (20, 99, 50)
    assert [(each.offset, each.timestamp_ms) for each in ours(batch)] == [(13, 50)]
    theirs = AioBatch(batch)
    assert [(each.offset, each.timestamp) for each in theirs] == [(13, 50)]


def test_an_empty_batch_is_one_for_others_too() -> None:
    batch = encode_sparse(RecordBlock(b"", 0, (-1, -1)), 10, 9)
    assert ours(batch) == []
    assert read_header(batch).next_offset == 20
    assert list(AioBatch(batch)) == []


def test_control_batches_have_no_records_for_us() -> None:
    batch = bytearray(encode_batch(block_of(SAMPLE), 0))
    batch[22] |= 0x20
    header = read_header(bytes(batch))
    assert decode_batch(header, bytes(batch), "t", 0) == []


@pytest.mark.parametrize("compression", WRITTEN)
def test_every_damaged_byte_is_found(compression: Compression) -> None:
    """All but offset and leader epoch, which the CRC leaves out: readers check those against their place."""
    batch = encode_batch(block_of(SAMPLE), 0, CODES[compression])
    outside = {*range(8), *range(12, 16)}
    for position in range(len(batch)):
        if position in outside:
            continue
        damaged = bytearray(batch)
        damaged[position] ^= 0x01
        with pytest.raises(CorruptBatch):
            ours(bytes(damaged))


@pytest.mark.parametrize("compression", WRITTEN)
def test_every_torn_batch_is_found(compression: Compression) -> None:
    batch = encode_batch(block_of(SAMPLE), 0, CODES[compression])
    for size in range(len(batch)):
        with pytest.raises(CorruptBatch):
            ours(batch[:size])


@given(data=st.binary(max_size=200), count=st.integers(0, 5))
def test_rubbish_raises_nothing_else(data: bytes, count: int) -> None:
    """Also where the CRC is right: the bytes of some other writer."""
    whole = encode_sparse(RecordBlock(data, count, (0, 0)), 0, 10)
    try:
        ours(whole)
    except CorruptBatch:
        return
    assert len(list(AioBatch(whole))) == count


@given(data=st.binary(max_size=100), code=st.sampled_from([GZIP, LZ4, ZSTD]))
def test_rubbish_behind_a_compression_raises_nothing_else(data: bytes, code: int) -> None:
    whole = bytearray(encode_sparse(RecordBlock(data, 1, (0, 0)), 0, 0))
    whole[22] |= code
    header = read_header(bytes(whole))
    with pytest.raises(CorruptBatch):
        decode_batch(header, bytes(whole), "t", 0)


@pytest.mark.parametrize("code", [LZ4, ZSTD])
def test_cut_compressed_records_are_found(code: int) -> None:
    packed = compress(code, bytes(block_of(SAMPLE * 20).records))
    whole = bytearray(encode_sparse(RecordBlock(packed[:-9], 60, (0, 0)), 0, 59))
    whole[22] |= code
    header = read_header(bytes(whole))
    with pytest.raises(CorruptBatch):
        decode_batch(header, bytes(whole), "t", 0)


def test_impossible_headers() -> None:
    good = encode_batch(block_of(SAMPLE), 0)
    for position, layout, value, words in [
        (8, ">i", 3, "length"),
        (16, ">b", 1, "magic"),
        (0, ">q", -5, "offset -5"),
        (23, ">i", -1, "offset delta"),
        (57, ">i", 9, "9 records"),
    ]:
        batch = bytearray(good)
        struct.pack_into(layout, batch, position, value)
        with pytest.raises(CorruptBatch, match=words):
            read_header(bytes(batch))


def test_corrupt_batch_is_no_error_of_the_task_yet() -> None:
    """It says what, not where: whoever reads a file adds that and decides."""
    assert not issubclass(CorruptBatch, TailraceError)


def test_a_segment_of_ours_is_one_for_others() -> None:
    """Batches one after another, as a segment file has them."""
    data = b"".join(encode_batch(block_of(SAMPLE), base, CODES["zstd"]) for base in (0, 3, 6))
    memory = AioMemory(data)
    offsets = []
    while memory.has_next():
        batch = memory.next_batch()
        assert batch is not None
        offsets += [each.offset for each in batch]
    assert offsets == list(range(9))
    assert len(data) > 3 * HEADER_SIZE
