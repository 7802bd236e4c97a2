"""The heartbeat that a source tells now and then: proof that the whole path works."""

from __future__ import annotations

import time

from tailrace.codec.envelope import HEARTBEAT_KEY, HEARTBEAT_VALUE
from tailrace.event import Message


def heartbeat_event(prefix: str) -> Message:
    """Return a heartbeat of the source with this topic prefix, of now."""
    now = time.time_ns() // 1_000_000
    return Message(
        f"__debezium-heartbeat.{prefix}", HEARTBEAT_KEY, {"serverName": prefix}, HEARTBEAT_VALUE, {"ts_ms": now}
    )
