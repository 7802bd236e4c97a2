"""The high watermark of a partition, as readers see it, and the bell that tells them to look.

    committed => Offset  int64   records below it are committed
                 Crc     uint32  CRC-32C of the offset

The file is a hint: written in place after a commit is durable in the journal, so never ahead of it, and not forced to
the disk itself. Where it cannot be read the watermark is computed from the owner's journal (`committed.py`). Nothing is
decided here about who may write.
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import closing
from pathlib import Path

import google_crc32c

from tailrace.log.store import disk

_OFFSET = struct.Struct(">q")
_CRC = struct.Struct(">I")
SIZE = _OFFSET.size + _CRC.size
_TORN_READS = 3
"""A read may fall into the middle of a write; a file that stays unreadable is damaged."""


def pack_watermark(offset: int) -> bytes:
    """Return the content of `committed`."""
    packed = _OFFSET.pack(offset)
    return packed + _CRC.pack(google_crc32c.value(packed))


def unpack_watermark(data: bytes) -> int | None:
    """Return the offset, None where the content is damaged."""
    if len(data) != SIZE or _CRC.unpack_from(data, 8)[0] != google_crc32c.value(data[:8]):
        return None
    offset: int = _OFFSET.unpack_from(data)[0]
    return offset


def watermark_path(folder: Path) -> Path:
    """Return the file of a partition's watermark."""
    return folder / "committed"


def read_hint(folder: Path) -> int | None:
    """Return what `committed` says, None where it is missing or damaged."""
    for _ in range(_TORN_READS):
        data = disk.read_file(watermark_path(folder))
        if data is None:
            return None
        offset = unpack_watermark(data)
        if offset is not None:
            return offset
    return None


class Watermark:
    """The writing end of a partition's watermark. Keeps its file open from the first `write` to `close`."""

    def __init__(self, folder: Path) -> None:
        self._path = watermark_path(folder)
        self._fd = -1

    def write(self, offset: int) -> None:
        """Publish a watermark."""
        if self._fd < 0:
            self._fd = disk.open_file(self._path)
        disk.write_at(self._fd, pack_watermark(offset), 0, self._path)

    def close(self) -> None:
        """Release the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_hint(folder: Path, offset: int) -> None:
    """Publish a watermark, once."""
    with closing(Watermark(folder)) as watermark:
        watermark.write(offset)


class Bell:
    """What tells waiting readers that something was committed: a file whose content changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = disk.open_file(path)

    def ring(self) -> None:
        """Have readers look; after the watermarks are written."""
        disk.write_at(self._fd, time.monotonic_ns().to_bytes(8, "big"), 0, self._path)

    def close(self) -> None:
        """Release the file."""
        os.close(self._fd)


class Listener:
    """Hears the bell. Costs one system call a time, so that it may be asked often; never waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._last: bytes | None = None

    def rang(self) -> bool:
        """Return whether the bell rang since it was last asked."""
        if self._fd < 0:
            fd = disk.open_existing(self._path)
            self._fd = -1 if fd is None else fd
        now = disk.read_at(self._fd, 8, 0, self._path) if self._fd >= 0 else None
        rang, self._last = now != self._last, now
        return rang

    def close(self) -> None:
        """Release the file; it is opened again when next asked, should there be another one in its place."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
