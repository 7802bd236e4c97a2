"""The batches of a commit that were made durable beside its record in the journal, not before it.

    [first offset, byte, seal]     in the record's `data`, by the partition's name; they end where its `ends` say

The seal is a CRC-32C over the headers of the batches, and each header has the CRC-32C of what its batch holds: so what
is found in the file after a crash is what was written, or is found out, whatever came to lie in the place. Who decides
by it is `committed.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from tailrace.errors import Fatal
from tailrace.log.store import disk
from tailrace.log.store.batch import HEADER_SIZE
from tailrace.log.store.end import End
from tailrace.log.store.record import CorruptBatch
from tailrace.log.store.segment import SegmentFile, check_place, log_path

_PIECE = 1024 * 1024
"""Bytes written at once."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Batches of one segment, from byte `at` and `first_offset` on; never empty."""

    first_offset: int
    at: int
    seal: int

    def to_json(self) -> list[int]:
        """Return the stretch as it is written."""
        return [self.first_offset, self.at, self.seal]

    @classmethod
    def from_json(cls, numbers: Sequence[int]) -> Stretch:
        """Return the stretch that `to_json` wrote; raises ValueError or TypeError where it is none."""
        first_offset, at, seal = (int(number) for number in numbers)
        return cls(first_offset, at, seal)


def sealed(seal: int, header: bytes) -> int:
    """Return the seal of a stretch, 0 for an empty one, with one batch more."""
    return int(google_crc32c.extend(seal, header))


def is_whole(folder: Path, stretch: Stretch, end: End) -> bool:
    """Return whether all batches up to `end` are in the file, as they were written."""
    path = log_path(folder, end.segment)
    fd = disk.open_existing(path)
    if fd is None:
        return False
    try:
        return _is_in(SegmentFile(fd, path), stretch, end)
    finally:
        os.close(fd)


def _is_in(segment: SegmentFile, stretch: Stretch, end: End) -> bool:
    at, offset, seal = stretch.at, stretch.first_offset, 0
    while at < end.size:
        try:
            header, batch = segment.batch(at, offset)
            check_place(header, offset)
        except (Fatal, CorruptBatch):
            return False
        seal = sealed(seal, batch[:HEADER_SIZE])
        at += header.size
        offset = header.next_offset
    return (at, offset, seal) == (end.size, end.next_offset, stretch.seal)


def write_again(folder: Path, stretch: Stretch, end: End) -> None:
    """Make a whole stretch durable.

    A sync alone would not do: where that of the last process failed, the kernel may take the bytes in its cache for
    written. Bytes that are written again are not.
    """
    path = log_path(folder, end.segment)
    fd = disk.open_file(path)
    try:
        for at in range(stretch.at, end.size, _PIECE):
            disk.write_at(fd, disk.read_at(fd, min(_PIECE, end.size - at), at, path), at, path)
        disk.sync(fd, path)
    finally:
        os.close(fd)
