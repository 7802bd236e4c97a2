"""Kafka's record batch, version 2: what the segment files are made of. Bytes in, values out; no files here.

    RecordBatch => BaseOffset            int64    0
                   BatchLength           int32    8   bytes from LeaderEpoch on
                   PartitionLeaderEpoch  int32   12   0 in this store; outside of the CRC
                   Magic                 int8    16   2
                   Crc                   uint32  17   CRC-32C of everything from Attributes on
                   Attributes            int16   21   bits 0-2 compression, 3 timestamp type, 4 transactional,
                                                      5 control, 6 base timestamp is the delete horizon
                   LastOffsetDelta       int32   23
                   BaseTimestamp         int64   27   milliseconds since 1970
                   MaxTimestamp          int64   35
                   ProducerId            int64   43   -1: none
                   ProducerEpoch         int16   51
                   BaseSequence          int32   53
                   RecordsCount          int32   57
                   Records                       61   compressed as a whole

All numbers are big-endian. Source: Kafka's `DefaultRecordBatch`; KIP-534 for the delete horizon.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import google_crc32c

from tailrace.log.backend import StoredRecord
from tailrace.log.store.compression import NONE, BadCompression, compress, decompress
from tailrace.log.store.record import CorruptBatch, Frame, RecordBlock, decode_records

_HEADER = struct.Struct(">qiibIhiqqqhii")
_BEFORE_CRC = struct.Struct(">qiibI")
_AFTER_CRC = struct.Struct(">hiqqqhii")

HEADER_SIZE = _HEADER.size
_LENGTH_END = 12
_CRC_END = _BEFORE_CRC.size
MAGIC = 2
LEADER_EPOCH = 0
_COMPRESSION = 0x07
_CONTROL = 0x20
_DELETE_HORIZON = 0x40


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """The first 61 bytes of a batch; `size` is the whole batch's, in bytes."""

    base_offset: int
    size: int
    leader_epoch: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    count: int

    @property
    def last_offset(self) -> int:
        """The last offset that the batch stands for, also where compaction took its record away."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """The base offset of the batch that follows."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def delete_horizon(self) -> int | None:
        """From when on (ms) the tombstones in here may go; None before the first compaction."""
        return self.base_timestamp if self.attributes & _DELETE_HORIZON else None


def read_header(data: bytes, at: int = 0) -> BatchHeader:
    """Return the header at `at`; raises `CorruptBatch` where it cannot be one.

    Does not check the CRC, which needs the whole batch: `read_batch` does.
    """
    if len(data) - at < HEADER_SIZE:
        raise CorruptBatch(f"{len(data) - at} bytes where a batch header of {HEADER_SIZE} should be")
    base, length, epoch, magic, crc, attributes, last, first_at, last_at, _, _, _, count = _HEADER.unpack_from(data, at)
    if magic != MAGIC:
        raise CorruptBatch(f"magic byte {magic} where {MAGIC} should be")
    if length < HEADER_SIZE - _LENGTH_END:
        raise CorruptBatch(f"impossible batch length {length}")
    if base < 0 or last < 0 or not 0 <= count <= last + 1:
        raise CorruptBatch(f"impossible batch of {count} records, offset {base}, last offset delta {last}")
    size = length + _LENGTH_END
    return BatchHeader(base, size, epoch, crc, attributes, last, first_at, last_at, count)


def check_crc(header: BatchHeader, batch: bytes) -> None:
    """Raise `CorruptBatch` unless `batch` is exactly the bytes of one sound batch."""
    if len(batch) != header.size:
        raise CorruptBatch(f"batch of {header.size} bytes ends after {len(batch)}")
    crc = google_crc32c.value(batch[_CRC_END:])
    if crc != header.crc:
        raise CorruptBatch(f"crc {crc:08x} where {header.crc:08x} should be")


def decode_batch(header: BatchHeader, batch: bytes, topic: str, partition: int) -> list[StoredRecord]:
    """Return the records of a batch whose CRC was checked; control batches have none for us."""
    if header.attributes & _CONTROL:
        return []
    try:
        records = decompress(header.attributes & _COMPRESSION, batch[HEADER_SIZE:])
    except BadCompression as error:
        raise CorruptBatch(str(error)) from error
    frame = Frame(topic, partition, header.base_offset, header.base_timestamp, header.count, header.last_offset_delta)
    return decode_records(records, frame)


def encode_batch(block: RecordBlock, base_offset: int, compression: int = NONE) -> bytes:
    """Return `block` as a batch that starts at `base_offset`."""
    return encode_sparse(block, base_offset, block.count - 1, compression=compression)


def encode_sparse(
    block: RecordBlock,
    base_offset: int,
    last_offset_delta: int,
    *,
    compression: int = NONE,
    delete_horizon: bool = False,
) -> bytes:
    """Return a batch that stands for more offsets than it has records: what compaction leaves; see `batch_parts`."""
    parts = batch_parts(block, base_offset, last_offset_delta, compression=compression, delete_horizon=delete_horizon)
    return b"".join(parts)


def batch_parts(
    block: RecordBlock,
    base_offset: int,
    last_offset_delta: int,
    *,
    compression: int = NONE,
    delete_horizon: bool = False,
) -> tuple[bytes, bytes]:
    """Return the header of a batch, and its records.

    With `delete_horizon` the block's base timestamp is the time from which on its tombstones may go.
    """
    records = bytes(block.records)
    if compression != NONE:
        packed = compress(compression, records)
        if len(packed) < len(records):
            records = packed
        else:
            compression = NONE
    attributes = compression | (_DELETE_HORIZON if delete_horizon else 0)
    base_timestamp, max_timestamp = block.timestamps
    fixed = _AFTER_CRC.pack(attributes, last_offset_delta, base_timestamp, max_timestamp, -1, -1, -1, block.count)
    crc = google_crc32c.extend(google_crc32c.value(fixed), records)
    length = HEADER_SIZE - _LENGTH_END + len(records)
    return _BEFORE_CRC.pack(base_offset, length, LEADER_EPOCH, MAGIC, crc) + fixed, records
