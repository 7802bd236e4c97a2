"""Reads a byte string from its beginning to its end, as binlog events are written: integers little-endian.

Whatever does not fit raises `ValueError`, never `IndexError`; the caller says which event it was.

    lenenc   => u8 < 0xfb | 0xfc u16 | 0xfd u24 | 0xfe u64     "length-encoded" integer
    varlen   => 1 to 9 octets; as many ones at the low end of the first as octets follow, then a zero, then the number

Source: MySQL manual of the protocol, "Protocol::LengthEncodedInteger"; the readme of its serialization library.
"""

from __future__ import annotations

from struct import Struct
from typing import Any


class Body:
    """A byte string and how far it has been read."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    @property
    def left(self) -> int:
        """How many octets have not been read."""
        return len(self.data) - self.at

    def take(self, length: int) -> bytes:
        """Return the next octets."""
        end = self.at + length
        if length < 0 or end > len(self.data):
            raise ValueError(f"it is cut short: {length} octets wanted at {self.at} of {len(self.data)}")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def rest(self) -> bytes:
        """Return everything that is left."""
        return self.take(self.left)

    def u(self, octets: int) -> int:
        """Return the next unsigned integer."""
        begin, data = self.at, self.data  # as `take` does, which would take as long again
        end = begin + octets
        if end > len(data):
            raise ValueError(f"it is cut short: {octets} octets wanted at {begin} of {len(data)}")
        self.at = end
        return int.from_bytes(data[begin:end], "little")

    def unpack(self, numbers: Struct) -> tuple[Any, ...]:
        """Return the next numbers; raises `struct.error` where they are not all there."""
        found = numbers.unpack_from(self.data, self.at)
        self.at += numbers.size
        return found

    def i(self, octets: int) -> int:
        """Return the next signed integer."""
        return int.from_bytes(self.take(octets), "little", signed=True)

    def lenenc(self) -> int:
        """Return the next length-encoded integer."""
        first = self.u(1)
        if first < 0xFB:
            return first
        if first in {0xFB, 0xFF}:
            raise ValueError(f"{first:#x} begins no length")
        return self.u({0xFC: 2, 0xFD: 3, 0xFE: 8}[first])

    def lenenc_bytes(self) -> bytes:
        """Return the next octets, their number standing before them."""
        return self.take(self.lenenc())

    def varlen(self) -> int:
        """Return the next unsigned integer of the serialization library."""
        first = self.u(1)
        more = (~first & first + 1).bit_length() - 1  # the ones at its low end
        number = first >> more + 1 | self.u(more) << max(7 - more, 0)
        if number >= 1 << 64:
            raise ValueError("a number has more than 64 bits")
        return number

    def varlen_signed(self) -> int:
        """Return the next signed integer of the serialization library: its sign stands in the lowest bit."""
        number = self.varlen()
        return ~(number >> 1) if number & 1 else number >> 1

    def text(self, length: int) -> str:
        """Return the next octets as UTF-8, which names are written in."""
        return self.take(length).decode()

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self.left:
            raise ValueError(f"{self.left} octets are left over")
