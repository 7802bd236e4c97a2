"""The Postgres source: logical replication and its snapshot, as one stream of events.

The path of a change: `replication.py` (bytes) → `pgoutput.py` (messages) → `stream.py` (changes, positions), with
`gate.py` in between while a snapshot is under way. `reading.py` adds the snapshot's rows. This file is the turn of all
that, one thread waiting for several sockets; nothing in it blocks.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

import structlog

from tailrace.codec.heartbeat import heartbeat_event
from tailrace.errors import Fatal
from tailrace.event import Event
from tailrace.position import Json, Position
from tailrace.snapshot.marker import joined
from tailrace.snapshot.progress import Meter
from tailrace.source import Batch, Finding, Report, SourceConfig
from tailrace_postgres import pgoutput
from tailrace_postgres.check import findings
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection
from tailrace_postgres.lsn import POSTGRES_EPOCH_US, format_lsn
from tailrace_postgres.opening import Opened, make_durable, open_source, what_is_visible
from tailrace_postgres.origin import Place
from tailrace_postgres.position import from_json, to_json
from tailrace_postgres.pulse import HEARTBEAT, Pulse
from tailrace_postgres.reading import Reading
from tailrace_postgres.replication import ASK_EVERY, Replication
from tailrace_postgres.slot import wait_until_released
from tailrace_postgres.stream import Stream
from tailrace_postgres.table import Tables
from tailrace_postgres.takeover import take_over

log = structlog.get_logger()

ADVANCE_EVERY = 1.0
"""Seconds between positions that move past what concerns nobody: each costs the log a commit."""

MOST_UNSEEN = 200
"""Transactions that no read is known to have seen, while a snapshot is under way: they are in every position."""

LOOK_AGAIN = 0.05  # seconds between looks at what is visible, should there be transactions that stay invisible

ADVANCE_BYTES = 1024 * 1024  # or as soon as this much of the server's log could go


@dataclass(slots=True)
class _Parts:
    """What an open source is made of."""

    opened: Opened
    tables: Tables
    place: Place
    replication: Replication
    stream: Stream
    reading: Reading
    pulse: Pulse
    meter: Meter


@dataclass(frozen=True, slots=True)
class _Given:
    """What the position given last says of the snapshot."""

    version: int = -1
    complete: bool = False
    done: bool = False


class PostgresSource:
    """A source plug-in: `type: postgres`."""

    Config: ClassVar[type[SourceConfig]] = PostgresConfig

    def __init__(self, name: str, config: SourceConfig) -> None:
        assert isinstance(config, PostgresConfig)
        self._name = name
        self._config = config
        self._prefix = config.topic_prefix or name
        self._hold = ExitStack()
        self._parts: _Parts | None = None
        self._position: tuple[object, Position] | None = None
        self._acked = 0
        self._advanced = 0.0
        self._looked = 0.0
        self._given = _Given()
        self._seizes = False

    def seize(self) -> None:
        """Let `open` end whoever still streams from the slot."""
        self._seizes = True

    def open(self, resume_from: Position | None) -> None:
        """Connect, make or check publication and slot, and start to stream; raises `Fatal` where changes are lost."""
        self.close()
        opened = open_source(self._name, self._config, resume_from, self._hold, seize=self._seizes)
        names: dict[str, tuple[str, str]] = {}
        tables = Tables(opened.control, opened.catalog, self._config, self._prefix, names)
        tables.survey(opened.tables)
        place = Place(self._prefix, opened.cluster.database, names)
        replication = Replication(opened.replication, self._config.silence_timeout)
        reading = Reading(
            opened.snapshot, opened.shapes, catalog=opened.catalog, tables=tables, place=place,
            connect=self._connect_reader, flush=lambda lsn: make_durable(opened.control, lsn),
            publication=opened.publication, readers=self._config.snapshot_readers, chunk_rows=self._config.chunk_rows,
        )  # fmt: skip
        self._hold.callback(reading.close)
        pulse = Pulse(
            opened.control, connector=self._name, slot=opened.slot, heartbeat_interval=self._config.heartbeat_interval
        )
        stream = Stream(opened.start, tables, opened.snapshot, place, self._on_message)
        self._acked = opened.start.confirm
        self._parts = _Parts(opened, tables, place, replication, stream, reading, pulse, Meter(opened.snapshot))
        self._start(self._parts)
        log.info(
            "streaming", connector=self._name, slot=opened.slot, position=str(opened.start),
            snapshot_tables=len(opened.snapshot.tables), binary=tables.in_binary,
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
        """Let the slot move to where `position` says; answer the server."""
        parts = self._open_parts()
        if position is not None:
            self._acked = max(self._acked, from_json(position).stream.confirm)
        parts.replication.confirm(self._acked)

    def close(self) -> None:
        """Hang up on everything."""
        if self._parts is not None:
            self._parts.replication.finish()
        self._parts = None
        self._position, self._given = None, _Given()
        self._hold.close()

    def report(self) -> Report:
        """Return how far stream and snapshot are."""
        parts = self._open_parts()
        stream, pulse = parts.stream, parts.pulse
        at = max(stream.position.lsn, stream.position.confirm, stream.idle_end)
        end = max(parts.replication.server_end, pulse.server_end, at)
        now = time.monotonic()
        return Report(
            position=str(stream.position),
            server_position=format_lsn(end),
            lag_bytes=end - at,
            lag_seconds=self._behind(parts, end - at),
            heard_seconds=round(now - parts.replication.heard, 3),
            caught_up=self._given.complete and at >= parts.opened.target and stream.between,
            snapshot=parts.meter.progress(),
            details={
                "retained_wal_bytes": pulse.retained_bytes,
                "wal_status": pulse.wal_status,
                "confirmed_position": format_lsn(self._acked),
                "slot": parts.opened.slot,
                "publication": parts.opened.publication,
                "values": "binary" if parts.tables.in_binary else "text",
            },
        )

    def take_over(self, offset: Mapping[str, Json]) -> Position:
        """Return the position that goes on from Debezium's offset; needs no `open`."""
        return take_over(self._name, self._config, offset)

    def check(self) -> Sequence[Finding]:
        """Connect, look at everything that a capture needs, and hang up; needs no `open`."""
        return findings(self._name, self._config)

    def _turn(self, parts: _Parts) -> tuple[Sequence[Event], int]:
        """Move everything one step on; return what came of it."""
        most, most_bytes = self._config.batch_changes, self._config.batch_bytes
        snapshot, stream = parts.opened.snapshot, parts.stream
        parts.pulse.beat(time.monotonic())
        if snapshot.holding or stream.waiting:
            parts.replication.hold()
        else:
            stream.feed(parts.replication.receive(most, most_bytes))
        events: Sequence[Event] = ()
        size = 0
        if not snapshot.holding:
            events, size = stream.take(most, most_bytes)
        if stream.outdated:
            self._go_on_as_text(parts)
        if not snapshot.complete or parts.reading.connected:
            parts.reading.advance(time.monotonic())
            rows, rows_size = parts.reading.take(most, most_bytes)
            events = joined(events, rows)
            size += rows_size
        if self._wants_to_know(parts):
            parts.replication.ask()
        self._forget_visible(parts)
        return events, size

    def _start(self, parts: _Parts) -> None:
        """Have the server stream from where the stream is; nothing is confirmed but what is durable."""
        opened = parts.opened
        parts.replication.start(
            opened.slot, parts.stream.position.confirm, opened.publication, confirmed=self._acked,
            sender_timeout=opened.sender_timeout, binary=parts.tables.in_binary,
        )  # fmt: skip

    def _go_on_as_text(self, parts: _Parts) -> None:
        """Stream again from where the stream is, with values as text: one of a table to come has no other form.

        For as long as this source is open. That does what a restart does, and needs none: a restart would look at the
        catalogue, which need not show that table, and choose binary again.
        """
        opened, old = parts.opened, parts.stream
        log.info("streaming as text from here on", connector=self._name, position=str(old.position))
        parts.replication.finish()
        pid = opened.replication.pgconn.backend_pid
        opened.replication.close()
        wait_until_released(opened.control, opened.slot, pid)
        connection = Connection.open(self._config, self._name, "replication")
        self._hold.callback(connection.close)
        parts.replication = Replication(connection, self._config.silence_timeout)
        parts.stream = Stream(old.position, parts.tables, opened.snapshot, parts.place, self._on_message)
        parts.stream.commit_time = old.commit_time
        self._start(parts)

    def _forget_visible(self, parts: _Parts) -> None:
        """Keep the set of transactions small that may not be visible yet, also while no chunk is read."""
        now = time.monotonic()
        if len(parts.opened.snapshot.unseen) > MOST_UNSEEN and now - self._looked >= LOOK_AGAIN:
            self._looked = now
            parts.opened.snapshot.saw(what_is_visible(parts.opened.control))

    def _moves_on(self, parts: _Parts) -> bool:
        """Whether to give a position without events: past a stretch of the log that concerns nobody, say."""
        stream, snapshot, now = parts.stream, parts.opened.snapshot, time.monotonic()
        if not stream.between or not snapshot.committable:
            return False
        ahead = stream.idle_end - stream.position.confirm
        moved = ahead > 0 or snapshot.version != self._given.version
        turned = (snapshot.complete, snapshot.done) != (self._given.complete, self._given.done)
        if not turned and not (moved and now - self._advanced >= ADVANCE_EVERY) and ahead < ADVANCE_BYTES:
            return False
        self._advanced = now
        stream.advance()
        return True

    def _place(self, parts: _Parts) -> Position | None:
        snapshot = parts.opened.snapshot
        if not snapshot.committable:
            return None
        state = (parts.stream.position, snapshot.version)
        if self._position is None or self._position[0] != state:
            position = to_json(parts.stream.position, str(parts.opened.cluster), snapshot.to_json())
            self._position = (state, position)
        self._given = _Given(snapshot.version, snapshot.complete, snapshot.done)
        return self._position[1]

    def _wants_to_know(self, parts: _Parts) -> bool:
        """Whether the end of the server's log matters now, rather than when the server cares to tell."""
        return parts.stream.idle_end < parts.opened.target or parts.opened.snapshot.views > 0

    def _wait(self, parts: _Parts, now: float, deadline: float) -> None:
        """Wait until something comes, or something is due."""
        snapshot = parts.opened.snapshot
        held = snapshot.holding or parts.stream.waiting
        reads = parts.reading.sockets()
        if not held:
            reads.append(parts.replication.socket)
        if (control := parts.pulse.socket) is not None:
            reads.append(control)
        due = [deadline, parts.pulse.due]
        if not held:
            due.append(parts.replication.due)
        if (resume_at := parts.reading.resume_at()) is not None:
            due.append(resume_at)
        if self._wants_to_know(parts):
            due.append(now + ASK_EVERY)
        if parts.stream.idle_end > parts.stream.position.confirm or snapshot.version != self._given.version:
            due.append(self._advanced + ADVANCE_EVERY)
        writes = [parts.replication.socket] if parts.replication.unsent else []
        select.select(reads, writes, [], max(0.0, min(due) - now))

    def _on_message(self, message: pgoutput.Message) -> Sequence[Event]:
        if message.prefix == HEARTBEAT and message.content == self._name.encode():
            return [heartbeat_event(self._prefix)]
        return ()

    def _behind(self, parts: _Parts, lag_bytes: int) -> float | None:
        if not lag_bytes:
            return 0.0
        if parts.stream.commit_time is None:
            return None
        return round(max(0.0, time.time() - (parts.stream.commit_time + POSTGRES_EPOCH_US) / 1e6), 3)

    def _connect_reader(self) -> Connection:
        return Connection.open(self._config, self._name, "snapshot")

    def _open_parts(self) -> _Parts:
        if self._parts is None:
            raise Fatal(f"connector {self._name}: the source is not open")
        return self._parts
