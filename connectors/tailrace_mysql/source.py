"""The MySQL and MariaDB sources: the binlog and its snapshot, as one stream of events.

The path of a change: `dump.py` (events) → `stream.py` (transactions, positions) → `telling.py` (changes), with the
snapshot's gate in between while one is under way. `reading.py` adds the snapshot's rows. This file is the turn of all
that, one thread waiting for several sockets; nothing in it blocks.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import structlog

from tailrace.errors import Fatal
from tailrace.event import Event
from tailrace.position import Json, Position
from tailrace.snapshot.marker import joined
from tailrace.snapshot.progress import Meter
from tailrace.source import Batch, Finding, Recall, Report, SourceConfig
from tailrace_mysql.check import findings
from tailrace_mysql.config import BinlogConfig
from tailrace_mysql.connection import Connection
from tailrace_mysql.dump import Dump
from tailrace_mysql.fault import DamagedEvent
from tailrace_mysql.footing import view_sql
from tailrace_mysql.gtid import GtidSet
from tailrace_mysql.opening import Opened, open_source
from tailrace_mysql.origin import Place
from tailrace_mysql.position import to_json
from tailrace_mysql.pulse import Pulse
from tailrace_mysql.reading import Reading
from tailrace_mysql.server import parse_gtids
from tailrace_mysql.sight import ServerSight
from tailrace_mysql.stream import Stream
from tailrace_mysql.takeover import take_over

log = structlog.get_logger()

ADVANCE_EVERY = 1.0
"""Seconds between positions that move past what concerns nobody: each costs the log a commit."""


EVENTS_A_CHANGE = 5
"""Events that a transaction of one row takes."""


@dataclass(slots=True)
class _Parts:
    """What an open source is made of. `branch` reads the rows of an XA branch again that is being committed."""

    opened: Opened
    dump: Dump
    stream: Stream
    reading: Reading
    pulse: Pulse
    meter: Meter
    told: list[Event]
    branch: Dump | None = None


@dataclass(frozen=True, slots=True)
class _Given:
    """What the position given last was made of."""

    state: object = None
    version: int = -1
    complete: bool = False
    done: bool = False


class BinlogSource:
    """The source of either type: the server itself says which it is."""

    def __init__(self, name: str, config: SourceConfig) -> None:
        assert isinstance(config, BinlogConfig)
        self._name = name
        self._config = config
        self._prefix = config.topic_prefix or name
        self._hold = ExitStack()
        self._parts: _Parts | None = None
        self._recall: Recall | None = None
        self._advanced = 0.0
        self._given = _Given()
        self._position: Position | None = None

    def recall_with(self, recall: Recall) -> None:
        """Take the reader of the log, for the schema history."""
        self._recall = recall

    def open(self, resume_from: Position | None) -> None:
        """Connect and start to stream; raises `Fatal` where changes are lost."""
        self.close()
        opened = open_source(self._name, self._config, self._prefix, resume_from, recall=self._recall, hold=self._hold)
        server, start = opened.server, opened.start
        place = Place(self._prefix, server.flavour.name, opened.names)
        # A position that has none is one of a place, of before the server had any; or of before its first transaction.
        by_gtids = server.gtids and (server.flavour.mariadb or resume_from is None or bool(start.gtids))
        executed = parse_gtids(start.gtids, server.flavour) if by_gtids else None
        stream = Stream(
            start,
            executed,
            opened.capture,
            opened.snapshot,
            place,
            gtids=server.gtids,
            floor=opened.floor,
            reached=self._reached,
        )
        sight = ServerSight(
            stream, opened.control, opened.catalog, opened.capture, exact=server.flavour.mariadb, gtids=by_gtids
        )
        reading = Reading(
            opened.snapshot, opened.readable, sight=sight, place=place, connect=self._connect_reader,
            view_sql=view_sql(server), readers=self._config.snapshot_readers, chunk_rows=self._config.chunk_rows,
        )  # fmt: skip
        self._hold.callback(reading.close)
        pulse = Pulse(
            opened.control,
            server.flavour.status,
            prefix=self._prefix,
            heartbeat_interval=self._config.heartbeat_interval,
        )
        dump = self._dump(opened)
        if executed is None:
            dump.start_at(start.file, start.pos)
        else:
            dump.start_after(executed)
        self._parts = _Parts(opened, dump, stream, reading, pulse, Meter(opened.snapshot), list(opened.told))
        log.info(
            "streaming", connector=self._name, server=server.identity, position=str(start), gtids=start.gtids,
            snapshot_tables=len(opened.snapshot.tables),
        )  # fmt: skip

    def poll(self, timeout: float) -> Batch[Event]:
        """Return events of the stream and of the snapshot, as far as they are there."""
        parts = self._open_parts()
        deadline = time.monotonic() + timeout
        while True:
            events, size = self._turn(parts)
            if events or self._moves_on(parts):
                return Batch(events, self._place(parts), size)
            now = time.monotonic()
            if now >= deadline:
                return Batch()
            self._wait(parts, now, deadline)

    def ack(self, position: Position | None) -> None:
        """Do nothing: the server keeps its binlogs as long as it is set to."""

    def close(self) -> None:
        """Hang up on everything."""
        self._parts = None
        self._position, self._given = None, _Given()
        self._hold.close()

    def report(self) -> Report:
        """Return how far stream and snapshot are."""
        parts = self._open_parts()
        stream = parts.stream
        at, end = stream.place, parts.pulse.server_end or parts.opened.target
        end = end if end.rank > at.rank else at
        behind = end.pos - at.pos if end.file == at.file else None
        return Report(
            position=str(stream.position()),
            server_position=str(end),
            lag_bytes=behind,
            lag_seconds=self._behind(parts, caught_up=behind == 0),
            heard_seconds=round(time.monotonic() - parts.dump.heard, 3),
            caught_up=self._given.complete and stream.settled and at.rank >= parts.opened.target.rank,
            snapshot=parts.meter.progress(),
            details={
                "server": parts.opened.server.identity,
                "gtids": str(stream.executed or ""),
                "prepared_branches": len(stream.branches.prepared),
                "schema_version": parts.opened.capture.history.version,
            },
        )

    def check(self) -> Sequence[Finding]:
        """Connect, look at everything that a capture needs, and hang up; needs no `open`."""
        return findings(self._name, self._config)

    def take_over(self, offset: Mapping[str, Json]) -> Position:
        """Return the position that follows what Debezium's connector had told."""
        return take_over(self._name, self._config, offset)

    def _turn(self, parts: _Parts) -> tuple[Sequence[Event], int]:
        """Move everything one step on; return what came of it."""
        most, most_bytes = self._config.batch_changes, self._config.batch_bytes
        snapshot, stream = parts.opened.snapshot, parts.stream
        now = time.monotonic()
        parts.pulse.beat(now)
        self._feed_branch(parts, most, most_bytes)
        if not stream.waiting:
            self._feed(parts, most * EVENTS_A_CHANGE, most_bytes)
        events: Sequence[Event] = ()
        size = 0
        if not parts.reading.holds:
            events, size = stream.take(most, most_bytes)
        if not snapshot.complete or parts.reading.connected:
            parts.reading.advance(now)
            rows, rows_size = parts.reading.take(most, most_bytes)
            events = joined(events, rows)
            size += rows_size
        if parts.told:
            events, parts.told = joined(parts.told, events), []
        return joined(events, parts.pulse.heartbeats(now, parts.dump.heard)), size

    @staticmethod
    def _feed(parts: _Parts, most: int, most_bytes: int) -> None:
        try:
            parts.stream.feed(parts.dump.receive(most, most_bytes))
        except DamagedEvent as damaged:
            # All that came before it has been handled.
            raise DamagedEvent(damaged.kind, damaged.size, after=str(parts.stream.place)) from damaged

    def _feed_branch(self, parts: _Parts, most: int, most_bytes: int) -> None:
        """Read the rows of an XA branch again that is being committed."""
        awaited = parts.stream.branches.awaited
        if awaited is None:
            if parts.branch is not None:
                parts.branch.close()
                parts.branch = None
            return
        if parts.branch is None:
            parts.branch = self._dump(parts.opened, beside=1)
            executed = parts.stream.executed
            if isinstance(executed, GtidSet):
                parts.branch.start_after(executed - GtidSet.parse(awaited.gtid))
            else:
                parts.branch.start_at(awaited.file, awaited.pos)
        parts.stream.branches.feed(parts.branch.receive(most, most_bytes))

    def _moves_on(self, parts: _Parts) -> bool:
        """Whether to give a position without events: past a stretch of the binlog that concerns nobody, say."""
        stream, snapshot, given = parts.stream, parts.opened.snapshot, self._given
        if not stream.settled or not snapshot.committable:
            return False
        turned = (snapshot.complete, snapshot.done) != (given.complete, given.done)
        moved = (stream.state, snapshot.version) != (given.state, given.version)
        now = time.monotonic()
        if not turned and not (moved and now - self._advanced >= ADVANCE_EVERY):
            return False
        self._advanced = now
        return True

    def _place(self, parts: _Parts) -> Position | None:
        snapshot, stream, history = parts.opened.snapshot, parts.stream, parts.opened.capture.history
        if not snapshot.committable:
            return None
        given = _Given(stream.state, snapshot.version, snapshot.complete, snapshot.done)
        if self._position is None or given != self._given:
            self._given = given
            self._position = to_json(
                stream.position(), parts.opened.server.identity, history.version, snapshot.to_json()
            )  # fmt: skip
        return self._position

    def _wait(self, parts: _Parts, now: float, deadline: float) -> None:
        """Wait until something comes, or something is due."""
        dumps = [dump for dump in (parts.branch or parts.dump,) if not parts.reading.holds]
        if parts.reading.pending or any(dump.pending for dump in dumps):
            return
        reads = [*parts.reading.sockets(), *(dump.socket for dump in dumps)]
        if parts.pulse.waits:
            reads.append(parts.opened.control.socket)
        due = [deadline, parts.pulse.due]
        if (resume_at := parts.reading.resume_at()) is not None:
            due.append(resume_at)
        if (parts.stream.state, parts.opened.snapshot.version) != (self._given.state, self._given.version):
            due.append(self._advanced + ADVANCE_EVERY)
        select.select(reads, [], [], max(0.0, min(due) - now))

    def _reached(self, rank: int) -> None:
        if self._parts is not None:
            self._parts.reading.reached(rank)

    @staticmethod
    def _behind(parts: _Parts, *, caught_up: bool) -> float | None:
        if caught_up:
            return 0.0
        if parts.stream.commit_time is None:
            return None
        return round(max(0.0, time.time() - parts.stream.commit_time / 1e6), 3)

    def _dump(self, opened: Opened, *, beside: int = 0) -> Dump:
        """Return a connection to read the binlog on."""
        dump = Dump.open(self._config, self._name, opened.control.host, beside=beside)
        self._hold.callback(dump.close)
        return dump

    def _connect_reader(self) -> Connection:
        return Connection.open(self._config, self._name, "snapshot", self._open_parts().opened.control.host)

    def _open_parts(self) -> _Parts:
        if self._parts is None:
            raise Fatal(f"connector {self._name}: the source is not open")
        return self._parts
