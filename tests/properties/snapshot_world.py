"""A consumer of a database with visibility, scheduled at random: it proves the snapshot's rule.

The consumer keeps what a log would keep: at a crash its output is cut to the last committed position, and everything
starts again from there. What it emits is folded by a reader that is strict about every event.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from properties.snapshot_database import CHUNK_ROWS, READERS, Database, ModelView, Row
from tailrace.snapshot.order import IntegerOrder
from tailrace.snapshot.schedule import Snapshot, saved_tables
from tailrace.snapshot.table import DROP, EMIT, WAIT, Chunk, TableSnapshot


class Broken(AssertionError):
    """An event that does not fit what was emitted before it."""


class Fold:
    """What a consumer makes of the events, strict about every step."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.versions: set[int] = set()

    def apply(self, event: tuple[str, Any]) -> None:
        op, value = event
        if op == "t":
            self.rows.clear()
            self.versions.clear()
            return
        key, version = value
        if op == "d":
            if key not in self.rows:
                raise Broken(f"delete of a row that is not there: {event}")
            del self.rows[key]
            return
        if (op == "u") != (key in self.rows):
            raise Broken(f"{event} on {self.rows.get(key)}")
        if version in self.versions:
            raise Broken(f"version emitted twice: {event}")
        if version < self.rows.get(key, 0):
            raise Broken(f"older after newer: {event} on {self.rows[key]}")
        self.rows[key] = version
        self.versions.add(version)


@dataclass
class Reading:
    chunk: Chunk
    asked: ModelView | None = None
    """Taken by the server, and not told of yet; meanwhile the stream goes on, and other readers are told of theirs."""
    view: ModelView | None = None
    rows: list[tuple[int, int]] | None = None
    fetched: bool = False


class Consumer:
    """A source with its snapshot, and the log behind it; `table` and `snapshot` make room for mutants."""

    def __init__(
        self,
        database: Database,
        *,
        table: Callable[..., TableSnapshot] = TableSnapshot,
        snapshot: Callable[..., Snapshot] = Snapshot,
        restored: Callable[[Any], Any] = lambda state: state,
    ) -> None:
        self.database = database
        self._table, self._snapshot, self._restored = table, snapshot, restored
        self.output: list[tuple[str, Any]] = []
        self.committed: tuple[int, str, tuple[int, int]] = (0, "", (0, 0))
        self.at = (0, 0)
        self.start("")
        self.commit()

    def start(self, saved: str) -> None:
        state: Mapping[str, Any] = self._restored(json.loads(saved)) if saved else {}
        self.readings: list[Reading] = []
        table = self._table("t", () if self.database.keyless else ("k",), IntegerOrder())
        if saved:
            found = saved_tables(state)
            if "t" in found:
                table.restore(found["t"], ModelView.from_json)
            self.snapshot = self._snapshot([table] if found else [], unseen=state.get("unseen", ()))
        else:
            self.snapshot = self._snapshot([table])

    def commit(self) -> None:
        if self.snapshot.committable:
            self.committed = (len(self.output), json.dumps(self.snapshot.to_json()), self.at)

    def crash(self) -> None:
        length, saved, self.at = self.committed
        del self.output[length:]
        for reading in self.readings:
            self._over(reading)
        self.start(saved)
        if self.at[1]:
            self.snapshot.begin(self.database.wal[self.at[0]][0], self.at[0])

    # --- the stream

    def stream(self) -> bool:
        """Handle the next change; False: nothing to do, or it has to wait."""
        index, ordinal = self.at
        if index >= len(self.database.wal) or self.snapshot.holding:
            return False
        xid, changes = self.database.wal[index]
        if ordinal == 0:
            self.snapshot.begin(xid, index)
        if ordinal >= len(changes):
            self.at = (index + 1, 0)
            return True
        if not self._change(changes[ordinal]):
            return False
        self.at = (index, ordinal + 1)
        return True

    def _change(self, change: Row | str) -> bool:
        table = self.snapshot.tables.get("t")
        if isinstance(change, str):
            if table is None or self.snapshot.truncate(table) is EMIT:
                self.output.append(("t", None))
            return True
        if table is None:
            self._emit_halves(change, emit_old=True, emit_new=True)
            return True
        xid = self.snapshot.transaction
        old, new = (None if half is None else (str(half[0]),) for half in (change.old, change.new))
        if old is not None and new is not None and old != new:
            verdicts = (table.judge(old, xid), table.judge(new, xid))
        else:
            verdicts = (table.judge(new or old, xid),) * 2
        if WAIT in verdicts:
            return False
        if change.partial and verdicts == (DROP, EMIT) and new is not None:
            table.reread(new)
            return False
        emit_old, emit_new = (verdict is EMIT for verdict in verdicts)
        if change.partial and emit_new and not emit_old:
            raise Broken(f"values that nobody was told of: {change}")
        self._emit_halves(change, emit_old=emit_old, emit_new=emit_new)
        return True

    def _emit_halves(self, change: Row, *, emit_old: bool, emit_new: bool) -> None:
        old, new = change.old, change.new
        if old is not None and new is not None and old[0] == new[0]:
            if emit_new:
                self.output.append(("u", new))
            return
        if old is not None and emit_old:
            self.output.append(("d", old))
        if new is not None and emit_new:
            self.output.append(("c", new))

    def idle(self) -> None:
        """A keep-alive: all that is in the stream has been handed out."""
        if self.at == (len(self.database.wal), 0):
            self.snapshot.passed(self.at[0])

    # --- the chunks

    def plan(self) -> None:
        if len(self.readings) < READERS and (chunk := self.snapshot.next_chunk()) is not None:
            self.readings.append(Reading(chunk))

    def bound(self, reading: Reading) -> None:
        chunk = reading.chunk
        if chunk.bounded or chunk.discarded:
            return
        rows = self.database.rows(self.database.view())
        keys = [key for key in rows if chunk.lower is None or key > int(chunk.lower[0])]
        size = self.database.rng.randint(1, CHUNK_ROWS)
        chunk.table.bound(chunk, (str(keys[size - 1]),) if len(keys) > size else None)

    def take_view(self, reading: Reading) -> None:
        chunk = reading.chunk
        if reading.view is not None or not chunk.bounded or chunk.discarded:
            return
        if reading.asked is None:
            if not self.database.locked:
                reading.asked = self.database.view()
                self.database.readers += 1
            if reading.asked is None or (chunk.only is None and self.database.rng.random() < 0.5):
                return
        view, reading.asked = reading.asked, None
        if self.snapshot.start(chunk, view):
            reading.view = view
        else:
            self.database.readers -= 1

    def fetch(self, reading: Reading) -> None:
        if reading.view is None or reading.fetched:
            return
        lower, upper = reading.chunk.lower, reading.chunk.upper
        rows = self.database.rows(reading.view).items()
        reading.rows = [
            (key, version) for key, version in rows
            if (lower is None or key > int(lower[0])) and (upper is None or key <= int(upper[0]))
            and reading.chunk.only in {None, (str(key),)}
        ]  # fmt: skip
        reading.fetched = True
        self.database.readers -= 1

    def emit(self, reading: Reading) -> None:
        chunk = reading.chunk
        if chunk.discarded or not reading.fetched or reading.rows is None or not self.snapshot.is_next(chunk):
            return
        count = self.database.rng.randint(0 if chunk.only is None else len(reading.rows), len(reading.rows))
        piece, reading.rows = reading.rows[:count], reading.rows[count:]
        self.output.extend(("r", row) for row in piece)
        if not reading.rows:
            self.snapshot.emit(chunk, None, len(piece))
            self.readings.remove(reading)
        elif piece:
            self.snapshot.emit(chunk, (str(piece[-1][0]),), len(piece))

    def give_up(self, reading: Reading) -> None:
        if not reading.chunk.discarded:
            reading.chunk.table.give_up(reading.chunk)

    def sweep(self) -> None:
        for reading in [reading for reading in self.readings if reading.chunk.discarded]:
            self._over(reading)
            self.readings.remove(reading)

    def _over(self, reading: Reading) -> None:
        if reading.asked is not None or (reading.view is not None and not reading.fetched):
            self.database.readers -= 1


