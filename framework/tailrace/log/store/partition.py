"""One partition as its writer sees it: appending batches to segment files. Readers have `cursor.py`.

Knows nothing of commits but the calls they are made of: `flush`, `sync`, `end`, `publish`. Nothing that is appended
can be seen by readers before `publish`.
"""

from __future__ import annotations

import os
import time

from tailrace.core.block import Block
from tailrace.errors import BadRecord
from tailrace.event import Record
from tailrace.log.store import disk
from tailrace.log.store.batch import HEADER_SIZE, batch_parts
from tailrace.log.store.compression import CODES
from tailrace.log.store.end import End
from tailrace.log.store.index import IndexWriter, resume_index
from tailrace.log.store.layout import Place
from tailrace.log.store.openfiles import OpenFiles
from tailrace.log.store.record import RecordBlock
from tailrace.log.store.segment import SegmentFile, log_path
from tailrace.log.store.settings import TopicSettings
from tailrace.log.store.stretch import Stretch, sealed
from tailrace.log.store.watermark import Watermark

BATCH_BYTES = 1024 * 1024
BATCH_RECORDS = 10_000
"""A reader decodes a batch as a whole: these bound what one batch can cost it."""

WHOLE_BYTES = 128 * 1024
"""From this size on a block becomes a batch of its own: to join it with others costs more than a batch does."""

RECORD_BYTES = 1024 * 1024 * 1024
"""Byte positions in a segment are 32-bit, and a batch never spans two."""


class PartitionAppender:
    """The writing end of one partition; made at its committed end, by its owner only."""

    def __init__(self, place: Place, end: End, settings: TopicSettings, files: OpenFiles) -> None:
        self.place = place
        self._settings = settings
        self._files = files
        self._codec = CODES[settings.compression]
        self._pending = Block(place.topic, place.partition)
        self._next_offset = end.next_offset
        self._base = end.segment
        self._size = end.size
        self._last_batch = end.last_batch
        self._begun = time.time()
        self._fd = -1
        self._path = log_path(place.folder, end.segment)
        self._watermark = Watermark(place.folder)
        self._index: IndexWriter | None = None
        self._unsynced = False
        self._new_files = False
        self._committed = end.next_offset, end.size
        self._seal = 0  # of the batches since then

    def add(self, record: Record) -> int:
        """Take one record into memory; return the bytes it takes. Full batches are appended at once."""
        size = self._pending.append(record)
        if size > RECORD_BYTES:
            raise BadRecord(f"write to {self.place.name}: record of {size} bytes, at most {RECORD_BYTES} fit")
        if self._pending.size >= BATCH_BYTES or self._pending.count >= BATCH_RECORDS:
            self.flush()
        return size

    def extend(self, block: Block) -> int:
        """Take a block of encoded records; return what it takes in memory: a large one goes to the file at once."""
        if block.size >= WHOLE_BYTES:
            self.flush()
            self.append(RecordBlock(block.records, block.count, block.timestamps))
            return 0
        pending = self._pending
        if pending.count and (pending.size + block.size > BATCH_BYTES or pending.count + block.count > BATCH_RECORDS):
            self.flush()
        return self._pending.extend(block)

    def flush(self) -> None:
        """Append what is in memory, as one batch."""
        block = self._pending
        if block.count:
            self._pending = Block(self.place.topic, self.place.partition)
            self.append(RecordBlock(block.records, block.count, block.timestamps))

    def append(self, block: RecordBlock) -> None:
        """Append a block of encoded records as one batch; what is in memory goes before it by `flush`."""
        batch = batch_parts(block, self._next_offset, block.count - 1, compression=self._codec)
        size = sum(map(len, batch))
        self._open()
        if self._size and (self._size + size > self._settings.segment_bytes or self._is_old()):
            self._roll()
        disk.write_parts_at(self._fd, batch, self._size, self._path)
        self._unsynced = True
        self._seal = sealed(self._seal, batch[0])
        last_offset = self._next_offset + block.count - 1
        assert self._index is not None  # _open made it
        self._index.note(last_offset, self._size, size, block.timestamps[1])
        self._last_batch = self._size
        self._size += size
        self._next_offset = last_offset + 1

    def sync(self) -> None:
        """Make all that was appended durable; may be called from another thread, while nothing else is."""
        if self._unsynced:  # then the file is open: parking and rolling sync it
            disk.sync(self._fd, self._path)
            self._unsynced = False
        if self._new_files:
            disk.sync_directory(self.place.folder)
            self._new_files = False

    def end(self) -> End:
        """Return the end as it is after everything appended so far."""
        return End(self._next_offset, self._base, self._size, self._last_batch)

    def is_new(self) -> bool:
        """Return whether there are files that would be lost without a sync of their folder."""
        return self._new_files

    def stretch(self) -> Stretch | None:
        """Return what was appended since the last commit, all of it to one file; None where that is nothing."""
        first, at = self._committed
        return Stretch(first, at, self._seal) if first != self._next_offset else None

    def publish(self) -> None:
        """Show everything appended so far to readers; only after the end is durable in the journal."""
        self._committed, self._seal = (self._next_offset, self._size), 0
        self._watermark.write(self._next_offset)
        if self._fd < 0:  # parked, and so not counted among the open files
            self._watermark.close()
        if self._index is not None:
            self._index.commit()

    def settle(self) -> None:
        """At an orderly end: write what is left of the index."""
        if self._index is not None:
            self._index.settle()

    def park(self) -> None:
        """Give the descriptor back until the partition is written to again."""
        if self._fd >= 0:
            if self._unsynced:
                # the kernel reports a failed write-back to descriptors that were open then
                disk.sync(self._fd, self._path)
                self._unsynced = False
            self.close()

    def close(self) -> None:
        """Release the files; what is not committed stays uncommitted."""
        self._watermark.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._files.leave(self)

    def _open(self) -> None:
        if self._fd >= 0:
            return
        self._files.admit(self)
        self._fd = disk.open_file(self._path)
        if self._size == 0:
            self._new_files = True
        if self._index is None:
            interval = self._settings.index_interval_bytes
            self._index = resume_index(SegmentFile(self._fd, self._path), self._base, self._size, interval)
            if self._size >= HEADER_SIZE:
                self._begun = self._path.stat().st_mtime

    def _is_old(self) -> bool:
        return time.time() - self._begun > self._settings.segment_hours * 3600

    def _roll(self) -> None:
        """Begin a new segment; the full one is synced here, once, and its indexes are completed."""
        disk.sync(self._fd, self._path)
        self.close()
        assert self._index is not None  # _open made it
        self._index.finish()
        self._base, self._size, self._last_batch = self._next_offset, 0, -1
        self._begun = time.time()
        self._path = log_path(self.place.folder, self._base)
        self._index = None
        self._open()
