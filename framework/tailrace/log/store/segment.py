"""Segment files: their names, and walking along the batches in them. Reads only; appending is `partition.py`.

    <base offset, 20 digits>.log => RecordBatch*

Every offset from a partition's first to its last is covered by exactly one batch, also after compaction, so that a
batch that is not where the one before it ends is a sign of damage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import Fatal
from tailrace.log.store import disk
from tailrace.log.store.batch import HEADER_SIZE, LEADER_EPOCH, BatchHeader, check_crc, read_header
from tailrace.log.store.record import CorruptBatch

_NAME = re.compile(r"([0-9]{20})\.log")
_WINDOW = 64 * 1024
"""Bytes read at once while looking at headers only: many small batches, or the head of a big one."""


def log_path(folder: Path, base: int) -> Path:
    """Return the path of a segment's batches."""
    return folder / f"{base:020d}.log"


def index_path(folder: Path, base: int) -> Path:
    """Return the path of a segment's offset index."""
    return folder / f"{base:020d}.index"


def time_index_path(folder: Path, base: int) -> Path:
    """Return the path of a segment's time index."""
    return folder / f"{base:020d}.timeindex"


def segment_bases(folder: Path) -> list[int]:
    """Return the base offsets of all segments, sorted; empty where there is no such folder."""
    try:
        matches = [_NAME.fullmatch(entry.name) for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for match in matches if match)


def segment_size(path: Path) -> int:
    """Return the length of a segment in bytes, 0 where a cleaner removed it meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def sync_segment(folder: Path, base: int) -> None:
    """Make a segment durable, before something is built on it by others than its writer."""
    path = log_path(folder, base)
    fd = disk.open_existing(path)
    if fd is None:  # a cleaner removed it meanwhile: then it was durable
        return
    try:
        disk.sync(fd, path)
    finally:
        os.close(fd)


def damaged(path: Path, position: int, offset: int, reason: str) -> Fatal:
    """Return the error for committed bytes that cannot be read."""
    return Fatal(
        f"read {path}: damaged at byte {position}, offset {offset}: {reason}",
        hint="restore the file from a backup, or reset the connector that writes it "
        "(`tailrace offsets reset CONFIG --connector NAME`) and begin behind the damage",
    )


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """An open segment: reading, with errors that name file, byte and offset."""

    fd: int
    path: Path

    def batch(self, position: int, offset: int) -> tuple[BatchHeader, bytes]:
        """Return the sound batch at a byte position; `offset` is the one that should be in it."""
        header = self.header(position, offset)
        try:
            data = self.read(position, header.size)
            check_crc(header, data)
        except CorruptBatch as error:
            raise damaged(self.path, position, offset, str(error)) from error
        return header, data

    def read(self, position: int, size: int) -> bytes:
        """Return `size` bytes; raises `CorruptBatch`, and takes no memory, where the file does not have them."""
        there = disk.file_size(self.fd) - position
        if size > there:
            raise CorruptBatch(f"batch of {size} bytes where {there} bytes are left")
        return disk.read_at(self.fd, size, position, self.path)

    def header(self, position: int, offset: int) -> BatchHeader:
        """Return the header at a byte position, its CRC unchecked."""
        try:
            return read_header(disk.read_at(self.fd, HEADER_SIZE, position, self.path))
        except CorruptBatch as error:
            raise damaged(self.path, position, offset, str(error)) from error

    def headers(self, position: int, offset: int, until: int) -> Iterator[tuple[int, BatchHeader]]:
        """Yield byte position and header of each batch from `position`, which must start with `offset`.

        Ends before the first batch that starts at or after the offset `until`, or at the end of the file.
        """
        window, start = b"", position
        while offset < until:
            at = position - start
            if len(window) - at < HEADER_SIZE:
                window, start, at = disk.read_at(self.fd, _WINDOW, position, self.path), position, 0
                if not window:
                    return
            header = self._expected(window, at, position, offset)
            yield position, header
            position += header.size
            offset = header.next_offset

    def _expected(self, window: bytes, at: int, position: int, offset: int) -> BatchHeader:
        try:
            header = read_header(window, at)
            check_place(header, offset)
        except CorruptBatch as error:
            raise damaged(self.path, position, offset, str(error)) from error
        return header


def check_place(header: BatchHeader, offset: int) -> None:
    """Raise `CorruptBatch` unless the batch is the one that starts with `offset`."""
    if header.base_offset != offset:
        raise CorruptBatch(f"batch of offset {header.base_offset} where {offset} should be")
    if header.leader_epoch != LEADER_EPOCH:
        raise CorruptBatch(f"leader epoch {header.leader_epoch} where {LEADER_EPOCH} should be")