def run(seed: int, *, keyless: bool = False, moving: bool = False, steps: int = 160, **mutant: Any) -> None:
    """Play one schedule to its end; raises `Broken` (or another error) where the events are not exact."""
    rng = random.Random(seed)
    database = Database(rng, keyless=keyless, moving=moving)
    consumer = Consumer(database, **mutant)
    on_reading = [consumer.bound, consumer.take_view, consumer.fetch, consumer.emit]
    for _ in range(steps):
        consumer.sweep()
        choice = rng.random()
        if choice < 0.32:
            rng.choice([database.begin, database.write, database.write, database.commit, database.show])()
        elif choice < 0.36:
            database.roll_back()
        elif choice < 0.60:
            consumer.stream()
        elif choice < 0.66:
            consumer.plan()
        elif choice < 0.92 and consumer.readings:
            reading = rng.choice(consumer.readings)
            rng.choice(on_reading)(reading)
        elif choice < 0.93 and consumer.readings and not keyless:
            consumer.give_up(rng.choice(consumer.readings))
        elif choice < 0.97:
            consumer.commit()
        elif choice < 0.98:
            consumer.crash()
        else:
            consumer.idle()
        _trip(consumer, rng)
    _finish(database, consumer)
    _check(database, consumer)


def _trip(consumer: Consumer, rng: random.Random) -> None:
    """Crash where it is rarest otherwise: while the view of a row that was read again still matters."""
    if any(table.alone for table in consumer.snapshot.tables.values()) and rng.random() < 0.4:
        consumer.commit()
        consumer.crash()


def _finish(database: Database, consumer: Consumer) -> None:
    while database.active:
        database.commit()
    while database.ending:
        database.show()
    for _ in range(2000):
        consumer.sweep()
        while consumer.stream():
            pass
        consumer.idle()
        consumer.plan()
        for reading in list(consumer.readings):
            for step in (consumer.bound, consumer.take_view, consumer.fetch, consumer.emit):
                step(reading)
        if consumer.snapshot.done and consumer.at == (len(database.wal), 0):
            return
    raise Broken("the snapshot does not come to an end")


def _check(database: Database, consumer: Consumer) -> None:
    fold = Fold()
    for event in consumer.output:
        fold.apply(event)
    table = database.rows(database.view())
    if fold.rows != table:
        raise Broken(f"folded {fold.rows}, table {table}")
