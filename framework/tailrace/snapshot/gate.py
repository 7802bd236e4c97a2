"""Between stream and snapshot: which halves of a row change are still to be told.

Asks the snapshot, and looks the places of many keys up at once where that costs a query. It does not know
rows: their keys are taken by the connector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import EMIT, WAIT, TableSnapshot


class Captured(Protocol):
    """A table of the stream. `snapshot` is None once the stream alone tells of it; `names` are its key's columns."""

    snapshot: TableSnapshot | None

    @property
    def names(self) -> tuple[str, ...]: ...  # noqa: D102 - above


C = TypeVar("C", bound=Captured)

Halves: TypeAlias = tuple[bool, bool]

Ahead: TypeAlias = Callable[[C], Sequence[Key]]
"""Gives keys of changes of a table that will be asked for soon."""


class Gate(Generic[C]):
    """Judges changes by the state of the snapshot."""

    def __init__(self, snapshot: Snapshot, ahead: Ahead[C]) -> None:
        self._snapshot = snapshot
        self._ahead = ahead

    def halves(self, captured: C, old: Key | None, new: Key | None, *, moved: bool) -> Halves | None:
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

    def amend(self, captured: C, key: Key | None, row: object) -> None:
        """Note a change that is not told: should its row be among those being read, it is `row` now (None: gone).

        A key of None: the change does not tell which row it is; `row` is `TORN` where it does not tell the whole row.
        """
        table = self._open(captured)
        if table is not None and table.watched:
            table.amend(self._known(table, captured, key), row)

    def reread(self, captured: C, key: Key) -> None:
        """Have the row with `key` read by the snapshot: its change, which is to be told, came without all its values.

        The change has to wait; when it is asked about again, the row has been read with it.
        """
        table = self._open(captured)
        if table is not None:
            table.reread(key)

    def truncate(self, captured: C) -> bool:
        """Whether to emit that a table was emptied."""
        table = self._open(captured)
        return table is None or self._snapshot.truncate(table) is EMIT

    def _open(self, captured: C) -> TableSnapshot | None:
        if captured.snapshot is not None and captured.snapshot.done:
            captured.snapshot = None
        return captured.snapshot

    def _known(self, table: TableSnapshot, captured: C, key: Key | None) -> Key | None:
        """Return `key`, its place looked up together with those of keys to come; None where it is of another key."""
        if not table.undecided(self._snapshot.transaction):
            return key
        if key is None or captured.names != table.key:
            return None
        if not table.knows(key):
            table.locate([key, *self._ahead(captured)])
        return key
