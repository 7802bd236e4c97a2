"""The heartbeat, and what the server says of the slot: asked now and then on the control connection, never waited for.

A heartbeat is a message in the server's log. It moves the slot where only tables that nobody captures change, needs no
table and no right to write, and comes back through the stream as proof that the whole path works.
"""

from __future__ import annotations

import time

import structlog
from psycopg import pq

from tailrace_postgres.connection import Connection, rows_of
from tailrace_postgres.fault import field
from tailrace_postgres.lsn import parse_lsn

log = structlog.get_logger()

HEARTBEAT = "tailrace-heartbeat"

LOOK_EVERY = 5.0  # seconds between looks at the slot

_LOOK = """
SELECT pg_current_wal_flush_lsn()::text, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, wal_status
  FROM pg_replication_slots WHERE slot_name = {slot}
"""


class Pulse:
    """`beat` is to be called at every turn of the source."""

    def __init__(self, connection: Connection, *, connector: str, slot: str, heartbeat_interval: float) -> None:
        self._connection = connection
        self._heartbeat = (
            f"SELECT pg_logical_emit_message(false, {connection.literal(HEARTBEAT)}, {connection.literal(connector)})"
        )
        self._look = _LOOK.format(slot=connection.literal(slot))
        self._interval = heartbeat_interval
        now = time.monotonic()
        self._next_heartbeat = now + heartbeat_interval if heartbeat_interval else float("inf")
        self._next_look = now
        self._looking = False
        self.server_end = 0
        """How far the server has written its log."""
        self.retained_bytes: int | None = None
        self.wal_status: str | None = None

    @property
    def socket(self) -> int | None:
        """To be waited for, while an answer is awaited."""
        return self._connection.pgconn.socket if self._connection.busy else None

    @property
    def due(self) -> float:
        """When `beat` has something to do next, by the monotonic clock."""
        return min(self._next_heartbeat, self._next_look)

    def beat(self, now: float) -> None:
        """Ask what is due, take the answer that has come; raises `Retriable` when the connection is lost."""
        if self._connection.busy:
            results = self._connection.collect()
            if results is not None:
                self._answered(results[-1] if results else None)
        elif now >= self._next_heartbeat:
            self._next_heartbeat = now + self._interval
            self._looking = False
            self._connection.post(self._heartbeat)
        elif now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            self._looking = True
            self._connection.post(self._look)

    def _answered(self, result: pq.abc.PGresult | None) -> None:
        if result is None:
            return
        if result.status == pq.ExecStatus.FATAL_ERROR:
            error = field(result, pq.DiagnosticField.MESSAGE_PRIMARY)
            if not self._looking:
                self._next_heartbeat = float("inf")
                log.warning("the server refuses heartbeats, going on without", error=error)
            else:
                log.warning("the slot's state cannot be read", error=error)
        elif self._looking and (rows := rows_of(result)):
            end, retained, self.wal_status = rows[0]
            self.server_end = parse_lsn(end or "0/0")
            self.retained_bytes = int(retained) if retained else None
