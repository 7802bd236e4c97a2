"""One table's snapshot: what of it has been read, and whether a change in the stream still has to be told.

A table is read in chunks, in the order of its keys, while the stream goes on. Every row gets one `r` event, and then
exactly those changes that its chunk's read did not see. Of a change in transaction T, whose key is k:

    keys ──────────────────────────────────────────────────────────────────────────────────────▶
        floor          emitted, view S1    emitted, view S2    being read, view S3    not started
    ├── emit ────────┤── S1 sees T? ─────┤── S2 sees T? ─────┤── S3 sees T? ────────┤── drop ───
                        yes: drop           yes: drop           yes: drop              (the chunk that
                        no: emit            no: emit            no: wait, emit         reads k will see T)

* Up to the floor the stream has passed all views: nothing that is still to come was seen by them.
* Transactions that touch one key are serialised by its lock. So per key those that a view saw come before those that
  it did not, in the stream as in the table, and dropping the former leaves no hole.
* "Will see T" is not given: a transaction can be streamed before it becomes visible. `Snapshot.saw` refuses such views.
* A change may come without some of the row's values, those that it left alone. Where the topic has never told them (the
  row moved here from keys that were not read yet) the row is read again, alone: a chunk of one key, with its own view.

It does not read anything; connectors do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tailrace.errors import Fatal
from tailrace.position import Json
from tailrace.snapshot.order import Key, KeyOrder
from tailrace.snapshot.view import Place, Transaction, View
from tailrace.snapshot.window import Window

MOST_RANKS = 10_000  # keys whose places are remembered while the bounds stand still


class Verdict(Enum):
    """What to do with a change of a table under snapshot."""

    EMIT = "emit"
    DROP = "drop"
    """Its row has been read with it, or will be."""
    WAIT = "wait"
    """Its row has been read without it, but not been emitted yet; ask again later."""


EMIT, DROP, WAIT = Verdict.EMIT, Verdict.DROP, Verdict.WAIT


@dataclass(slots=True)
class Emitted:
    """Rows that have been emitted and whose view the stream has not passed; they end at `upper`, None: at the end."""

    upper: Key | None
    view: View


@dataclass(slots=True, eq=False)
class Chunk:
    """Rows being read: those with lower < key <= upper, None being the ends of the table."""

    table: TableSnapshot
    lower: Key | None
    upper: Key | None = None
    bounded: bool = False
    """Whether `upper` is known."""
    view: View | None = None
    """None until the read has begun, and its view has been accepted."""
    discarded: bool = False
    """The table's snapshot has started anew: whatever this chunk reads is of no use."""
    only: Key | None = None
    """The one key of a chunk that is a row read again; it has no bounds."""
    window: Window | None = None
    """Notes what changes among its rows, between when its read is asked for and when its view is accepted."""
    whole: bool = False
    """Some of its rows have been handed out, and count only once all have: no position is good until then."""
    owed: set[Transaction] | None = field(default_factory=set)
    """Transactions that another view was found to see while this one's was being taken; None: too many to count."""


