"""A snapshot: its tables, which chunk to read next, which views are of use, and what a position keeps of it all.

No I/O: a connector reads the chunks that `next_chunk` names, tells of every step, and asks before it emits a change.
Everything that has been emitted is in `to_json`, and nothing else, so that a position that holds it resumes exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tailrace.position import Json
from tailrace.snapshot.order import Key
from tailrace.snapshot.table import DROP, EMIT, Chunk, TableSnapshot, Verdict
from tailrace.snapshot.view import Place, Transaction, View

MOST_VIEWS = 32
"""Chunks whose view the stream has not passed: beyond these the snapshot waits, so that positions stay small."""

MOST_OWED = 10_000
"""Transactions that a view on its way is held to; beyond these another one is taken."""


class Snapshot:
    """The snapshot of several tables. `tables` are those not done yet, those without a key first."""

    def __init__(
        self, tables: Iterable[TableSnapshot], *, tables_total: int | None = None, rows_before: int = 0,
        unseen: Iterable[Transaction] = (), known: Iterable[int | str] = (), scope: Json = None,
    ) -> None:  # fmt: skip
        ordered = sorted(tables, key=lambda table: bool(table.key))
        self.tables = {table.name: table for table in ordered}
        self.tables_total = len(self.tables) if tables_total is None else tables_total
        self.rows_before = rows_before
        """Rows of the tables that are done."""
        self.scope = scope
        """What the configuration chose when `known` was made up; the connector's own."""
        self.known = set(known)
        """Ids or names of all tables that were captured so far: the rows of any other one have not been read."""
        self.unseen = set(unseen)
        """Transactions of the stream that no view is known to have seen: they may not be visible to reads yet."""
        self.transaction: Transaction = 0
        self.version = 0
        """Changes whenever `to_json` does."""

    @property
    def done(self) -> bool:
        """Whether the stream alone tells everything from here on."""
        return not self.tables

    @property
    def complete(self) -> bool:
        """Whether all rows have been emitted."""
        return all(table.complete and not table.rereads for table in self.tables.values())

    @property
    def rows(self) -> int:
        """How many rows have been emitted."""
        return self.rows_before + sum(table.rows for table in self.tables.values())

    @property
    def holding(self) -> bool:
        """Whether the stream has to stand still: a table without a key is being read."""
        return any(table.flight and not table.key for table in self.tables.values())

    @property
    def committable(self) -> bool:
        """Whether what has been emitted can be resumed from: not inside a whole chunk, or a table without a key."""
        return not any(
            (table.emitted and not table.key) or table.flight[0].whole for table in self.tables.values() if table.flight
        )

    @property
    def views(self) -> int:
        """How many views the stream has yet to pass, those to come of chunks being read included."""
        return sum(
            len(table.emitted) + len(table.flight) + len(table.alone) + len(table.rereads)
            for table in self.tables.values()
        )

    # --- the stream ----------------------------------------------------------------------------------------------

    def begin(self, transaction: Transaction, place: Place) -> None:
        """Note that the changes that follow are those of `transaction`, which committed at `place`."""
        self.transaction = transaction
        self.passed(place)
        if self.tables:
            self.unseen.add(transaction)
            self.version += 1

    def enter(self, transaction: Transaction, place: Place) -> None:
        """Begin where views are only ever accepted that see all that has been streamed, as windows make sure."""
        self.transaction = transaction
        self.passed(place)

    def passed(self, place: Place) -> None:
        """All transactions that committed before `place` have been streamed."""
        for table in list(self.tables.values()):
            if table.passed(place):
                self.version += 1
            if table.done:
                self.rows_before += table.rows
                del self.tables[table.name]
        if not self.tables:
            self.unseen.clear()

    def truncate(self, table: TableSnapshot) -> Verdict:
        """Return whether to emit that the current transaction emptied `table`."""
        emit = table.truncate(self.transaction)
        self.version += emit
        return EMIT if emit else DROP

    # --- the chunks ----------------------------------------------------------------------------------------------

    def next_chunk(self) -> Chunk | None:
        """Return a chunk to be read now, beside those that are; None: not now."""
        for table in self.tables.values():
            if (again := table.next_reread()) is not None:
                return again  # the stream waits for it
        if self.holding or self.views >= MOST_VIEWS:
            return None
        for table in self.tables.values():
            if not table.key and not table.complete and self._reading():
                return None  # one pass at a time, with nothing beside it
            if (chunk := table.next_chunk()) is not None:
                return chunk
        return None

    def saw(self, view: View) -> bool:
        """Whether `view` sees all that has been streamed so far; if not, no chunk may be read with it."""
        seen = {transaction for transaction in self.unseen if view.sees(transaction)}
        self.unseen -= seen
        # A view that was taken before this one, and is told of after it, may not see them.
        for chunk in self._without_view() if seen else ():
            if chunk.owed is not None:
                chunk.owed |= seen
                chunk.owed = chunk.owed if len(chunk.owed) <= MOST_OWED else None
        self.version += 1
        return not self.unseen

    def start(self, chunk: Chunk, view: View) -> bool:
        """Read `chunk` with `view`; False: the view is of no use, take another a little later."""
        sees_all = self.saw(view)
        owed, chunk.owed = chunk.owed, set()
        if not sees_all or owed is None or not all(view.sees(transaction) for transaction in owed):
            return False
        chunk.table.start(chunk, view)
        return True

    def is_next(self, chunk: Chunk) -> bool:
        """Whether the rows of `chunk` may be emitted now: those before it have been."""
        first = chunk.only is not None or (bool(chunk.table.flight) and chunk.table.flight[0] is chunk)
        return chunk.view is not None and first

    def emit(self, chunk: Chunk, upto: Key | None, rows: int) -> None:
        """`rows` rows of `chunk` have been emitted, the last one being `upto`; `upto` None: the chunk is done."""
        chunk.table.emit(chunk, upto, rows)
        self.version += 1

    def drop(self, table: TableSnapshot) -> None:
        """Forget `table`: it is gone from the database."""
        for chunk in (*table.flight, *table.rereads):
            chunk.discarded = True
        self.tables.pop(table.name, None)
        self.version += 1

    # --- positions -----------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Json]:
        """Return everything that a restart needs."""
        if not self.tables:
            return {"done": True, "total": self.tables_total, "rows": self.rows, **self._scope()}
        return {
            "done": False,
            "total": self.tables_total,
            "rows": self.rows_before,
            **self._scope(),
            "tables": {name: table.to_json() for name, table in self.tables.items()},
            "unseen": sorted(self.unseen),
        }

    def know(self, object_id: int | str) -> None:
        """From here on a table is captured, all of whose rows come by the stream."""
        self.known.add(object_id)
        self.version += 1

    def _scope(self) -> dict[str, Json]:
        return {"known": sorted(self.known, key=str), "scope": self.scope}

    def _without_view(self) -> Iterator[Chunk]:
        """Give the chunks whose view may be on its way."""
        for table in self.tables.values():
            yield from (chunk for chunk in (*table.flight, *table.rereads) if chunk.view is None)

    def _reading(self) -> bool:
        return any(table.flight or table.rereads for table in self.tables.values())


def saved_tables(state: Mapping[str, Json]) -> Mapping[str, Mapping[str, Json]]:
    """Return the tables that `to_json` gave: the states to restore, by name."""
    tables = state.get("tables", {})
    assert isinstance(tables, Mapping)
    return {name: table for name, table in tables.items() if isinstance(table, Mapping)}
