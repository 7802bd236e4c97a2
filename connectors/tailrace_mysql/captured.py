"""A table of the stream, and the keys of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.core.cutter import Cutter, Mapped
from tailrace.core.told import cut_changes
from tailrace.event import Change, Table
from tailrace.schema import UNAVAILABLE
from tailrace.snapshot.order import Key
from tailrace.snapshot.table import TableSnapshot
from tailrace_mysql.event import Images, MalformedEvent, Rows, TableMap
from tailrace_mysql.header import place
from tailrace_mysql.order import TableKey
from tailrace_mysql.origin import MOST_ROWS, BinlogOrigin


@dataclass(slots=True)
class Captured:
    """A table of the stream, as of one table map. `snapshot` is None once the stream alone tells of it."""

    map: TableMap
    table: Table
    key: TableKey
    """What the snapshot compares rows by."""
    snapshot: TableSnapshot | None = None
    mapped: Mapped = field(init=False)
    """The same for the core."""

    def __post_init__(self) -> None:
        self.mapped = Mapped(self.table, Cutter(self.map.widths, self.table.key), self)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of its key."""
        return self.key.names

    def images(self, rows: Rows, file: str) -> list[Images]:
        """Return the rows of an event; raises `MalformedEvent` where they do not fit the table map."""
        try:
            return rows.images(self.map)
        except ValueError as error:
            raise MalformedEvent(
                f"rows of {self.table.id} in {place(rows.header, file)}: {error}",
                hint="the binlog or the connection is damaged",
            ) from error

    def changes(self, rows: Rows, origin: BinlogOrigin, first: int) -> list[Change] | None:
        """Return the rows of an event as changes, the first of them marked `first`; None where the core cannot."""
        if rows.partial or rows.width != len(self.map.types) or len(rows.data) > MOST_ROWS:
            return None
        images = (rows.present, rows.present_after, rows.data)
        return cut_changes(self.mapped, Change, rows.op, images, origin, first)

    def keys(self, before: bytes | None, after: bytes | None) -> tuple[Key | None, Key | None]:
        """Return the keys of a row before and after a change, None where there is no row, or no key to be told."""
        if not self.key.columns:
            return None, None
        old = None if before is None else self.table.format.cells(before)
        new = None if after is None else self.table.format.cells(after)
        if old is not None and new is not None:
            # A column that the row after does not have was left alone.
            new = [was if cell is UNAVAILABLE else cell for was, cell in zip(old, new, strict=True)]
        return (
            None if old is None else self.key.of_binlog(self.table, old),
            None if new is None else self.key.of_binlog(self.table, new),
        )

    def moved(self, before: bytes, after: bytes) -> bool:
        """Whether an update gave the row another key."""
        places = self.table.key
        if not places:
            return False
        old, new = self.table.format.cells(before), self.table.format.cells(after)
        # A column that the row after does not have was left alone.
        return any(isinstance(new[place_], bytes) and new[place_] != old[place_] for place_ in places)
