"""What the compiled core takes out of the events that wait, many at a time: rows, and transactions as a whole.

It takes what is plain, and as the stream would, one event after the other (`stream.py`).
"""

from __future__ import annotations

from typing import TypeAlias

import zstandard

from tailrace.core.told import Told, take_rows
from tailrace.core.transactions import Whole, take_transactions
from tailrace_mysql import event as binlog
from tailrace_mysql.gtid import GtidPosition, GtidSet
from tailrace_mysql.incoming import Incoming
from tailrace_mysql.maps import TableMaps
from tailrace_mysql.marker import uuid_text
from tailrace_mysql.origin import BinlogOrigin, Place
from tailrace_mysql.place import BinlogPlace, widened
from tailrace_mysql.transaction import Executed, Transaction

Run: TypeAlias = tuple[bytes, int, int] | tuple[int, int, int]
"""What names transactions that follow on each other, as the core has it."""


class Shortcut:
    """Takes events from `incoming`, by what `maps` know; `room` is always the most events, and the most bytes."""

    def __init__(self, incoming: Incoming, maps: TableMaps, place: Place) -> None:
        self._incoming = incoming
        self._maps = maps
        self._place = place
        self._decompressor = zstandard.ZstdDecompressor()

    def rows(self, transaction: Transaction, events: Told, room: tuple[int, int]) -> tuple[int, int]:
        """Tell rows that come next; return about how many bytes they take, and where they end: u32, 0 for nowhere."""
        front = self._incoming.front()
        if not front or front[0][4:5] not in binlog.PLAIN:
            return 0, 0
        origin = transaction.origin_of(self._place)
        told, size, end = take_rows(front, self._maps.plain, origin, events, *room)
        transaction.ordinal += told
        return size, 0 if self._incoming.packed else max(end, 0)

    def transactions(
        self, here: BinlogPlace, executed: Executed | None, events: Told, room: tuple[int, int]
    ) -> tuple[Whole, Executed | None]:
        """Tell whole transactions that begin `here`; return what was taken, and what has happened then."""
        front = self._incoming.front()
        if self._incoming.packed:
            return Whole(), executed

        def origin_of(
            time: int, server_id: int, run: Run, thread: int | None, packed: tuple[int, int] | None
        ) -> BinlogOrigin:
            gtid = "" if executed is None else _name(run)
            pos = None if packed is None else widened(here.pos, packed[0]) - packed[1]
            return BinlogOrigin(
                self._place, time=time, file=here.file, server_id=server_id, gtid=gtid, thread=thread, pos=pos
            )

        named, now = executed is not None, executed
        whole = take_transactions(
            front, self._maps.plain[1], origin_of, events, *room, named=named, decompress=self._decompress
        )
        for first, second, last in whole.runs:
            if isinstance(now, GtidSet) and isinstance(first, bytes):
                now = now.with_gtid(uuid_text(first), second, last=last)
            elif isinstance(now, GtidPosition) and isinstance(first, int):
                now = now.with_gtid(first, second, last)
        return whole, now

    def _decompress(self, octets: bytes, size: int) -> bytes | None:
        try:
            return self._decompressor.decompress(octets, max_output_size=size)
        except zstandard.ZstdError:  # the stream will say what is wrong
            return None


def _name(run: Run) -> str:
    first, second, last = run
    return f"{uuid_text(first)}:{last}" if isinstance(first, bytes) else f"{first}-{second}-{last}"