class TableSnapshot:
    """The snapshot of one table. `key` names its key's columns; without any it is read in one pass.

    `object_id` is the database's own number for the table, which outlives a rename.
    """

    def __init__(
        self, name: str, key: Sequence[str], order: KeyOrder, *, object_id: int = 0, estimate: int = 0
    ) -> None:
        self.name = name
        self.key = tuple(key)
        self.object_id = object_id
        self.estimate = estimate
        self.rows = 0
        self.floor: Key | None = None
        self.emitted: list[Emitted] = []
        self.flight: list[Chunk] = []
        self.alone: dict[Key, View] = {}
        """Rows read again and emitted, whose view the stream has not passed."""
        self.rereads: list[Chunk] = []
        """Rows to be read again; those with a view are being read."""
        self.complete = False
        """All rows have been emitted; the table is done when the stream has passed all views too."""
        self._order = order
        self._bounds: list[Key] | None = None
        self._ranks: dict[Key, int] = {}
        self._verdicts: tuple[Transaction, list[Verdict]] | None = None

    @property
    def started(self) -> bool:
        """Whether any row of it was emitted, or a view accepted."""
        return self.floor is not None or bool(self.emitted) or any(chunk.view for chunk in self.flight)

    @property
    def done(self) -> bool:
        """Whether the stream alone tells of this table from here on."""
        return self.complete and not self.emitted and not self.alone and not self.rereads

    # --- changes -------------------------------------------------------------------------------------------------

    def judge(self, key: Key | None, transaction: Transaction) -> Verdict:
        """Return what to do with a change that `transaction` made to the row with `key`.

        Raises `Fatal` for a key of None (the change does not tell) where the verdict depends on it.
        """
        if key is not None and key in self.alone:
            return DROP if self.alone[key].sees(transaction) else EMIT
        verdicts = self._verdicts_on(transaction)
        first = verdicts[0]
        if all(verdict is first for verdict in verdicts):
            return first
        if key is None:
            raise Fatal(
                f"snapshot of {self.name}: a change in the stream does not name the key {', '.join(self.key)}",
                hint="the table's key or replica identity was changed during its snapshot; "
                "start the snapshot anew with `tailrace offsets reset`",
            )
        if key not in self._ranks:
            self.locate([key])
        return verdicts[self._ranks[key]]

    def undecided(self, transaction: Transaction) -> bool:
        """Whether the place of a key matters to `judge`; if so, `locate` many at once."""
        return bool(self.alone) or self.watched or len(set(self._verdicts_on(transaction))) > 1

    @property
    def watched(self) -> bool:
        """Whether some chunk has to be told with `amend` of changes that are not emitted."""
        return any(chunk.window is not None for chunk in self.flight)

    def amend(self, key: Key | None, row: object) -> None:
        """Note that the row with `key`, should a chunk with a window hold it, is `row` now (None: gone)."""
        if key is None:
            holders = self.flight
        else:
            if key not in self._ranks:
                self.locate([key])
            at = self._ranks[key] - len(self._known_bounds()) + sum(chunk.upper is not None for chunk in self.flight)
            holders = self.flight[at : at + 1] if at >= 0 else []
        for chunk in holders:
            if chunk.window is not None:
                chunk.window.note(key, row)

    def knows(self, key: Key) -> bool:
        """Whether the place of `key` has been looked up since the bounds moved."""
        return key in self._ranks

    def locate(self, keys: Sequence[Key]) -> None:
        """Look up the places of `keys`, so that `judge` need not ask for each."""
        if len(self._ranks) > MOST_RANKS:
            self._ranks.clear()
        wanted = [key for key in dict.fromkeys(keys) if key not in self._ranks]
        if wanted:
            self._ranks.update(zip(wanted, self._order.ranks(wanted, self._known_bounds()), strict=True))

    def truncate(self, transaction: Transaction) -> bool:
        """Return whether to emit that `transaction` emptied the table; the snapshot then starts anew if it has to."""
        views = [part.view for part in self.emitted]
        views += [chunk.view for chunk in (*self.flight, *self.rereads) if chunk.view is not None]
        views += self.alone.values()
        told_before = self.floor is not None or (self.complete and not self.emitted)
        if not told_before and all(view.sees(transaction) for view in views):
            return False
        whole = self.complete and not any(view.sees(transaction) for view in views)
        if not whole:
            # Rows read after the truncation may have gone out already, and this event wipes them: read all again.
            self._start_anew()
        return True

    def passed(self, place: Place) -> bool:
        """Forget the views that cannot have seen what comes: the stream goes on at `place`. Return whether any was."""
        forgotten = [key for key, view in self.alone.items() if view.passed(place)]
        for key in forgotten:
            del self.alone[key]
        changed = bool(forgotten)
        while self.emitted and self.emitted[0].view.passed(place):
            self.floor = self.emitted.pop(0).upper
            changed = True
        if changed:
            self._changed()
        return changed

    def reread(self, key: Key) -> None:
        """Have the row with `key` read again: a change that has to be told does not carry all its values.

        To be called again until `judge` finds that the row was read with the change.
        """
        if all(chunk.only != key for chunk in self.rereads):
            self.rereads.append(Chunk(self, None, bounded=False, only=key))

    # --- chunks --------------------------------------------------------------------------------------------------

    def next_chunk(self) -> Chunk | None:
        """Return the chunk to read next, None while there is none (to be known)."""
        if self.complete or (self.flight and (not self.flight[-1].bounded or self.flight[-1].upper is None)):
            return None
        chunk = Chunk(self, self.flight[-1].upper if self.flight else self.cursor)
        chunk.bounded = not self.key
        self.flight.append(chunk)
        self._changed()
        return chunk

    def next_reread(self) -> Chunk | None:
        """Return a row to be read again, None where there is none."""
        chunk = next((chunk for chunk in self.rereads if not chunk.bounded), None)
        if chunk is not None:
            chunk.bounded = True
        return chunk

    @property
    def cursor(self) -> Key | None:
        """The last key emitted; None at the start, and after the last row."""
        return self.emitted[-1].upper if self.emitted else self.floor

    def bound(self, chunk: Chunk, upper: Key | None) -> None:
        """`chunk` ends at `upper` (None: at the end of the table)."""
        chunk.upper, chunk.bounded = upper, True
        self._changed()

    def start(self, chunk: Chunk, view: View) -> None:
        """`chunk` is being read with `view`, which sees all that has been streamed."""
        chunk.view, chunk.window = view, None
        self._changed()

    def emit(self, chunk: Chunk, upto: Key | None, rows: int) -> None:
        """Note that the chunk's rows up to `upto` have been emitted; `upto` None: all of them."""
        if chunk.only is not None and chunk.view is not None:
            self.rereads.remove(chunk)
            self.alone[chunk.only] = chunk.view
            self.rows += rows
            self._changed()
            return
        if self.flight[0] is not chunk or chunk.view is None:
            raise AssertionError(f"snapshot of {self.name}: chunks are emitted in order")
        last = upto is None
        upper = chunk.upper if last else upto
        if self.emitted and self.emitted[-1].view is chunk.view:
            self.emitted[-1].upper = upper
        else:
            self.emitted.append(Emitted(upper, chunk.view))
        chunk.lower = upper
        self.rows += rows
        if last:
            self.flight.pop(0)
            self.complete = chunk.upper is None
        self._changed()

    def give_up(self, chunk: Chunk) -> None:
        """`chunk`, and those after it, are to be read again, from where its rows have been emitted."""
        if chunk.only is not None:
            chunk.discarded = True
            self.rereads.remove(chunk)
            return
        at = self.flight.index(chunk)
        for other in self.flight[at:]:
            other.discarded = True
        del self.flight[at:]
        self._changed()

    # --- positions -----------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Json]:
        """Return what has been emitted; what is being read is read again after a restart."""
        return {
            "id": self.object_id,
            "key": list(self.key),
            "rows": self.rows,
            "estimate": self.estimate,
            "complete": self.complete,
            "floor": _as_list(self.floor),
            "chunks": [{"upper": _as_list(part.upper), "view": part.view.to_json()} for part in self.emitted],
            "alone": [{"key": _as_list(key), "view": view.to_json()} for key, view in self.alone.items()],
        }

    def restore(self, state: Mapping[str, Json], view: Callable[[Json], View]) -> None:
        """Take over what `to_json` gave."""
        self.rows = _integer(state["rows"])
        self.complete = bool(state["complete"])
        self.floor = key_from_json(state["floor"])
        chunks = state["chunks"]
        assert isinstance(chunks, Sequence)
        for part in chunks:
            assert isinstance(part, Mapping)
            self.emitted.append(Emitted(key_from_json(part["upper"]), view(part["view"])))
        alone = state.get("alone", ())
        assert isinstance(alone, Sequence)
        for row in alone:
            assert isinstance(row, Mapping)
            self.alone[key_from_json(row["key"]) or ()] = view(row["view"])
        self._changed()

    # --- within --------------------------------------------------------------------------------------------------

    def _start_anew(self) -> None:
        for chunk in (*self.flight, *self.rereads):
            chunk.discarded = True
        self.floor, self.complete, self.rows = None, False, 0
        self.flight.clear()
        self.rereads.clear()
        self.emitted.clear()
        self.alone.clear()
        self._changed()

    def _changed(self) -> None:
        self._bounds = None
        self._verdicts = None
        self._ranks.clear()

    def _known_bounds(self) -> list[Key]:
        if self._bounds is None:
            uppers = (self.floor, *(part.upper for part in self.emitted), *(chunk.upper for chunk in self.flight))
            self._bounds = [upper for upper in uppers if upper is not None]
        return self._bounds

    def _verdicts_on(self, transaction: Transaction) -> list[Verdict]:
        """Return the verdict for each stretch between bounds, the last one being what lies beyond them."""
        if self._verdicts is not None and self._verdicts[0] == transaction:
            return self._verdicts[1]
        verdicts = [EMIT] if self.floor is not None else []
        verdicts += [DROP if part.view.sees(transaction) else EMIT for part in self.emitted]
        for chunk in self.flight:
            if chunk.bounded:
                seen = chunk.view is None or chunk.view.sees(transaction)
                verdicts.append(DROP if seen else WAIT)
        if len(verdicts) == len(self._known_bounds()):
            verdicts.append(EMIT if self.complete else DROP)
        self._verdicts = (transaction, verdicts)
        return verdicts


def key_from_json(value: Json) -> Key | None:
    """Return the key that a position holds."""
    if value is None:
        return None
    assert isinstance(value, Sequence)
    return tuple(map(str, value))


def _as_list(key: Key | None) -> list[Json] | None:
    return None if key is None else list(key)


def _integer(value: Json) -> int:
    assert isinstance(value, int)
    return value
