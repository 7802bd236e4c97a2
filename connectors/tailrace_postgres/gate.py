"""Between stream and snapshot: which halves of a row change are still to be told.

Takes keys out of wire rows, asks the snapshot, and looks the places of many keys up at once where that costs a query.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tailrace.event import Table
from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import EMIT, WAIT, TableSnapshot


@dataclass(slots=True)
class Captured:
    """A table of the stream. `snapshot` is None once the stream alone tells of it."""

    oid: int
    table: Table
    snapshot: TableSnapshot | None
    whole_old: bool
    """Whether old rows have all columns (replica identity full)."""
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.names = tuple(self.table.columns[place].name for place in self.table.key)

    def keys(self, old: bytes | None, new: bytes | None) -> tuple[Key | None, Key | None]:
        """Return the keys of a row before and after; None where nobody needs it, or where it cannot be told."""
        if not self.table.key or (self.snapshot is None and (old is None or new is None)):
            return None, None
        return None if old is None else self.key(old), None if new is None else self.key(new)

    def key(self, wire: bytes) -> Key | None:
        """Return the key of a row, None where it cannot be told."""
        cells = self.table.format.cells(wire)
        key = []
        for place in self.table.key:
            cell = cells[place]
            if not isinstance(cell, bytes):
                return None
            key.append(cell.decode())
        return tuple(key)


Halves = tuple[bool, bool]

Ahead = Callable[[int], Sequence[Key]]
"""Gives keys of changes of a relation that will be asked for soon."""


class Gate:
    """Judges changes by the state of the snapshot."""

    def __init__(self, snapshot: Snapshot, ahead: Ahead) -> None:
        self._snapshot = snapshot
        self._ahead = ahead

    def halves(self, captured: Captured, old: Key | None, new: Key | None, *, moved: bool) -> Halves | None:
        """Whether to emit a change's old and new half; None: not yet. Both are one unless the row has `moved`.

        `old` is then the key before, `new` the key after; else `old` is the row's key.
        """
        table = self._open(captured)
        if table is None:
            return True, True
        verdicts = [table.judge(self._known(table, captured, old), self._snapshot.transaction)]
        if moved:
            verdicts.append(table.judge(self._known(table, captured, new), self._snapshot.transaction))
        if WAIT in verdicts:
            return None
        return verdicts[0] is EMIT, verdicts[-1] is EMIT

    def reread(self, captured: Captured, key: Key) -> None:
        """Have the row with `key` read by the snapshot: its change, which is to be told, came without all its values.

        The change has to wait; when it is asked about again, the row has been read with it.
        """
        table = self._open(captured)
        if table is not None:
            table.reread(key)

    def truncate(self, captured: Captured) -> bool:
        """Whether to emit that a table was emptied."""
        table = self._open(captured)
        return table is None or self._snapshot.truncate(table) is EMIT

    def _open(self, captured: Captured) -> TableSnapshot | None:
        if captured.snapshot is not None and captured.snapshot.done:
            captured.snapshot = None
        return captured.snapshot

    def _known(self, table: TableSnapshot, captured: Captured, key: Key | None) -> Key | None:
        """Return `key`, its place looked up together with those of keys to come; None where it is of another key."""
        if not table.undecided(self._snapshot.transaction):
            return key
        if key is None or captured.names != table.key:
            return None
        if not table.knows(key):
            table.locate([key, *self._ahead(captured.oid)])
        return key
