"""What a read saw, as Postgres tells it: `pg_current_snapshot()`, and a place in the log above all that is in it."""

from __future__ import annotations

from collections.abc import Mapping

from tailrace.position import Json
from tailrace_postgres.lsn import format_lsn, parse_lsn


class SnapshotView:
    """`text` is xmin:xmax:xip,xip,…: 64-bit ids of top-level transactions.

    All below xmin are over, all from xmax on were not begun, and between them those in xip were under way. `high` is
    an LSN above the commit records of all transactions that are over.
    """

    __slots__ = ("_under_way", "_xmax", "_xmin", "high", "text")

    def __init__(self, text: str, high: int) -> None:
        self.text = text
        self.high = high
        xmin, xmax, under_way = text.split(":")
        self._xmin, self._xmax = int(xmin), int(xmax)
        self._under_way = frozenset(map(int, under_way.split(","))) if under_way else frozenset()

    def sees(self, transaction: int) -> bool:
        """Whether the committed `transaction` was over; `transaction` is a 32-bit id, as the stream has them."""
        # The 64-bit id nearest to xmax: ids wrap every 2^32, and those alive at once lie within 2^31 of each other.
        distance = (transaction - self._xmax + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
        full = self._xmax + distance
        return full < self._xmin or (full < self._xmax and full not in self._under_way)

    def passed(self, place: int) -> bool:
        """Whether a transaction whose commit record is at the LSN `place` or above cannot have been over."""
        return place >= self.high

    def to_json(self) -> Json:
        """Return both parts."""
        return {"xids": self.text, "high": format_lsn(self.high)}


def view_from_json(value: Json) -> SnapshotView:
    """Return the view that a position holds."""
    assert isinstance(value, Mapping)
    return SnapshotView(str(value["xids"]), parse_lsn(str(value["high"])))
