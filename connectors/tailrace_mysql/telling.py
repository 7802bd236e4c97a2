"""From rows events to changes, as far as the snapshot leaves them to the stream. It knows no positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.core.told import Told
from tailrace.errors import Fatal
from tailrace.event import Change
from tailrace.schema import UNAVAILABLE
from tailrace.snapshot.gate import Gate
from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import EMIT
from tailrace.snapshot.window import TORN
from tailrace_mysql.captured import Captured
from tailrace_mysql.event import Images, RowOp, Rows
from tailrace_mysql.origin import BinlogOrigin, mark


@dataclass(slots=True)
class RowsUnderWay:
    """A rows event of a captured table, of whose rows those before `next` have been told."""

    captured: Captured
    op: RowOp
    images: Sequence[Images]
    pos: int
    next: int = 0
    changes: Sequence[Change] = ()
    """All rows as changes, in place of `images`, where the snapshot has no say in them."""

    @property
    def left(self) -> int:
        """How many rows are to be told."""
        return len(self.changes or self.images) - self.next


def rows_under_way(captured: Captured, event: Rows, origin: BinlogOrigin, file: str) -> RowsUnderWay:
    """Return the rows of an event; as changes already, where the stream alone tells of their table."""
    at = event.header.start_pos
    changes = None if captured.snapshot is not None else captured.changes(event, origin, mark(at, 0))
    images = () if changes else captured.images(event, file)
    return RowsUnderWay(captured, event.op, images, at, changes=changes or ())


class Teller:
    """Makes changes of rows."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._gate = Gate[Captured](snapshot, lambda _: self._keys_ahead())
        self._rows: RowsUnderWay | None = None

    def tell(self, rows: RowsUnderWay, origin: BinlogOrigin, events: Told, most: int) -> int:
        """Append changes until there are `most` events; return how many rows were done. Fewer: the next has to wait."""
        begin = rows.next
        if rows.changes:
            taken = rows.changes[begin : begin + most - len(events)]
            events.extend(taken)
            rows.next += len(taken)
            return len(taken)
        self._rows = rows
        while rows.left and len(events) < most:
            if not self._told(rows, origin, events):
                break
            rows.next += 1
        self._rows = None
        return rows.next - begin

    def emptied(self, table_id: str) -> bool:
        """Whether to tell that a table was emptied."""
        self.reshaped(table_id)
        table = self._snapshot.tables.get(table_id)
        return table is None or self._snapshot.truncate(table) is EMIT

    def reshaped(self, table_id: str) -> None:
        """Take note that something happened to all rows of a table at once."""
        table = self._snapshot.tables.get(table_id)
        if table is not None:
            table.amend(None, None)

    def _told(self, rows: RowsUnderWay, origin: BinlogOrigin, events: Told) -> bool:
        captured = rows.captured
        old, new = rows.images[rows.next]
        at = mark(rows.pos, rows.next)
        moved = old is not None and new is not None and captured.moved(old, new)
        if captured.snapshot is None:
            events.append(Change(captured.table, rows.op, old, new, origin=origin, at=at, moved=moved))
            return True
        old_key, new_key = captured.keys(old, new)
        if not moved and new is not None:
            old_key = new_key
        halves = self._gate.halves(captured, old_key, new_key, moved=moved)
        if halves is None:
            return False
        tell_old, tell_new = halves
        row = None if new is None else self._whole(rows, new, origin, at)
        if not tell_old and (moved or new is None):
            self._gate.amend(captured, old_key, None)
        if not tell_new and new is not None:
            self._gate.amend(captured, new_key, row)
        if tell_new and not tell_old and row is TORN:
            raise Fatal(
                f"snapshot of {captured.table.id}: a row moved to another key, and only a part of it is in the binlog",
                hint="set binlog_row_image = FULL, and start the snapshot anew with `tailrace offsets reset`",
            )
        if tell_old and tell_new:
            events.append(Change(captured.table, rows.op, old, new, origin=origin, at=at, moved=moved))
        elif tell_old:
            events.append(Change(captured.table, "d", old, None, origin=origin, at=at))
        elif tell_new:
            events.append(Change(captured.table, "c", None, new, origin=origin, at=at))
        return True

    @staticmethod
    def _whole(rows: RowsUnderWay, new: bytes, origin: BinlogOrigin, at: int) -> object:
        """Return a row as the snapshot may have to tell it."""
        if UNAVAILABLE in rows.captured.table.format.cells(new):
            return TORN
        return Change(rows.captured.table, "r", None, new, origin=origin, at=at)

    def _keys_ahead(self) -> list[Key]:
        """Return the keys of the rows that are at hand."""
        rows = self._rows
        if rows is None:
            return []
        keys = (key for images in rows.images[rows.next :] for key in rows.captured.keys(*images))
        return [key for key in keys if key is not None]
