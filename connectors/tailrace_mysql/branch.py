"""XA branches: their rows come when they are prepared, and count when they are committed, perhaps days later.

    GTID 1 · XA START x · rows · XA END x · XA PREPARE x        … other transactions …        GTID 9 · XA COMMIT x

Rows are not kept: the position has where they are, and they are read from the binlog again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tailrace.errors import Fatal
from tailrace_mysql import event as binlog
from tailrace_mysql.incoming import Incoming
from tailrace_mysql.position import Branch


class Branches:
    """The branches that are prepared, and the rows of the one that is being committed."""

    def __init__(self, known: Iterable[Branch]) -> None:
        self._known = {branch.xid: branch for branch in known}
        self._incoming = Incoming()
        self._begun = False
        self.awaited: Branch | None = None
        """The branch whose rows are to be fed before the stream can go on."""

    @property
    def prepared(self) -> tuple[Branch, ...]:
        """All that are prepared, the one being committed included."""
        return tuple(self._known.values())

    def prepare(self, branch: Branch) -> None:
        """Note where the rows of a branch are."""
        self._known[branch.xid] = branch

    def forget(self, xid: str) -> None:
        """Drop a branch: it was committed, or rolled back."""
        self._known.pop(xid, None)

    def commit(self, xid: str, at: object) -> None:
        """Await the rows of a branch; raises `Fatal` where it is not known where they are."""
        branch = self._known.get(xid)
        if branch is None:
            raise Fatal(
                f"binlog {at}: XA COMMIT {xid} of a branch that was prepared before the stream began",
                hint="its rows cannot be told: start the snapshot anew with `tailrace offsets reset`",
            )
        self.awaited, self._begun = branch, False

    def feed(self, events: Sequence[bytes]) -> None:
        """Take in events of the binlog, from where the branch's transaction begins or before it."""
        self._incoming.feed(events)

    def unpack(self, events: Iterator[Sequence[bytes]]) -> None:
        """Go on with the events of a compressed transaction."""
        self._incoming.unpack(events)

    def next(self) -> bytes | None:
        """Return the next event that was fed."""
        return self._incoming.next()

    def holds(self, event: binlog.Event) -> bool:
        """Whether an event belongs to the awaited branch: all do, from its GTID on."""
        assert self.awaited is not None
        if isinstance(event, binlog.Gtid | binlog.MariadbGtid):
            self._begun = self.awaited.gtid in {"", str(event)}
        return self._begun

    def end(self) -> None:
        """All rows of the awaited branch have been handed out."""
        assert self.awaited is not None
        self.forget(self.awaited.xid)
        self.awaited = None
        self._incoming = Incoming()
