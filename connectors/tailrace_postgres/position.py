"""Positions of a Postgres source: a commit boundary and an ordinal, never the LSN of a row.

The LSNs of rows go backwards where transactions overlap; those of commit records, in whose order transactions are
streamed, do not. As JSON:

    lsn       the commit record of the transaction handed out last, 0 before the first
    ordinal   how many of its row changes and truncations were handed out, captured or not; null: all
    confirm   where the slot may move to: the end of the last whole transaction, or of the log where nothing came since
    cluster   system identifier/timeline/database
    snapshot  the state of `tailrace.snapshot`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tailrace.errors import Fatal
from tailrace.position import Json, Position
from tailrace_postgres.lsn import format_lsn


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Where the stream is."""

    lsn: int
    ordinal: int | None
    confirm: int

    def __str__(self) -> str:
        if self.ordinal is None:
            return format_lsn(max(self.lsn, self.confirm))
        return f"{format_lsn(self.lsn)}+{self.ordinal}"


@dataclass(frozen=True, slots=True)
class Resume:
    """A stored position, taken apart."""

    stream: StreamPosition
    cluster: str
    snapshot: Mapping[str, Json]


def to_json(stream: StreamPosition, cluster: str, snapshot: Mapping[str, Json]) -> Position:
    """Return the position to be stored."""
    return {
        "lsn": stream.lsn,
        "ordinal": stream.ordinal,
        "confirm": stream.confirm,
        "cluster": cluster,
        "snapshot": snapshot,
    }


def from_json(position: Position) -> Resume:
    """Take a stored position apart; raises `Fatal` for one that is not ours."""
    try:
        lsn, ordinal, confirm = (position[name] for name in ("lsn", "ordinal", "confirm"))
        cluster, snapshot = position["cluster"], position["snapshot"]
    except KeyError as error:
        raise Fatal(f"the stored position has no {error}", hint="it is not one of a postgres source") from error
    if (
        isinstance(lsn, int) and isinstance(confirm, int) and isinstance(cluster, str) and isinstance(snapshot, Mapping)
        and (ordinal is None or isinstance(ordinal, int))
    ):  # fmt: skip
        return Resume(StreamPosition(lsn, ordinal, confirm), cluster, snapshot)
    raise Fatal("the stored position cannot be read", hint="it is not one of a postgres source")
