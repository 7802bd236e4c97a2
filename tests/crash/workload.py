"""Concurrent writers: what happens in the source database while the worker is killed, cut off and restarted.

Each writer is a thread with a connection and a generator of its own. A transaction touches several tables, may be long,
may roll back as a whole or back to savepoints. Writers count on nothing: a lost connection, a deadlock, a taken key end
the transaction, and the next begins. What was committed is for the journal to say (`tables.py`).
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from crash.dialect import Dialect, PostgresDialect, Writing
from crash.tables import SCHEMA, CrashTable

NAMES = ("arger", "Arger", "Ärger", "zoe", "Zoë", "a-b", "ab", "a b", "nino", "niño", "Öl", "ol", "_x", "x", "ß", "ss")


class RolledBack(Exception):
    """Ends a transaction or a savepoint that is to leave nothing behind."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the rows of a table look like: how many keys there are, and its columns' values."""

    keys: int
    key: Callable[[int], tuple[object, ...]]
    values: Callable[[random.Random], dict[str, object]]


def _big_text(rng: random.Random) -> str:
    # About half are short enough to stay in the row.
    return f"{rng.getrandbits(64):016x}" * rng.choice((1, 20, 200, 400))


def _document(rng: random.Random) -> dict[str, object]:
    return {"title": f"title {rng.randrange(1000)}", "body": _big_text(rng)}


