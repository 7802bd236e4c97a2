"""The transaction that the stream is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tailrace_mysql.event import Gtid, MariadbGtid
from tailrace_mysql.gtid import GtidPosition, GtidSet
from tailrace_mysql.origin import BinlogOrigin, Place
from tailrace_mysql.place import BinlogPlace
from tailrace_mysql.position import StreamPosition

Executed: TypeAlias = GtidSet | GtidPosition


@dataclass(slots=True)
class Transaction:
    """One transaction, from its GTID on.

    `start` is where it begins, `time` when it was committed, in microseconds since 1970, as far as that is known.
    """

    gtid: str
    start: BinlogPlace
    rank: int
    time: int
    server_id: int
    event: Gtid | MariadbGtid | None = None
    """What names it, where the server has GTIDs."""
    skip: int = 0
    """How many of its changes have been handed out before a restart."""
    ordinal: int = 0
    """How many of its changes have been seen."""
    thread: int | None = None
    standalone: bool = False
    """It is a single statement, and ends with it."""
    begun: bool = False
    """BEGIN was seen, so that COMMIT is to follow."""
    branch: str = ""
    """The XA branch that it prepares: its rows are for later."""
    packed_at: int | None = None
    """Where its compressed events begin, which have no places of their own."""
    origin: BinlogOrigin | None = None

    @property
    def handed_out(self) -> int:
        """How many of its changes were handed out, before a restart or since."""
        return max(self.skip, self.ordinal)

    def among(self, executed: Executed) -> Executed:
        """Return the transactions that have happened, with this one."""
        event = self.event
        if isinstance(executed, GtidSet) and isinstance(event, Gtid):
            return executed.with_gtid(event.uuid, event.number, event.tag)
        if isinstance(executed, GtidPosition) and isinstance(event, MariadbGtid):
            return executed.with_gtid(event.domain, event.header.server_id, event.number)
        return executed

    def has(self, position: StreamPosition) -> bool:
        """Whether a position that is inside a transaction is in this one."""
        return self.gtid == position.gtid if position.gtid else self.start == (position.file, position.pos)

    def origin_of(self, place: Place) -> BinlogOrigin:
        """Return the origin of its changes, the same for all."""
        if self.origin is None:
            self.origin = BinlogOrigin(
                place,
                time=self.time,
                file=self.start.file,
                server_id=self.server_id,
                gtid=self.gtid,
                thread=self.thread,
                pos=self.packed_at,
            )
        return self.origin
