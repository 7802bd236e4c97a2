"""Whether the snapshot of a Debezium connector was over when it stored an offset."""

from __future__ import annotations

from collections.abc import Mapping

from tailrace.errors import Fatal
from tailrace.position import Json


def check_finished(offset: Mapping[str, Json]) -> None:
    """Raise `Fatal` where rows that Debezium had not read yet would never come."""
    under_way = offset.get("snapshot") not in {None, False, "false"}
    if under_way and not (offset.get("snapshot_completed") or offset.get("last_snapshot_record")):
        raise Fatal(
            "cannot go on from this offset: Debezium's snapshot was under way",
            hint="start Debezium again and let it finish, or begin without its offset: Tailrace then takes a snapshot "
            "of its own, which tells all rows again",
        )
    if offset.get("incremental_snapshot_collections"):
        raise Fatal(
            "cannot go on from this offset: an incremental snapshot of Debezium's was under way",
            hint="start Debezium again and let it finish, or stop that snapshot by a signal",
        )
