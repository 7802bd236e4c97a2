"""A table of the stream, and the keys of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.event import Table
from tailrace.snapshot.order import Key
from tailrace.snapshot.table import TableSnapshot
from tailrace_postgres.row import key_of_row


@dataclass(slots=True)
class Captured:
    """A table of the stream. `snapshot` is None once the stream alone tells of it."""

    oid: int
    table: Table
    snapshot: TableSnapshot | None
    names: tuple[str, ...] = field(init=False)
    """The columns of its key."""

    def __post_init__(self) -> None:
        self.names = tuple(self.table.columns[place].name for place in self.table.key)

    def keys(self, old: bytes | None, new: bytes | None) -> tuple[Key | None, Key | None]:
        """Return the keys of a row before and after; None where nobody needs it, or where it cannot be told."""
        if not self.table.key or (self.snapshot is None and (old is None or new is None)):
            return None, None
        key = self.key if self.snapshot is not None else self._raw_key
        return None if old is None else key(old), None if new is None else key(new)

    def key(self, wire: bytes) -> Key | None:
        """Return the key of a row, None where it cannot be told."""
        return key_of_row(self.table, wire)

    def _raw_key(self, wire: bytes) -> Key | None:
        """Return what can be compared with another row's, and nothing else."""
        cells = self.table.format.cells(wire)
        key = [cell.decode("latin-1") for place in self.table.key if isinstance(cell := cells[place], bytes)]
        return tuple(key) if len(key) == len(self.table.key) else None
