"""Rows events that MariaDB cut to pieces: from 12.3 on, those that are larger than a replica takes.

    Rows fragment   fragments u32 · number of this one, from 1, u32 · flags u8 · [1: size of the whole u64] ·
                    piece, to the end

The pieces of one event stand one after the other; put together they are the whole rows event, header included.
Source: MariaDB Knowledge Base, "PARTIAL_ROW_DATA_EVENT".
"""

from __future__ import annotations

from dataclasses import dataclass

from tailrace_mysql.body import Body
from tailrace_mysql.header import Header, MalformedEvent

_SIZE_TOLD = 1


@dataclass(frozen=True, slots=True)
class RowsFragment:
    """One piece of a rows event: `number` of `count`, from 1."""

    header: Header
    number: int
    count: int
    piece: bytes


def rows_fragment(header: Header, body: Body) -> RowsFragment:
    """Read the body of a fragment."""
    count, number, flags = body.u(4), body.u(4), body.u(1)
    if flags & ~_SIZE_TOLD or not 1 <= number <= count:
        raise ValueError(f"fragment {number} of {count} with flags {flags}")
    if flags:
        body.u(8)
    return RowsFragment(header, number, count, body.rest())


class Assembly:
    """Puts the pieces of one rows event together at a time."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def add(self, fragment: RowsFragment) -> bytes | None:
        """Return the whole event once its last piece is there; raises `MalformedEvent` where one is missing."""
        if fragment.number != len(self._pieces) + 1:
            raise MalformedEvent(
                f"rows event at {fragment.header.start_pos} in pieces: number {fragment.number} follows "
                f"{len(self._pieces)}",
                hint="the binlog or the connection is damaged",
            )
        self._pieces.append(fragment.piece)
        if fragment.number < fragment.count:
            return None
        whole = b"".join(self._pieces)
        self._pieces = []
        return whole
