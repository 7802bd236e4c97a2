"""Places of the binlog of one server: a file and a position in it, and their order.

The number at the end of a file's name rises with every rotation. The binlogs of two servers have nothing to do with
each other: what must outlive a failover is told by GTIDs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from tailrace.errors import Fatal
from tailrace.position import Json

_POSITION_BITS = 48
"""A transaction of more than 256 TiB would not fit."""


class BinlogPlace(NamedTuple):
    """A point between two events."""

    file: str
    pos: int

    @property
    def rank(self) -> int:
        """A number that sorts places of one server."""
        return rank(self.file, self.pos)

    def __str__(self) -> str:
        return f"{self.file}:{self.pos}"


def rank(file: str, pos: int) -> int:
    """Return a number that sorts places of one server; raises `Fatal` for a file that has no number."""
    return _file_rank(file) | pos


@lru_cache(maxsize=16)
def _file_rank(file: str) -> int:
    number = file.rpartition(".")[2]
    if not number.isdecimal():
        raise Fatal(f'binlog file "{file}" has no number at its end', hint="this is no name that a server gives")
    return int(number) << _POSITION_BITS


def widened(known: int, end: int) -> int:
    """Return the position that the 32-bit `end` of an event stands for, where the stream is at `known`."""
    candidate = known & ~0xFFFFFFFF | end
    return candidate if candidate >= known else candidate + 0x100000000


class PlaceView:
    """What a read sees that was made up to be exact: all transactions that begin before `cut`, a place's rank."""

    __slots__ = ("cut",)

    def __init__(self, cut: int) -> None:
        self.cut = cut

    def sees(self, transaction: int) -> bool:
        """Whether the transaction that begins at this rank was over."""
        return transaction < self.cut

    def passed(self, place: int) -> bool:
        """Whether nothing that begins at `place` or later was over."""
        return place >= self.cut

    def to_json(self) -> Json:
        """Return the rank; it is never read back, as the stream has reached it before any row is handed out."""
        return self.cut
