"""Payloads too long for memory: a transaction that the server compressed comes as one event, of up to 1 GiB.

Their octets go to an unnamed temporary file as they come. What stands for them is a byte string of the first ones,
enough to tell what it is; who wants the others reads the file.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self
from zlib import crc32

from tailrace.errors import Retriable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SPILLED = 0xFFFFFF
"""Octets from which on a payload is not kept in memory: as many as one packet can carry."""
_HEAD = 1024
_BLOCK = 256 * 1024


class Parts:
    """Takes the packets of one payload. Without `spills` they stay in memory, however many they are."""

    def __init__(self, *, spills: bool) -> None:
        self._parts: list[bytes] = []
        self._spills = spills
        self._file: _File | None = None
        self._size = 0

    def __bool__(self) -> bool:
        return self._size > 0

    def add(self, part: bytes) -> None:
        """Take the next packet in; raises `Retriable` where the disk has no room."""
        self._size += len(part)
        self._parts.append(part)
        if not self._spills or self._size < SPILLED:
            return
        try:
            self._spill()
        except OSError as error:
            raise Retriable(
                f"keep a transaction of {self._size} octets and more in {tempfile.gettempdir()}: {error.strerror}",
                hint="make room there, or let TMPDIR name a folder that has room and may be written to",
            ) from error

    def whole(self) -> bytes:
        """Return the payload, `Spilled` where it was too long; what follows is another one."""
        file, size, parts = self._file, self._size, self._parts
        self._parts, self._file, self._size = [], None, 0
        return b"".join(parts) if file is None else Spilled(file, 0, size)

    def _spill(self) -> None:
        self._file = self._file or _File()
        for part in self._parts:
            self._file.write(part)
        self._parts.clear()


class _File:
    """A file without a name, closed with the last that reads it."""

    def __init__(self) -> None:
        self.descriptor, path = tempfile.mkstemp(prefix="tailrace-")
        Path(path).unlink()

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)

    def write(self, octets: bytes) -> None:
        """Write all of them."""
        rest = memoryview(octets)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]


class Spilled(bytes):
    """Octets that lie in a file, from `begin` to before `end`; as a byte string it is the first few of them."""

    _file: _File
    _begin: int
    _end: int

    def __new__(cls, file: _File, begin: int, end: int) -> Self:
        """Look at the first octets."""
        made = super().__new__(cls, os.pread(file.descriptor, min(_HEAD, end - begin), begin))
        made._file, made._begin, made._end = file, begin, end
        return made

    @property
    def size(self) -> int:
        """How many octets there are."""
        return self._end - self._begin

    def part(self, begin: int, end: int) -> Spilled:
        """Return the octets between two of them."""
        return Spilled(self._file, self._begin + begin, self._begin + end)

    def reader(self) -> io.BufferedReader:
        """Return what reads all of the octets, from the first one on."""
        return io.BufferedReader(_Octets(self._file, self._begin, self._end), _BLOCK)

    def checksum(self) -> int:
        """Return the CRC-32 of all octets."""
        found = 0
        with self.reader() as reader:
            while block := reader.read(_BLOCK):
                found = crc32(block, found)
        return found


class _Octets(io.RawIOBase):
    """Reads a part of a file, which others may read meanwhile."""

    def __init__(self, file: _File, begin: int, end: int) -> None:
        self._file = file
        self._at = begin
        self._end = end

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read as much as fits; 0 at the end."""
        with memoryview(buffer).cast("B") as view:
            octets = os.preadv(self._file.descriptor, [view[: self._end - self._at]], self._at)
        self._at += octets
        return octets