SHAPES: Mapping[str, Shape] = {
    "accounts": Shape(
        6000,
        lambda n: (n,),
        lambda rng: {
            "owner": rng.choice((None, "", *NAMES)),
            "balance": rng.randrange(-(10**9), 10**9) / 100,
            "active": rng.random() < 0.5,
        },
    ),
    "order_lines": Shape(
        6000,
        lambda n: (n // 7 - 300, n % 7),
        lambda rng: {"item": rng.choice(NAMES), "quantity": rng.choice((None, 0, -1, rng.randrange(2**31)))},
    ),
    "people": Shape(
        4000,
        lambda n: (f"{NAMES[n % len(NAMES)]}{n // len(NAMES)}",),
        lambda rng: {"email": f"{rng.randrange(10**6)}@example.org"},
    ),
    "notes": Shape(0, lambda n: (n,), lambda rng: {"note": rng.choice((None, *NAMES))}),
    "documents": Shape(1500, lambda n: (n,), _document),
    "pages": Shape(1500, lambda n: (n,), _document),
    "scratch": Shape(200, lambda n: (n,), lambda rng: {"mark": rng.choice(NAMES)}),
}


@dataclass(slots=True)
class Pace:
    """How hard the writers work. `pause` is the mean of the seconds between two transactions of one writer."""

    writers: int = 4
    pause: float = 0.01
    prefill: float = 0.5
    """Share of the keys that have a row before the worker starts."""
    scale: int = 1
    """The tables have so many times the usual number of keys (1,500 to 6,000)."""
    truncate_every: int = 400
    """About how many operations on a truncated table lie between two truncates."""


@dataclass(slots=True)
class Workload:
    """The writers as one: start, stop, how much they did. `counts` has committed, rolled_back and each error's name."""

    dsn: str
    seed: int
    pace: Pace = field(default_factory=Pace)
    counts: Counter[str] = field(default_factory=Counter)
    dialect: Dialect = field(default_factory=PostgresDialect)
    _writers: list[Writer] = field(default_factory=list)

    def prefill(self) -> None:
        """Insert the rows that exist before the worker does."""
        rng = random.Random(f"prefill {self.seed}")
        with self.dialect.connect(self.dsn) as connection:
            writer = Writer(self, 0)
            for table in self.dialect.tables:
                with connection.transaction():
                    self.dialect.quiet(connection)  # a lock for each key would be too many
                    writer.fill(connection, table, rng)

    def start(self) -> None:
        """Start all writers."""
        self._writers = [Writer(self, number) for number in range(1, self.pace.writers + 1)]
        for writer in self._writers:
            writer.start()

    def stop(self) -> None:
        """Let every writer end its transaction, and wait for it; raises what a writer died of."""
        for writer in self._writers:
            writer.stopping.set()
        for writer in self._writers:
            writer.join(60)
            if writer.is_alive() or writer.died is not None:
                raise RuntimeError(f"writer {writer.number} did not end well") from writer.died
        self._writers = []

    def bulk(self, rows: int, number: int = 0) -> None:
        """Insert `rows` accounts, then change a tenth of them, in one transaction. Raises the driver's errors."""
        with self.dialect.connect(self.dsn) as connection, connection.transaction():
            self.dialect.quiet(connection)
            self.dialect.bulk(connection, rows, number)


class Writer(threading.Thread):
    """One writer; `number` and a growing transaction number are in every row that it writes."""

    def __init__(self, workload: Workload, number: int) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self.workload = workload
        self.number = number
        self.stopping = threading.Event()
        self.died: BaseException | None = None
        self.tx = 0
        self._notes = 0
        self._dialect = workload.dialect
        self._rng = random.Random(f"writer {workload.seed} {number}")

    def run(self) -> None:
        """Write until stopped; the connection is made anew whenever it is lost."""
        while not self.stopping.is_set():
            try:
                with self._dialect.connect(self.workload.dsn) as connection:
                    self._write(connection)
            except self._dialect.lost as lost:
                self.workload.counts[type(lost).__name__] += 1
                self.stopping.wait(0.2)
            except BaseException as died:  # noqa: BLE001 - kept for `Workload.stop`, which raises it
                self.died = died
                return

    def fill(self, connection: Writing, table: CrashTable, rng: random.Random) -> None:
        """Insert the table's rows of before the start."""
        if not table.versioned:
            for n in range(300):
                self._twins(connection, rng, insert=True, n=n)
            return
        shape = SHAPES[table.name]
        scale = self.workload.pace.scale
        keys = range(shape.keys * scale) if shape.keys else range(1, 1000 * scale + 1)
        chosen = [n for n in keys if rng.random() < self.workload.pace.prefill]
        rows = [self._row(table, shape.key(n), shape.values(rng)) for n in chosen]
        connection.execute_many(self._dialect.insert(table), rows)

    def _write(self, connection: Writing) -> None:
        rng, counts = self._rng, self.workload.counts
        while not self.stopping.is_set():
            self.tx += 1
            try:
                with connection.transaction():
                    self._transaction(connection, rng)
                counts["committed"] += 1
            except RolledBack:
                counts["rolled_back"] += 1
            except self._dialect.refused as refused:
                counts[type(refused).__name__] += 1
            self.stopping.wait(rng.expovariate(1 / self.workload.pace.pause))

    def _transaction(self, connection: Writing, rng: random.Random) -> None:
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8, 40))):
            if rng.random() < 0.1:
                self._savepoint(connection, rng)
            else:
                self._operation(connection, rng)
        if rng.random() < 0.05:
            # Others commit meanwhile, and chunks are read that see them but not us.
            self.stopping.wait(rng.random())
        _perhaps_roll_back(rng, 0.1)

    def _savepoint(self, connection: Writing, rng: random.Random) -> None:
        try:
            with connection.transaction():
                for _ in range(rng.randrange(1, 4)):
                    self._operation(connection, rng)
                _perhaps_roll_back(rng, 0.5)
        except RolledBack:
            self.workload.counts["savepoints_rolled_back"] += 1

    def _operation(self, connection: Writing, rng: random.Random) -> None:
        table = rng.choice(self._dialect.tables)
        if not table.versioned:
            self._twins(connection, rng, insert=rng.random() < 0.5, n=rng.randrange(100))
        elif table.truncated and rng.random() < 1 / self.workload.pace.truncate_every:
            connection.execute(f"TRUNCATE {SCHEMA}.{table.name}")
        elif table.keyless:
            self._keyless(connection, table, rng)
        else:
            self._keyed(connection, table, rng)

    def _keyed(self, connection: Writing, table: CrashTable, rng: random.Random) -> None:
        shape = SHAPES[table.name]
        # A third of all work is on few keys, so that writers meet.
        n = rng.randrange(20 if rng.random() < 0.3 else self._keys(shape))
        key, values = shape.key(n), shape.values(rng)
        kind = rng.choices(("upsert", "insert", "update", "delete", "move"), (2, 3, 6, 2, 1))[0]
        if kind == "upsert":
            connection.execute(self._dialect.upsert(table), self._row(table, key, values))
        elif kind == "insert":
            connection.execute(self._dialect.insert(table), self._row(table, key, values))
        elif kind == "update":
            some = rng.sample(sorted(values), rng.randrange(1, len(values) + 1))
            self._update(connection, table, key, {name: values[name] for name in some})
        elif kind == "delete":
            connection.execute(_delete(table), key)
        else:
            new = dict(zip(table.key, shape.key(rng.randrange(self._keys(shape))), strict=True))
            self._update(connection, table, key, new)

    def _keyless(self, connection: Writing, table: CrashTable, rng: random.Random) -> None:
        values = SHAPES[table.name].values(rng)
        mine = self.number * 1_000_000 + rng.randrange(self._notes + 1)
        key = (rng.choice((mine, rng.randrange(1, 1000 * self.workload.pace.scale + 1))),)
        kind = rng.choices(("insert", "update", "delete"), (3, 3, 2))[0]
        if kind == "insert":
            self._notes += 1
            key = (self.number * 1_000_000 + self._notes,)
            connection.execute(self._dialect.insert(table), self._row(table, key, values))
        elif kind == "update":
            self._update(connection, table, key, values)
        else:
            connection.execute(_delete(table), key)

    def _twins(self, connection: Writing, rng: random.Random, *, insert: bool, n: int) -> None:
        a, b = n % 10, rng.choice((None, "x", "y"))
        if insert:
            connection.execute(f"INSERT INTO {SCHEMA}.twins VALUES (%s, %s), (%s, %s)", [a, b, a, b])
        elif rng.random() < 0.7:
            connection.execute(self._dialect.twin(f"DELETE FROM {SCHEMA}.twins"), [a])
        else:
            connection.execute(self._dialect.twin(f"UPDATE {SCHEMA}.twins SET b = %s"), [b, a])

    def _keys(self, shape: Shape) -> int:
        return shape.keys * self.workload.pace.scale

    def _row(self, table: CrashTable, key: Sequence[object], values: Mapping[str, object]) -> list[object]:
        row = {**dict(zip(table.key, key, strict=True)), **values, "ver": 0, "writer": self.number, "tx": self.tx}
        return [row[name] for name in table.names]

    def _update(
        self, connection: Writing, table: CrashTable, key: Sequence[object], values: Mapping[str, object]
    ) -> None:
        settings = {**values, "writer": self.number, "tx": self.tx}
        assignments = ", ".join(f"{name} = %s" for name in settings)
        connection.execute(
            f"UPDATE {SCHEMA}.{table.name} SET {assignments} WHERE {_where(table)}", [*settings.values(), *key]
        )


def _perhaps_roll_back(rng: random.Random, probability: float) -> None:
    if rng.random() < probability:
        raise RolledBack


def _delete(table: CrashTable) -> str:
    return f"DELETE FROM {SCHEMA}.{table.name} WHERE {_where(table)}"


def _where(table: CrashTable) -> str:
    return " AND ".join(f"{name} = %s" for name in table.key)
