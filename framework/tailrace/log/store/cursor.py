"""Reading one partition forward: the committed records from an offset on, in the order of their offsets.

Bytes at or past the watermark are never looked at: a torn tail may be there, and may be cut and written anew. Nothing
is kept between two fetches but a descriptor and a place, so that a segment that is compacted or deleted meanwhile is
read to its end. Does not wait: `reader.py` does.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from tailrace.errors import Fatal
from tailrace.log.backend import OffsetsGone, StoredRecord
from tailrace.log.store import disk
from tailrace.log.store.batch import HEADER_SIZE, BatchHeader, check_crc, decode_batch, read_header
from tailrace.log.store.committed import read_watermark
from tailrace.log.store.index import locate
from tailrace.log.store.layout import Layout, Place
from tailrace.log.store.openfiles import OpenFiles
from tailrace.log.store.record import CorruptBatch
from tailrace.log.store.segment import SegmentFile, check_place, damaged, log_path, segment_bases, segment_size


class PartitionCursor:
    """A place in a partition: `next_offset` is read next, `watermark` is where it must stop for now."""

    def __init__(self, layout: Layout, place: Place, next_offset: int, files: OpenFiles) -> None:
        self.place = place
        self.next_offset = next_offset
        self.watermark = 0
        self._layout = layout
        self._files = files
        self._segment: SegmentFile | None = None
        self._base = 0
        self._position = 0
        self._expected = next_offset

    def refresh(self) -> bool:
        """Look at the watermark; return whether there is something to fetch."""
        self.watermark = read_watermark(self._layout, self.place)
        return self.next_offset < self.watermark

    def fetch(self, most: int) -> tuple[list[StoredRecord], int]:
        """Return records from at most about `most` bytes of the segment (at least one batch), and the bytes read.

        Raises `OffsetsGone` where committed offsets are missing, `Fatal` where they are damaged.
        """
        records: list[StoredRecord] = []
        consumed = 0
        while self.next_offset < self.watermark and not consumed:
            segment = self._segment or self._enter()
            data = disk.read_at(segment.fd, max(most, HEADER_SIZE), self._position, segment.path)
            if data:
                consumed = self._decode(segment, data, records)
            else:
                self._enter()
        return records, consumed

    def skip_to_first(self) -> None:
        """Go on with the first offset at or after the present one that there is."""
        self.park()
        bases = segment_bases(self.place.folder)
        self.next_offset = min((base for base in bases if base > self.next_offset), default=self.watermark)

    def bytes_behind(self) -> int:
        """Return about how many bytes of segments are still to be read."""
        if self.next_offset >= self.watermark:
            return 0
        bases = segment_bases(self.place.folder)
        here = max((base for base in bases if base <= self.next_offset), default=-1)
        total = -self._position if self._segment is not None and self._base == here else 0
        for base in bases:
            if base >= here:
                total += segment_size(log_path(self.place.folder, base))
        return max(total, 0)

    def next_timestamp(self) -> int:
        """Go to where the next fetch begins; return the time (ms) of the newest record in the batch there.

        There must be something to fetch. Raises `OffsetsGone` where it is missing, `Fatal` where it is damaged.
        """
        segment = self._segment or self._enter()
        try:
            return read_header(segment.read(self._position, HEADER_SIZE)).max_timestamp
        except CorruptBatch as error:
            raise damaged(segment.path, self._position, self.next_offset, str(error)) from error

    def park(self) -> None:
        """Give the descriptor back; the next fetch finds the place again by its offset."""
        if self._segment is not None:
            os.close(self._segment.fd)
            self._segment = None
            self._files.leave(self)

    def _decode(self, segment: SegmentFile, data: bytes, records: list[StoredRecord]) -> int:
        """Decode the whole batches in `data` below the watermark; return the bytes they take."""
        at = 0
        try:
            header = read_header(data)
            if header.size > len(data):
                data = segment.read(self._position, header.size)
            while header.size <= len(data) - at:
                check_place(header, self._expected)
                self._take(header, data[at : at + header.size], records)
                at += header.size
                self._position += header.size
                if self.next_offset >= self.watermark or len(data) - at < HEADER_SIZE:
                    break
                header = read_header(data, at)
        except CorruptBatch as error:
            if at:
                return at  # first hand out what is sound; the next fetch comes back here
            raise damaged(segment.path, self._position, self.next_offset, str(error)) from error
        return at

    def _take(self, header: BatchHeader, batch: bytes, records: list[StoredRecord]) -> None:
        check_crc(header, batch)
        first = self.next_offset
        decoded = decode_batch(header, batch, self.place.topic, self.place.partition)
        # the first batch after a seek may begin before the offset that was asked for
        records += decoded if header.base_offset == first else [each for each in decoded if each.offset >= first]
        self.next_offset = self._expected = header.next_offset

    def _enter(self) -> SegmentFile:
        """Open the segment that has `next_offset`, at the batch that covers it.

        It may be the segment that was open before: compaction can have put more into it.
        """
        bases = segment_bases(self.place.folder)
        base = max((base for base in bases if base <= self.next_offset), default=-1)
        self.park()
        if base < 0:
            raise self._gone(bases)
        segment = self._open(log_path(self.place.folder, base))
        if segment is None:  # merged into the one before it since the folder was listed
            return self._enter()
        self._segment, self._base = segment, base
        found = locate(segment, base, self.next_offset)
        if found is None:
            self.park()
            raise self._gone(bases)
        self._position, self._expected = found[0], found[1].base_offset
        return segment

    def _open(self, path: Path) -> SegmentFile | None:
        self._files.admit(self)
        with ExitStack() as stack:
            stack.callback(self._files.leave, self)
            fd = disk.open_existing(path)
            if fd is None:
                return None
            stack.pop_all()
        return SegmentFile(fd, path)

    def _gone(self, bases: list[int]) -> Fatal:
        """Return the error for an offset below the watermark that no segment has."""
        first = min((base for base in bases if base > self.next_offset), default=self.watermark)
        return OffsetsGone(self.place.topic, self.place.partition, self.next_offset, first)
