"""A binlog source on a modelled server, scheduled at random: it proves what the snapshot does beside the stream.

All of the source is the real one, from `open` to `poll`; connections and clock are modelled. The consumer keeps what a
log would keep: at a crash its output is cut to the last committed position, and the source starts again from there.
What it emits is folded by a reader that is strict about every event.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import structlog

from properties.binlog_log import ModelDump, Row
from properties.binlog_server import TABLES, Server
from properties.binlog_session import ModelSession
from tailrace.errors import Retriable
from tailrace.event import Change, Event, Message
from tailrace.position import Position
from tailrace.source import Recalled
from tailrace_mysql import catalog, chunks, pulse, reading, source
from tailrace_mysql.config import MariadbConfig, MysqlConfig
from tailrace_mysql.connection import Connection
from tailrace_mysql.ddl import read_ddl
from tailrace_mysql.dump import Dump
from tailrace_mysql.source import BinlogSource

Told = tuple[str, str, Row | None, Row | None]
"""Table, operation, row before, row after."""


_READ = functools.cache(read_ddl)
"""The same few statements are read all the time, which would take most of it."""


class Broken(AssertionError):
    """An event that does not fit what was emitted before it."""


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def time_ns(self) -> int:
        return int(self.now * 1e9)


class Consumer:
    """A source, and the log behind it."""

    def __init__(self, server: Server, clock: Clock) -> None:
        rng = server.rng
        self.server = server
        self.output: list[Event] = []
        self._clock = clock
        self._position: Position | None = None
        self._given: tuple[int, str] = (0, "null")
        self._committed = self._given
        self._settings = {
            "type": "mariadb" if server.mariadb else "mysql", "url": "mysql://nobody@nowhere/", "tables": ["d.*"],
            "chunk_rows": rng.randint(1, 4), "snapshot_readers": rng.randint(1, 3),
            "batch_changes": rng.choice([1, 5, 50]), "heartbeat_interval": 0, "schema_changes": False,
        }  # fmt: skip
        self.source = self._source()
        self._open = False

    def poll(self) -> None:
        """Take what there is; a source that lost a connection starts again, as after a crash."""
        self._clock.now += self.server.rng.choice([0.0, 0.01, 0.2])
        try:
            if not self._open:
                self.source.open(json.loads(self._committed[1]))
                self._open = True
            batch = self.source.poll(0.0)
        except Retriable:
            self.crash()
            return
        self.output += batch.items
        if batch.position is not None:
            self._given = (len(self.output), json.dumps(batch.position))

    def commit(self) -> None:
        self._committed = self._given

    def crash(self) -> None:
        self.source.close()
        self._given = self._committed
        del self.output[self._given[0] :]
        self.source, self._open = self._source(), False

    @property
    def done(self) -> bool:
        """Whether the snapshot is over, and the stream at the end."""
        if not self._open:
            return False
        parts = self.source._open_parts()
        drained = cast("ModelDump", parts.dump).drained
        return parts.opened.snapshot.done and drained and not parts.stream.waiting

    def _source(self) -> BinlogSource:
        config = MariadbConfig if self.server.mariadb else MysqlConfig
        made = BinlogSource("shop", config.model_validate(self._settings))
        made.recall_with(self._recalled)
        return made

    def _recalled(self, topic: str) -> Iterator[Recalled]:
        heard = (event for event in self.output if isinstance(event, Message) and event.topic == topic)
        return (Recalled(event.key, event.value) for event in heard)


def told(events: Iterable[Event]) -> Iterator[Told]:
    for event in events:
        if isinstance(event, Change):
            before, after = _row(event.before), _row(event.after)
            yield event.table.id[-1], event.op, before, after


def _row(row: Any) -> Row | None:
    return None if row is None else (row["id"], row["version"])


def fold(output: Iterable[Told]) -> dict[str, dict[int, int]]:
    """Return the tables by what was told of them; raises `Broken` where that does not follow on itself."""
    tables: dict[str, dict[int, int]] = {table: {} for table in TABLES}
    versions: dict[str, set[int]] = {table: set() for table in TABLES}
    for event in output:
        table, op, before, after = event
        rows = tables[table]
        if op == "t":
            rows.clear()
            versions[table].clear()
            continue
        if before is not None and rows.pop(before[0], None) != before[1]:
            raise Broken(f"{event}: the row was not told so before")
        if (op in "ud" and before is None) or (op != "d" and after is None):
            raise Broken(f"{event} is not whole")
        if after is None:
            continue
        if after[0] in rows or after[1] in versions[table]:
            raise Broken(f"{event} comes twice, or a change before it is missing: {rows.get(after[0])}")
        rows[after[0]] = after[1]
        versions[table].add(after[1])
    return tables


@contextmanager
def modelled(server: Server, clock: Clock) -> Iterator[None]:
    """Let connections be to the modelled server, and the time be its."""
    with pytest.MonkeyPatch.context() as patch, structlog.testing.capture_logs():
        patch.setattr(Connection, "open", lambda *_: ModelSession(server))
        patch.setattr(Dump, "open", lambda *_, **__: ModelDump(server.rng, server.log, server.tick))
        patch.setattr(reading, "MOST_TRIES", server.rng.choice([0, 1, 5]))
        patch.setattr(catalog, "read_ddl", _READ)
        for module in (chunks, pulse, source):
            patch.setattr(module, "time", clock)
        yield


def run(seed: int, *, mariadb: bool = False, gtids: bool = True, keyless: bool = False, steps: int = 60) -> None:
    """Play one schedule to its end; raises `Broken` (or another error) where the events are not exact."""
    try:
        _play(Server(random.Random(seed), mariadb=mariadb, gtids=gtids, keyless=keyless), steps)
    except Exception as error:
        error.add_note(f"seed {seed}, mariadb={mariadb}, gtids={gtids}, keyless={keyless}")
        raise


def _play(server: Server, steps: int) -> None:
    clock = Clock()
    with modelled(server, clock):
        consumer = Consumer(server, clock)
        for _ in range(steps):
            _step(server, consumer)
        _finish(server, consumer)
    tables, truth = fold(told(consumer.output)), {table: dict(server.rows(table, server.over)) for table in TABLES}
    if tables != truth:
        raise Broken(f"folded {tables}, the tables are {truth}")


def _step(server: Server, consumer: Consumer) -> None:
    for _ in range(server.rng.choice([0, 0, 2, 20])):
        server.tick()
    chance = server.rng.random()
    if chance < 0.2:
        consumer.commit()
    elif chance < 0.26:
        consumer.crash()
        if server.gtids and server.rng.random() < 0.5:
            server.fail_over()
    else:
        consumer.poll()


def _finish(server: Server, consumer: Consumer) -> None:
    server.settle()
    for _ in range(2000):
        consumer.poll()
        if consumer.done:
            return
    raise Broken("the snapshot does not come to an end")
