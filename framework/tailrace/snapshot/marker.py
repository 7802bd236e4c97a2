"""Which rows of a snapshot are its first and last: Debezium's markers in the source block."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tailrace.event import Change, Event, Origin
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import TableSnapshot


def mark_ends(
    snapshot: Snapshot, of: TableSnapshot, changes: Sequence[Change], origin: Callable[[str], Origin], *,
    last_of_table: bool,
) -> Sequence[Change]:  # fmt: skip
    """Return `changes`, where the first and the last rows of a table, and of all, say that they are.

    To be called before they are counted. `origin` makes the origin with a marker.
    """
    if not changes or not (of.rows == 0 or last_of_table):
        return changes
    changes = list(changes)
    if of.rows == 0:
        changes[0].origin = origin("first_in_data_collection")
    if last_of_table:
        others = (other.complete for other in snapshot.tables.values() if other is not of)
        changes[-1].origin = origin("last" if all(others) else "last_in_data_collection")
    if snapshot.rows == 0:
        changes[0].origin = origin("first")
    return changes


def joined(events: Sequence[Event], more: Sequence[Event]) -> Sequence[Event]:
    """Return both, in order; one of them as it is where the other is empty: a look into `RowChanges` is dear."""
    if not events or not more:
        return events or more
    return [*events, *more]
