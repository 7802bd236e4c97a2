"""A modelled MySQL or MariaDB: writers that do something whenever anybody asks the server, and its locks.

A transaction is written to the binlog, is visible some time later, and is counted among the executed ones, letting go
of its tables, later still. In MariaDB transactions become visible in the order of the binlog, in MySQL in any.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from properties.binlog_log import UUID_TEXT, Entry, Log, Logged, Row, RowChange
from tailrace_mysql.gtid import GtidSet
from unit.mysql.binlog import SERVER_ID

KEYS = 10
TABLES = "tu"


@dataclass(eq=False)
class Writer:
    """A transaction that is under way, or not executed yet; `emptied` is the table that it truncates."""

    id: int
    changes: list[RowChange] = field(default_factory=list)
    emptied: str = ""
    entry: Entry | None = None
    visible: bool = False

    @property
    def tables(self) -> set[str]:
        return {self.emptied} if self.emptied else {change.table for change in self.changes}

    @property
    def locked(self) -> set[tuple[str, int]]:
        if self.visible:
            return set()
        return {(c.table, row[0]) for c in self.changes for row in (c.old, c.new) if row is not None}


class Server:
    """Two tables: key → version. Every version is a number that is used once."""

    def __init__(self, rng: random.Random, *, mariadb: bool, gtids: bool, keyless: bool = False) -> None:
        self.rng = rng
        self.mariadb = mariadb
        self.gtids = gtids or mariadb
        self.keyless = keyless
        self.history: dict[tuple[str, int], list[tuple[int, int | None]]] = {}
        self.writers: list[Writer] = []
        self.over: set[int] = set()
        self.executed = GtidSet()
        self.truncated = dict.fromkeys(TABLES, 0)
        """By table, the transaction that emptied it last."""
        self.locked = ""
        """The table that somebody keeps writers from."""
        self.readers: list[str] = []
        """Tables that transactions have read from, which nobody may empty until they end."""
        self.quiet = False
        self._stalled = False
        """Nothing becomes visible: the disk is slow, or a replica that is waited for."""
        self.identity = 1
        self._last = 0
        self._logged = 0
        self.log = self._new_log(rng.choice([1, 7]))
        self._fill()

    # --- what sessions ask

    def latest(self, table: str, key: int) -> int | None:
        versions = self.history.get((table, key))
        return versions[-1][1] if versions else None

    def rows(self, table: str, over: set[int] | frozenset[int]) -> list[Row]:
        """Return the rows that are there once the transactions `over` are."""
        found = []
        for key in range(KEYS):
            seen = [version for id_, version in self.history.get((table, key), []) if id_ in over]
            if seen and seen[-1] is not None:
                found.append((key, seen[-1]))
        return found

    def lock(self, table: str) -> bool:
        """Keep writers from a table; False: one of them is in it."""
        if any(table in writer.tables for writer in self.writers):
            return False
        self.locked = table
        return True

    def visible_end(self) -> tuple[str, int]:
        """Return where the last visible transaction of the binlog ends, and what was before it."""
        hidden = [writer.entry for writer in self.writers if writer.entry is not None and not writer.visible]
        first = min(((entry.file, entry.start) for entry in hidden), default=None)
        return first or (self.log.file, self.log.end)

    # --- what others do

    def tick(self) -> None:
        """Let the others do something, unless they are to be quiet."""
        if self.quiet:
            return
        steps = (
            self._begin, self._write, self._write, self._write, self._commit, self._commit, self._show, self._show,
            self._execute, self._execute, self._roll_back,
        )  # fmt: skip
        if self.rng.random() < (0.05 if self._stalled else 0.01):
            self._stalled = not self._stalled
        for _ in range(self.rng.choice([0, 0, 1, 2, 4])):
            if self.rng.random() < 0.03:
                self.rng.choice([self._truncate, self._rotate])()
            else:
                self.rng.choice(steps)()

    def settle(self) -> None:
        """Let all that is under way come to its end, and nothing else begin."""
        self.quiet, self._stalled = True, False
        while self.writers:
            self._commit()
            self._show()
            self._execute()

    def fail_over(self) -> None:
        """Be another server, which has the same transactions at other places of its binlog."""
        self._stalled = False
        for writer in [writer for writer in self.writers if writer.entry is None]:
            self._undo(writer)
        before, self.identity = list(self.log.logged), self.identity + 1
        while self.writers:
            self._show()
            self._execute()
        self.log = self._new_log(self.rng.choice([1, 4, 9]))
        for logged in before:
            self.log.append(logged)
            if self.rng.random() < 0.1:
                self.log.rotate()

    def _new_log(self, first: int) -> Log:
        return Log(mariadb=self.mariadb, gtids=self.gtids, keyless=self.keyless, first=first)

    def _fill(self) -> None:
        for table in TABLES:
            self._begin()
            for key in range(0, KEYS, 2):
                self._change(self.writers[0], table, key, key)
            self._commit()
            self._show()
            self._execute()

    def _begin(self) -> None:
        if len(self.writers) < 4:
            self._last += 1
            self.writers.append(Writer(self._last))

    def _active(self) -> list[Writer]:
        return [writer for writer in self.writers if writer.entry is None]

    def _write(self) -> None:
        table = self.rng.choice(TABLES)
        emptied = any(writer.emptied == table for writer in self.writers)
        if not (active := self._active()) or table == self.locked or emptied:
            return
        writer = self.rng.choice(active)
        taken = {place for other in self.writers if other is not writer for place in other.locked}
        free = [key for key in range(KEYS) if (table, key) not in taken]
        if free:
            self._change(writer, table, self.rng.choice(free), self.rng.choice(free))

    def _change(self, writer: Writer, table: str, key: int, other: int) -> None:
        old, kind = self.latest(table, key), self.rng.random()
        self._last += 1
        if old is None:
            change = RowChange(table, None, (key, self._last))
        elif kind < 0.25:
            change = RowChange(table, (key, old), None)
        elif kind < 0.5 and self.latest(table, other) is None:
            change = RowChange(table, (key, old), (other, self._last))
        else:
            change = RowChange(table, (key, old), (key, self._last))
        if change.old is not None:
            self.history[table, change.old[0]].append((writer.id, None))
        if change.new is not None:
            self.history.setdefault((table, change.new[0]), []).append((writer.id, change.new[1]))
        writer.changes.append(change)

    def _truncate(self) -> None:
        table = self.rng.choice(TABLES)
        held = any(table in writer.tables for writer in self.writers)
        if held or table == self.locked or table in self.readers:
            return
        self._last += 1
        writer = Writer(self._last, emptied=table)
        self.truncated[table] = writer.id
        for key in range(KEYS):
            self.history.setdefault((table, key), []).append((writer.id, None))
        self.writers.append(writer)
        self._log(writer)

    def _commit(self) -> None:
        if active := self._active():
            self._log(self.rng.choice(active))

    def _log(self, writer: Writer) -> None:
        if not writer.tables:
            self.writers.remove(writer)
            return
        self._logged += 1
        writer.entry = self.log.append(Logged(self._logged, writer.changes, writer.emptied))

    def _show(self) -> None:
        waiting = [writer for writer in self.writers if writer.entry is not None and not writer.visible]
        if waiting and not self._stalled:
            waiting.sort(key=lambda writer: (writer.entry.file, writer.entry.start) if writer.entry else ("", 0))
            writer = waiting[0] if self.mariadb else self.rng.choice(waiting)
            writer.visible = True
            self.over.add(writer.id)

    def _execute(self) -> None:
        if shown := [writer for writer in self.writers if writer.visible]:
            writer = self.rng.choice(shown)
            assert writer.entry is not None and writer.entry.logged is not None
            if not self.mariadb and self.gtids:
                self.executed = self.executed.with_gtid(UUID_TEXT, writer.entry.logged.number)
            self.writers.remove(writer)

    def _roll_back(self) -> None:
        if (active := self._active()) and self.rng.random() < 0.3:
            self._undo(self.rng.choice(active))

    def _undo(self, writer: Writer) -> None:
        for versions in self.history.values():
            versions[:] = [version for version in versions if version[0] != writer.id]
        self.writers.remove(writer)

    def _rotate(self) -> None:
        if all(writer.visible for writer in self.writers if writer.entry is not None):
            self.log.rotate()

    # --- what it says of itself

    def owned(self) -> str:
        """Return MySQL's name for the transactions that are in the binlog, and not executed."""
        numbers = [w.entry.logged.number for w in self.writers if w.entry is not None and w.entry.logged is not None]
        return "".join([UUID_TEXT, *(f":{number}#{number + 8}" for number in numbers)]) if numbers else ""

    def gtid_position(self, number: int) -> str:
        """Return MariaDB's name for all transactions up to one."""
        return f"0-{SERVER_ID}-{number}" if number else ""
