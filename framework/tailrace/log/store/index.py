"""The two sparse indexes beside a segment: written, rebuilt, and asked. Never trusted.

    .index     => (LastOffset int32, Position int32)*     last offset of a batch, relative to the segment's base,
                                                          and the byte where that batch starts
    .timeindex => (MaxTimestamp int64, LastOffset int32)* greatest timestamp so far (ms), and the last offset of the
                                                          batch that brought it

An entry is used only after the batch that it points at was read, its CRC checked, and found to be the one the entry
speaks of; otherwise the segment is walked from its start. So a lost, torn or stale index costs time and nothing else,
and none is forced to the disk. Source: Kafka's `OffsetIndex` and `TimeIndex`; the files fit Kafka's tools.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tailrace.errors import Fatal
from tailrace.log.store import disk
from tailrace.log.store.batch import BatchHeader
from tailrace.log.store.end import MAX_OFFSET
from tailrace.log.store.segment import SegmentFile, index_path, time_index_path

_ENTRY = struct.Struct(">ii")
_TIME_ENTRY = struct.Struct(">qi")

_SETTLE = 32 * _ENTRY.size
"""Entries to collect before they are written. A file that grows is work at every sync of its neighbours, too, and a
reader that lacks an entry walks along as many batches instead."""


@dataclass(slots=True)
class IndexWriter:
    """Collects the entries of one segment; `settle` and `flush` append them to the files."""

    folder: Path
    base: int
    interval: int
    since_entry: int = 0
    max_timestamp: int = -1
    max_offset: int = 0
    last_time: int = -1
    _offsets: bytearray = field(default_factory=bytearray)
    _times: bytearray = field(default_factory=bytearray)
    _committed: tuple[int, int] = (0, 0)  # bytes of both that speak of committed batches

    def note(self, last_offset: int, position: int, size: int, max_timestamp: int) -> None:
        """Take notice of a batch that was appended to the segment."""
        if max_timestamp > self.max_timestamp:
            self.max_timestamp, self.max_offset = max_timestamp, last_offset
        if self.since_entry > self.interval:
            self._offsets += _ENTRY.pack(last_offset - self.base, position)
            self._add_time()
            self.since_entry = 0
        self.since_entry += size

    def _add_time(self) -> None:
        if self.max_timestamp > self.last_time:
            self._times += _TIME_ENTRY.pack(self.max_timestamp, self.max_offset - self.base)
            self.last_time = self.max_timestamp

    def commit(self) -> None:
        """Take notice that all batches so far are committed; now and then, write what was collected."""
        self._committed = len(self._offsets), len(self._times)
        if len(self._offsets) >= _SETTLE:
            self.settle()

    def settle(self) -> None:
        """Append the entries of committed batches to the files."""
        offsets, times = self._committed
        self._committed = (0, 0)
        if offsets:
            _append(index_path(self.folder, self.base), self._offsets[:offsets], _ENTRY.size)
            del self._offsets[:offsets]
        if times:
            _append(time_index_path(self.folder, self.base), self._times[:times], _TIME_ENTRY.size)
            del self._times[:times]

    def flush(self) -> None:
        """Append all that was collected; only where the batches are committed, or the segment is full."""
        self._committed = len(self._offsets), len(self._times)
        self.settle()

    def finish(self) -> None:
        """Write what is left when the segment is full: the time index ends with the greatest timestamp."""
        self._add_time()
        self.flush()


def _append(path: Path, entries: bytearray, width: int) -> None:
    fd = disk.open_file(path)
    try:
        size = disk.file_size(fd)
        disk.write_at(fd, entries, size - size % width, path)
    finally:
        os.close(fd)


def resume_index(segment: SegmentFile, base: int, size: int, interval: int) -> IndexWriter:
    """Return the writer for a segment that was cut at byte `size`; what the files lack is read from the segment.

    Where the last entries do not fit the segment, both indexes are made anew.
    """
    folder = segment.path.parent
    writer = IndexWriter(folder, base, interval)
    kept = _sound_prefix(segment, base, size)
    if kept is None:
        disk.remove(index_path(folder, base))
        disk.remove(time_index_path(folder, base))
        position, offset = 0, base
    else:
        header, position, timestamp, writer.max_offset = kept
        writer.max_timestamp = writer.last_time = timestamp
        offset = header.base_offset
    for at, header in segment.headers(position, offset, MAX_OFFSET):
        if at >= size:
            break
        writer.note(header.last_offset, at, header.size, header.max_timestamp)
    writer.flush()
    return writer


def _sound_prefix(segment: SegmentFile, base: int, size: int) -> tuple[BatchHeader, int, int, int] | None:
    """Cut both indexes to what speaks of the first `size` bytes, and check their last entries.

    Returns header and position of the batch that the last offset entry points at, then the last time entry.
    """
    folder = segment.path.parent
    offsets = disk.read_file(index_path(folder, base)) or b""
    times = disk.read_file(time_index_path(folder, base)) or b""
    entries = [entry for entry in _ENTRY.iter_unpack(_whole(offsets, _ENTRY)) if entry[1] < size]
    if not entries:
        return None
    last, position = entries[-1]
    moments = [entry for entry in _TIME_ENTRY.iter_unpack(_whole(times, _TIME_ENTRY)) if entry[1] <= last]
    header = _verified(segment, position, base + last)
    if header is None or not moments or not _rising(entries) or not _rising(moments):
        return None
    timestamp, offset = moments[-1]
    if _moment(segment, base, moments[-1]) is None:
        return None
    _cut(index_path(folder, base), len(entries) * _ENTRY.size)
    _cut(time_index_path(folder, base), len(moments) * _TIME_ENTRY.size)
    return header, position, timestamp, base + offset


def _whole(data: bytes, entry: struct.Struct) -> bytes:
    return data[: len(data) - len(data) % entry.size]


def _rising(entries: list[tuple[int, ...]]) -> bool:
    return all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(entries))


def _cut(path: Path, size: int) -> None:
    fd = disk.open_file(path)
    try:
        if disk.file_size(fd) > size:
            disk.truncate(fd, size, path)
    finally:
        os.close(fd)


def _verified(segment: SegmentFile, position: int, last_offset: int) -> BatchHeader | None:
    try:
        header, _ = segment.batch(position, last_offset)
    except Fatal:
        return None
    return header if header.last_offset == last_offset else None


def locate(segment: SegmentFile, base: int, offset: int) -> tuple[int, BatchHeader] | None:
    """Return byte position and header of the batch that covers `offset`, None past the end of the segment."""
    data = disk.read_file(index_path(segment.path.parent, base)) or b""
    position, start = _entry_before(segment, base, offset, data)
    for at, header in segment.headers(position, start, offset + 1):
        if header.last_offset >= offset:
            return at, header
    return None


def _entry_before(segment: SegmentFile, base: int, offset: int, data: bytes) -> tuple[int, int]:
    """Return byte position and base offset of a batch at or before `offset`, by the index if it can be believed."""
    low, high = 0, len(data) // _ENTRY.size
    while low < high:
        middle = (low + high) // 2
        if base + _ENTRY.unpack_from(data, middle * _ENTRY.size)[0] <= offset:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return 0, base
    last, position = _ENTRY.unpack_from(data, (low - 1) * _ENTRY.size)
    header = _verified(segment, position, base + last) if position >= 0 else None
    return (0, base) if header is None else (position, header.base_offset)


def locate_time(segment: SegmentFile, base: int, timestamp: int) -> tuple[int, int]:
    """Return byte position and base offset of a batch before which all records are older than `timestamp`."""
    data = disk.read_file(time_index_path(segment.path.parent, base)) or b""
    entries = list(_TIME_ENTRY.iter_unpack(_whole(data, _TIME_ENTRY)))
    older = [entry for entry in entries if entry[0] <= timestamp]
    if not older or not _rising(entries):
        return 0, base
    found = _moment(segment, base, older[-1])
    return (0, base) if found is None else (found[0], found[1].base_offset)


def _moment(segment: SegmentFile, base: int, entry: tuple[int, ...]) -> tuple[int, BatchHeader] | None:
    """Return the batch that a time entry speaks of, None where there is no such batch."""
    timestamp, relative = entry
    found = locate(segment, base, base + relative)
    if found is None:
        return None
    _, header = found
    return found if header.last_offset == base + relative and header.max_timestamp == timestamp else None
