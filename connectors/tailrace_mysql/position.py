"""Positions of a binlog source: a boundary between transactions and, inside one, an ordinal.

As JSON:

    file, pos  where the transaction begins that was handed out last or, if all of it was, where what follows begins
    gtids      the transactions that came before, purged ones included: a GTID set (MySQL), the last GTID of each
               domain (MariaDB), "" on a server without GTIDs
    gtid       the transaction at `pos`, "" between two, or where there are no GTIDs
    ordinal    how many of its row changes to captured tables were handed out; null: between two transactions
    server     the server's own name for itself: server_uuid (MySQL), server_id (MariaDB)
    branches   XA branches that are prepared and not yet committed, each as [xid, gtid, file, pos] of its rows
    history    the version of the schema history, which lies in the log
    snapshot   the state of `tailrace.snapshot`

Where the server has GTIDs they alone say where to resume, and a replica can take over; else file and position do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tailrace.errors import Fatal
from tailrace.position import Json, Position


@dataclass(frozen=True, slots=True)
class Branch:
    """An XA branch that was prepared by the transaction `gtid`, whose rows begin at `pos` in `file`."""

    xid: str
    gtid: str
    file: str
    pos: int


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Where the stream is; see above."""

    file: str
    pos: int
    gtids: str = ""
    gtid: str = ""
    ordinal: int | None = None
    branches: tuple[Branch, ...] = ()

    def __str__(self) -> str:
        place = f"{self.file}:{self.pos}"
        return place if self.ordinal is None else f"{place}+{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Resume:
    """A stored position, taken apart."""

    stream: StreamPosition
    server: str
    history: int
    snapshot: Mapping[str, Json]


def to_json(stream: StreamPosition, server: str, history: int, snapshot: Mapping[str, Json]) -> Position:
    """Return the position to be stored."""
    return {
        "file": stream.file,
        "pos": stream.pos,
        "gtids": stream.gtids,
        "gtid": stream.gtid,
        "ordinal": stream.ordinal,
        "server": server,
        "branches": [[branch.xid, branch.gtid, branch.file, branch.pos] for branch in stream.branches],
        "history": history,
        "snapshot": snapshot,
    }


def from_json(position: Position) -> Resume:
    """Take a stored position apart; raises `Fatal` for one that is not ours."""
    try:
        file, pos, gtids, gtid, ordinal, server, branches, history, snapshot = (position[name] for name in _FIELDS)
    except KeyError as error:
        raise Fatal(f"the stored position has no {error}", hint="it is not one of a mysql source") from error
    if (
        isinstance(file, str) and isinstance(pos, int) and isinstance(gtids, str) and isinstance(gtid, str)
        and (ordinal is None or isinstance(ordinal, int)) and isinstance(server, str) and isinstance(history, int)
        and isinstance(snapshot, Mapping) and isinstance(branches, Sequence)
    ):  # fmt: skip
        stream = StreamPosition(file, pos, gtids, gtid, ordinal, tuple(map(_branch, branches)))
        return Resume(stream, server, history, snapshot)
    raise Fatal("the stored position cannot be read", hint="it is not one of a mysql source")


_FIELDS = ("file", "pos", "gtids", "gtid", "ordinal", "server", "branches", "history", "snapshot")


def _branch(value: Json) -> Branch:
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 4:
        xid, gtid, file, pos = value
        if isinstance(xid, str) and isinstance(gtid, str) and isinstance(file, str) and isinstance(pos, int):
            return Branch(xid, gtid, file, pos)
    raise Fatal("the stored position cannot be read: its XA branches", hint="it is not one of a mysql source")
