"""Which rows of a snapshot are its first and last: Debezium's markers in the source block."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tailrace.event import Change, Origin
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import TableSnapshot


def mark_ends(
    snapshot: Snapshot, of: TableSnapshot, changes: Sequence[Change], origin: Callable[[str], Origin], *,
    last_of_table: bool,
) -> None:  # fmt: skip
    """Say of the first and the last rows of a table, and of all, that they are; before `changes` are counted.

    `origin` makes the origin with a marker.
    """
    if not changes:
        return
    if of.rows == 0:
        changes[0].origin = origin("first_in_data_collection")
    if last_of_table:
        others = (other.complete for other in snapshot.tables.values() if other is not of)
        changes[-1].origin = origin("last" if all(others) else "last_in_data_collection")
    if snapshot.rows == 0:
        changes[0].origin = origin("first")
