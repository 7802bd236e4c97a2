"""Faults on request, in four words, around any source or sink.

reject             the call fails, and has had no effect
fail-after-write   the call fails, but has had its effect: the answer was lost
hold               the call does not return until the fault is released
slow               the call takes its time
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

from tailrace.errors import Retriable
from tailrace.position import Position
from tailrace.sink import Sink
from tailrace.source import Batch, Source

T = TypeVar("T")
R = TypeVar("R")

Fault: TypeAlias = Literal["ok", "reject", "fail-after-write", "hold", "slow"]


@dataclass
class Faults:
    """The faults to come, by the name of the call (`poll`, `ack`, `open`, `write`, `commit`); ok when none is left."""

    script: dict[str, deque[Fault]] = field(default_factory=dict)
    slow_seconds: float = 0.05
    error: Callable[[str], Exception] = field(default=lambda call: Retriable(f"fault injected into {call}"))
    calls: list[str] = field(default_factory=list)
    """Every call that was made, in order."""
    _released: threading.Event = field(default_factory=threading.Event)

    def plan(self, call: str, *faults: Fault) -> None:
        """Have the next calls of `call` go so."""
        self.script.setdefault(call, deque()).extend(faults)

    def release(self) -> None:
        """Let calls that are held go on, and all that would be."""
        self._released.set()

    def around(self, call: str, effect: Callable[[], R]) -> R:
        """Make the call, with the fault that is due."""
        self.calls.append(call)
        waiting = self.script.get(call)
        fault = waiting.popleft() if waiting else "ok"
        if fault == "reject":
            raise self.error(call)
        if fault == "hold":
            self._released.wait()
        if fault == "slow":
            time.sleep(self.slow_seconds)
        result = effect()
        if fault == "fail-after-write":
            raise self.error(call)
        return result


class FaultySource(Generic[T]):
    """A source whose calls go as `faults` says; `close` always works."""

    def __init__(self, source: Source[T], faults: Faults) -> None:
        self._source = source
        self._faults = faults

    def open(self, resume_from: Position | None) -> None:
        """Open the source."""
        self._faults.around("open", lambda: self._source.open(resume_from))

    def poll(self, timeout: float) -> Batch[T]:
        """Poll the source."""
        return self._faults.around("poll", lambda: self._source.poll(timeout))

    def ack(self, position: Position | None) -> None:
        """Acknowledge to the source."""
        self._faults.around("ack", lambda: self._source.ack(position))

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class FaultySink(Generic[T]):
    """A sink whose calls go as `faults` says; `close` always works."""

    def __init__(self, sink: Sink[T], faults: Faults) -> None:
        self._sink = sink
        self._faults = faults

    def open(self, task: str) -> Position | None:
        """Open the sink."""
        return self._faults.around("open", lambda: self._sink.open(task))

    def write(self, items: Sequence[T]) -> None:
        """Write to the sink."""
        self._faults.around("write", lambda: self._sink.write(items))

    def commit(self, position: Position) -> None:
        """Commit to the sink."""
        self._faults.around("commit", lambda: self._sink.commit(position))

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
