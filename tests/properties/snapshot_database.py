"""A database in which a commit is in the stream at once, and visible to reads only some time later."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tailrace.position import Json
from tailrace.snapshot.view import Place, Transaction

KEYS = 12
CHUNK_ROWS = 3
READERS = 2
TRUNCATE = "truncate"


@dataclass(frozen=True)
class ModelView:
    over: frozenset[int]
    high: int

    def sees(self, transaction: Transaction) -> bool:
        return transaction in self.over

    def passed(self, place: Place) -> bool:
        return place >= self.high

    def to_json(self) -> Json:
        return {"over": sorted(self.over), "high": self.high}

    @classmethod
    def from_json(cls, value: Any) -> ModelView:
        return cls(frozenset(value["over"]), value["high"])


@dataclass
class Row:
    """One change: key and version before, key and version after; None where there is no row.

    `partial`: the stream does not carry all values of the row, which only its old key's events tell.
    """

    old: tuple[int, int] | None
    new: tuple[int, int] | None
    partial: bool = False


@dataclass
class Writer:
    xid: int
    changes: list[Row | str] = field(default_factory=list)
    locked: set[int] = field(default_factory=set)
    table_lock: bool = False


class Database:
    """One table: key → version. Every version is a number that is used once. `moving`: rows change keys a lot."""

    def __init__(self, rng: random.Random, *, keyless: bool = False, moving: bool = False) -> None:
        self.rng = rng
        self.keyless = keyless
        self.moves = 0.9 if moving else 0.5
        self.next_number = 1
        self.history: dict[int, list[tuple[int, int | None]]] = {}
        self.active: list[Writer] = []
        self.ending: list[Writer] = []
        self.wal: list[tuple[int, list[Row | str]]] = []
        self.over: set[int] = set()
        self.readers = 0
        first = Writer(0)
        for key in range(0, KEYS, 2):
            self._write(first, key)
        self.over.add(0)

    def number(self) -> int:
        self.next_number += 1
        return self.next_number

    def latest(self, key: int) -> int | None:
        versions = self.history.get(key)
        return versions[-1][1] if versions else None

    def rows(self, view: ModelView) -> dict[int, int]:
        found = {}
        for key, versions in sorted(self.history.items()):
            seen = [version for xid, version in versions if xid in view.over]
            if seen and seen[-1] is not None:
                found[key] = seen[-1]
        return found

    def view(self) -> ModelView:
        return ModelView(frozenset(self.over), len(self.wal))

    @property
    def locked(self) -> bool:
        return any(writer.table_lock for writer in (*self.active, *self.ending))

    def begin(self) -> None:
        if len(self.active) < 3:
            self.active.append(Writer(self.number()))

    def write(self) -> None:
        if not self.active:
            return
        writer = self.rng.choice(self.active)
        others = [other for other in (*self.active, *self.ending) if other is not writer]
        if any(other.table_lock for other in others):
            return
        taken: set[int] = set().union(*(other.locked for other in others))
        if self.rng.random() < 0.06 and not taken and not self.readers:
            self._truncate(writer)
            return
        free = [key for key in range(KEYS) if key not in taken]
        if free:
            self._write(writer, self.rng.choice(free), self.rng.choice(free))

    def _truncate(self, writer: Writer) -> None:
        writer.table_lock = True
        writer.changes.append(TRUNCATE)
        for versions in self.history.values():
            versions.append((writer.xid, None))

    def _write(self, writer: Writer, key: int, other: int | None = None) -> None:
        old = self.latest(key)
        kind = self.rng.random()
        writer.locked.add(key)
        if old is None:
            change = Row(None, (key, self.number()))
        elif kind < 0.25:
            change = Row((key, old), None)
        elif kind < self.moves and other is not None and self.latest(other) is None:
            change = Row((key, old), (other, self.number()), partial=self.rng.random() < 0.5)
            writer.locked.add(other)
        else:
            change = Row((key, old), (key, self.number()))
        for half, gone in ((change.old, True), (change.new, False)):
            if half is not None:
                self.history.setdefault(half[0], []).append((writer.xid, None if gone else half[1]))
        writer.changes.append(change)

    def commit(self) -> None:
        if self.active:
            writer = self.active.pop(self.rng.randrange(len(self.active)))
            self.wal.append((writer.xid, writer.changes))
            self.ending.append(writer)

    def roll_back(self) -> None:
        if self.active:
            writer = self.active.pop(self.rng.randrange(len(self.active)))
            for versions in self.history.values():
                versions[:] = [version for version in versions if version[0] != writer.xid]
            self.over.add(writer.xid)

    def show(self) -> None:
        if self.ending:
            self.over.add(self.ending.pop(self.rng.randrange(len(self.ending))).xid)
