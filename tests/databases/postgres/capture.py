"""Drives a Postgres source in process, with a log that is a list, and folds what comes out of it.

The fold is strict: a create of a row that is there, an update of one that is not, a second snapshot row for one key are
errors, so that nothing can be lost, invented or doubled unseen.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self

from tailrace.errors import Retriable
from tailrace.event import Change, Event
from tailrace.position import Position
from tailrace.schema import UNAVAILABLE
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.source import PostgresSource

Key = tuple[Any, ...]


SLOT = "tailrace_shop"


class Capture:
    """A connector `name` on `url`, and what it has committed. `crash` forgets what was not."""

    def __init__(self, url: str, name: str = "shop", **settings: Any) -> None:
        self.config = PostgresConfig.model_validate({"url": url, "slot": SLOT, "heartbeat_interval": 0, **settings})
        self.name = name
        self.position: Position | None = None
        self.committed: list[Event] = []
        self.pending: list[Event] = []
        self.positions: list[Position | None] = []
        self.source = PostgresSource(name, self.config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    @property
    def events(self) -> list[Event]:
        return self.committed + self.pending

    @property
    def changes(self) -> list[Change]:
        return [event for event in self.events if isinstance(event, Change)]

    def open(self) -> Capture:
        # Positions go through JSON, as they do in a log.
        stored = None if self.position is None else json.loads(json.dumps(self.position))
        self.source.open(stored)
        return self

    def step(self, timeout: float = 0.02, *, commit: bool = True) -> bool:
        """One turn of the loop; return whether anything came."""
        batch = self.source.poll(timeout)
        self.pending.extend(batch.items)
        if batch.items or batch.position is not None:
            self.positions.append(batch.position)
        if batch.position is not None and commit:
            self.committed += self.pending
            self.pending = []
            self.position = batch.position
        self.source.ack(self.position)
        return bool(batch.items)

    def run(self, until: Callable[[], bool], timeout: float = 120.0) -> None:
        deadline = time.monotonic() + timeout
        while not until():
            self.step()
            assert time.monotonic() < deadline, f"not reached within {timeout} s: {self.source.report()}"

    def catch_up(self, timeout: float = 120.0) -> Capture:
        """Go on until all that was committed when the source was opened has been handed out and committed."""
        self.run(lambda: self.source.report().caught_up and not self.pending, timeout)
        return self

    def crash(self) -> None:
        self.source.close()
        self.pending = []
        self.source = PostgresSource(self.name, self.config)

    def reopen(self) -> Capture:
        """Stop in good order, start again, and catch up with now."""
        self.source.close()
        return self.open().catch_up()


def key_of(change: Change, row: Mapping[str, Any]) -> Key:
    return tuple(row[change.table.columns[place].name] for place in change.table.key)


class Fold:
    """Tables as the events leave them; keyless ones as counted rows."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, dict[str, Any]]] = {}
        self.counted: dict[str, Counter[str]] = {}

    def apply(self, events: list[Event]) -> Fold:
        for event in events:
            if isinstance(event, Change):
                self._apply(event)
        return self

    def _apply(self, change: Change) -> None:
        name = change.table.id
        if change.op == "t":
            self.rows[name], self.counted[name] = {}, Counter()
        elif change.table.key:
            self._keyed(change, self.rows.setdefault(name, {}))
        else:
            self._keyless(change, self.counted.setdefault(name, Counter()))

    def _keyed(self, change: Change, rows: dict[Key, dict[str, Any]]) -> None:
        before, after = change.before, change.after
        if change.op == "d" or change.moved:
            assert before is not None
            old = key_of(change, before)
            assert old in rows, f"{change.table.id}: {change.op} of {old}, which is not there"
            gone = rows.pop(old)
        if after is None:
            return
        key = key_of(change, after)
        if change.op == "u" and not change.moved:
            assert key in rows, f"{change.table.id}: update of {key}, which is not there"
            gone = rows[key]
        else:
            assert key not in rows, f"{change.table.id}: {change.op} of {key}, which is there"
            gone = {}
        rows[key] = {n: gone.get(n) if value is UNAVAILABLE else value for n, value in after.items()}

    def _keyless(self, change: Change, rows: Counter[str]) -> None:
        if change.before is not None:
            old = repr(dict(change.before))
            assert rows[old] > 0, f"{change.table.id}: {change.op} of a row that is not there"
            rows[old] -= 1
        if change.after is not None:
            rows[repr(dict(change.after))] += 1


def folded(capture: Capture) -> Fold:
    return Fold().apply(capture.events)


def try_to_open(capture: Capture) -> None:
    """The server takes a moment to notice that we are gone."""
    deadline = time.monotonic() + 120
    while True:
        try:
            capture.open()
        except Retriable as error:
            assert "in use" in str(error)
            assert time.monotonic() < deadline, "the slot stays in use"
            time.sleep(0.02)
        else:
            return
