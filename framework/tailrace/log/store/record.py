"""Records inside a batch: encoding and decoding of Kafka's record format, without the batch around it.

    Record => Length          zig-zag varint, bytes that follow
              Attributes      int8, unused
              TimestampDelta  zig-zag varint, to the batch's base timestamp
              OffsetDelta     zig-zag varint, to the batch's base offset
              KeyLength       zig-zag varint, -1 for null
              Key
              ValueLength     zig-zag varint, -1 for null
              Value
              HeadersCount    zig-zag varint
              Header*      => KeyLength varint, Key utf-8, ValueLength varint (-1 for null), Value

Source: Kafka's `DefaultRecord`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.core.batch import read_records
from tailrace.event import Record
from tailrace.log.backend import StoredRecord


class CorruptBatch(ValueError):
    """Bytes that are no record batch, or a damaged one; says what does not fit, not where."""


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Encoded records of one partition, ready to become a batch; offset deltas count from 0 without gaps.

    This is the shape in which an encoder may hand over many records at once; `timestamps` are (base, max) in ms.
    """

    records: bytes | bytearray
    count: int
    timestamps: tuple[int, int]


def varint(number: int) -> bytes:
    """Return the zig-zag varint of a signed 64-bit integer."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = tuple(varint(number) for number in range(8192))
"""All varints of one and two bytes: deltas and lengths are nearly always among them."""
_NULL = varint(-1)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at `at` and the place after it; raises IndexError, or `CorruptBatch` past 64 bits."""
    number = data[at]
    at += 1
    if number < 0x80:
        return (number >> 1) ^ -(number & 1), at
    number &= 0x7F
    shift = 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
        shift += 7
        if shift > 63:
            raise CorruptBatch("varint of more than 64 bits")


class BlockBuilder:
    """Collects records of one partition; `take` hands them over as a block and starts anew.

    The base timestamp is the first record's unless one is given (compaction keeps the delete horizon there).
    """

    __slots__ = ("_base_timestamp", "_buffer", "_fixed_base", "_max_timestamp", "count")

    def __init__(self, base_timestamp: int | None = None) -> None:
        self._buffer = bytearray()
        self._fixed_base = base_timestamp
        self._base_timestamp = 0
        self._max_timestamp = 0
        self.count = 0

    def add(self, record: Record) -> int:
        """Append one record, return the bytes it takes."""
        return self.put(self.count, record.timestamp_ms, record.key, record.value, record.headers)

    def put(
        self,
        offset_delta: int,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> int:
        """Append one record with an offset delta of its own, return the bytes it takes."""
        if self.count == 0:
            self._base_timestamp = timestamp if self._fixed_base is None else self._fixed_base
            self._max_timestamp = timestamp
        elif timestamp > self._max_timestamp:
            self._max_timestamp = timestamp
        self.count += 1
        since = timestamp - self._base_timestamp
        parts = (
            _SMALL[since] if 0 <= since < 8192 else varint(since),
            _SMALL[offset_delta] if offset_delta < 8192 else varint(offset_delta),
            _NULL if key is None else _SMALL[len(key)] if len(key) < 8192 else varint(len(key)),
            key or b"",
            _NULL if value is None else _SMALL[len(value)] if len(value) < 8192 else varint(len(value)),
            value or b"",
            encode_headers(headers) if headers else b"\0",
        )
        body = b"".join(parts)
        length = len(body) + 1
        frame = (_SMALL[length] if length < 8192 else varint(length)) + b"\0"
        self._buffer += frame
        self._buffer += body
        return length + len(frame) - 1

    @property
    def size(self) -> int:
        """Bytes collected."""
        return len(self._buffer)

    def take(self) -> RecordBlock:
        """Return what was collected, and start anew."""
        block = RecordBlock(self._buffer, self.count, (self._base_timestamp, self._max_timestamp))
        self._buffer = bytearray()
        self.count = 0
        return block


def encode_headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """Return count and headers as they end a record."""
    out = bytearray(varint(len(headers)))
    for name, value in headers:
        name_bytes = name.encode()
        out += varint(len(name_bytes))
        out += name_bytes
        if value is None:
            out += _NULL
        else:
            out += varint(len(value))
            out += value
    return bytes(out)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the batch says about all of its records."""

    topic: str
    partition: int
    base_offset: int
    base_timestamp: int
    count: int
    last_offset_delta: int


def decode_records(data: bytes, frame: Frame) -> list[StoredRecord]:
    """Return the records in `data`; raises `CorruptBatch` where the bytes are not exactly `frame.count` records."""
    records = read_records(data, frame, StoredRecord)
    return decode_plainly(data, frame) if records is None else records


def decode_plainly(data: bytes, frame: Frame) -> list[StoredRecord]:
    """Do what `decode_records` does, without the core: it has the last word where that gives up."""
    try:
        return _decode_records(data, frame)
    except IndexError as error:
        raise CorruptBatch("record runs past the end of its batch") from error
    except UnicodeDecodeError as error:
        raise CorruptBatch("header name is not utf-8") from error


def _decode_records(data: bytes, frame: Frame) -> list[StoredRecord]:
    topic, partition, base_offset, base_timestamp = (
        frame.topic,
        frame.partition,
        frame.base_offset,
        frame.base_timestamp,
    )
    records: list[StoredRecord] = []
    at = 0
    previous = -1
    for _ in range(frame.count):
        length, at = read_varint(data, at)
        end = at + length
        since, at = read_varint(data, at + 1)
        delta, at = read_varint(data, at)
        key, at = _read_bytes(data, at)
        value, at = _read_bytes(data, at)
        if data[at] == 0:
            at += 1
            headers: Sequence[tuple[str, bytes | None]] = ()
        else:
            headers, at = _read_headers(data, at)
        if at != end or not previous < delta <= frame.last_offset_delta:
            raise CorruptBatch("length or offset of a record does not fit its batch")
        previous = delta
        records.append(StoredRecord(topic, partition, base_offset + delta, base_timestamp + since, key, value, headers))
    if at != len(data):
        raise CorruptBatch("bytes after the last record of a batch")
    return records


def _read_bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    first = data[at]
    if first < 0x80:
        length = (first >> 1) ^ -(first & 1)
        at += 1
    else:
        length, at = read_varint(data, at)
    if length < 0:
        if length != -1:
            raise CorruptBatch("negative length in a record")
        return None, at
    end = at + length
    if end > len(data):
        raise CorruptBatch("record runs past the end of its batch")
    return data[at:end], end


def _read_headers(data: bytes, at: int) -> tuple[list[tuple[str, bytes | None]], int]:
    count, at = read_varint(data, at)
    if count < 0:
        raise CorruptBatch("negative count of headers in a record")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _read_bytes(data, at)
        value, at = _read_bytes(data, at)
        if name is None:
            raise CorruptBatch("header without a name")
        headers.append((name.decode(), value))
    return headers, at
