"""The heartbeat, and how far the server's binlog is: asked now and then on the control connection, never waited for.

A heartbeat is told as long as the dump is heard, by rows or by the server's own heartbeats.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from tailrace.codec.heartbeat import heartbeat_event
from tailrace.event import Event
from tailrace_mysql.connection import Connection
from tailrace_mysql.fault import ServerFault
from tailrace_mysql.packet import cells
from tailrace_mysql.place import BinlogPlace

log = structlog.get_logger()

LOOK_EVERY = 5.0  # seconds between looks at the end of the binlog


class Pulse:
    """`beat` is to be called at every turn of the source. `status` is the statement that tells the binlog's end."""

    def __init__(self, connection: Connection, status: str, *, prefix: str, heartbeat_interval: float) -> None:
        self._connection = connection
        self._status = status
        self._prefix = prefix
        self._interval = heartbeat_interval
        now = time.monotonic()
        self._told = now
        self._next_look = now
        self._looking = False
        self.server_end: BinlogPlace | None = None
        """How far the server has written its binlog."""

    @property
    def due(self) -> float:
        """When `beat` has something to do next, by the monotonic clock."""
        return min(self._told + self._interval if self._interval else float("inf"), self._next_look)

    @property
    def waits(self) -> bool:
        """Whether an answer is awaited on the control connection."""
        return self._looking and self._connection.busy

    def beat(self, now: float) -> None:
        """Ask what is due, take the answer that has come; raises `Retriable` when the connection is lost."""
        if self._looking:
            self._collect()
        elif now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            self._connection.post(self._status)
            self._looking = True

    def heartbeats(self, now: float, heard: float) -> Sequence[Event]:
        """Return the heartbeat that is due; none where the dump was not heard (`heard`, monotonic) since the last."""
        if not self._interval or now < self._told + self._interval:
            return ()
        since, self._told = self._told, now
        return [heartbeat_event(self._prefix)] if heard >= since else ()

    def _collect(self) -> None:
        # Somebody else's query may have come in between; the answer is gone then.
        self._looking = self._connection.busy
        if not self._looking:
            return
        try:
            answer = self._connection.collect()
        except ServerFault as fault:
            self._looking, self._next_look = False, float("inf")
            log.warning("the end of the binlog cannot be read", error=fault.message)
            return
        if answer is None:
            return
        self._looking = False
        if answer[-1].rows:
            file, pos = cells(answer[-1].rows[0])[:2]
            self.server_end = BinlogPlace((file or b"").decode(), int(pos or 0))
