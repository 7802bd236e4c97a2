"""The topic of what a sink's destination refused: each record there once, and durable before the sink has passed it.

A letter is the record as it was: key, value, headers and time, and Kafka Connect's headers beside them that say where
it lay and why it was refused. The log commits letters and position together, as it does for any task; the position
holds the offsets of the letters that the sink, after a crash, may come upon again. So none of them is written twice.
A letter that its topic would not take has its headers alone: they say where the record lies, in its own topic.
Source of the headers: Kafka Connect's `DeadLetterQueueReporter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal
from tailrace.event import Record, StoredRecord
from tailrace.log.backend import Limiting, LogBackend, Settling
from tailrace.log.size import size_alone
from tailrace.position import Position
from tailrace.sink import OffsetStore, Sink

_Runs: TypeAlias = "list[list[int]]"
"""Offsets as [first, last], in order: a whole topic of bad records is one run."""


_MESSAGE = 1000
"""Letters of the reason that a letter without its record has, at most."""


class DeadLetters:
    """Writes the letters of one task of a sink. The log's writer is opened with the first of them."""

    def __init__(self, log: LogBackend, sink: str, topic: str, *, task: str = "", number: int = 0) -> None:
        self._log = log
        self._sink, self._number = sink, number
        self._task = f"{task or sink}.dead-letter"
        self._topic = topic
        self._writer: Sink[Record] | None = None
        self._written: dict[str, _Runs] = {}
        self._durable: Mapping[str, object] = {}
        self._pending = False

    def settle(self) -> None:
        """Undo what a crash left: others, the sink too, may be waiting for its end, and there may be no letter soon."""
        if isinstance(self._log, Settling):
            self._log.settle(self._task)

    def durable(self, position: Position | None) -> None:
        """Take note of the sink's own position: what lies before it will not come again."""
        self._durable = position or {}

    def add(self, delivery: Delivery, error: BadRecord) -> None:
        """Write a letter, unless it is there already; `flush` makes it durable."""
        record = delivery.record
        writer = self._opened()
        runs = self._written.setdefault(f"{record.topic}-{record.partition}", [])
        if _holds(runs, record.offset):
            return
        writer.write([self._fitting(record, error)])
        _include(runs, record.offset)
        self._pending = True

    def flush(self) -> None:
        """Make every letter so far durable."""
        if self._writer is None or not self._pending:
            return
        kept = {place: self._ahead(place, runs) for place, runs in self._written.items()}
        self._written = {place: runs for place, runs in kept.items() if runs}
        self._writer.commit({"written": cast("Position", self._written)})
        self._pending = False

    def close(self) -> None:
        """Release the writer, without committing; safe at any time."""
        if self._writer is not None:
            self._writer.close()
        self._writer, self._pending, self._written = None, False, {}

    def _opened(self) -> Sink[Record]:
        if self._writer is None:
            writer = self._log.writer()
            try:
                position = writer.open(self._task) or {}
            except BaseException:
                writer.close()
                raise
            written = cast("Mapping[str, _Runs]", position.get("written", {}))
            self._written = {place: [list(run) for run in runs] for place, runs in written.items()}
            self._writer = writer
        return self._writer

    def _fitting(self, record: StoredRecord, error: BadRecord) -> Record:
        """Return the letter, or what its topic takes of it; raises `Fatal` where it takes not even that."""
        told = self._told(record, error, error.message)
        whole = Record(self._topic, record.key, record.value, record.timestamp_ms, [*record.headers, *told])
        if not isinstance(self._log, Limiting):
            return whole
        size, limit = _size(whole), self._log.record_limit(self._topic)
        if size <= limit:
            return whole
        left_out = f"{error.message[:_MESSAGE]} (left out: a record of {size} bytes, where {self._topic} takes {limit})"
        told = self._told(record, error, left_out)
        for key in (record.key, None):
            letter = Record(self._topic, key, None, record.timestamp_ms, told)
            if _size(letter) <= limit:
                return letter
        raise Fatal(
            f"write to {self._topic}: it takes {limit} bytes, and no dead letter is as small",
            hint="raise the topic's max.message.bytes",
        )

    def _told(self, record: StoredRecord, error: BadRecord, message: str) -> Sequence[tuple[str, bytes | None]]:
        told = {
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "connector.name": self._sink,
            "task.id": str(self._number),
            "stage": "TASK_PUT",
            "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
            "exception.message": message,
        }
        return [(f"__connect.errors.{name}", value.encode()) for name, value in told.items()]

    def _ahead(self, place: str, runs: _Runs) -> _Runs:
        reached = cast("int", self._durable.get(place, 0))
        return [run for run in runs if run[1] >= reached]


class LetteredOffsets:
    """An `OffsetStore` that has the letters durable before it saves a position that is behind them."""

    def __init__(self, offsets: OffsetStore, letters: DeadLetters) -> None:
        self._offsets = offsets
        self._letters = letters

    def load(self, task: str) -> Position | None:
        """Return the position saved last."""
        return self._offsets.load(task)

    def save(self, task: str, position: Position) -> None:
        """Make the letters durable, then keep `position`."""
        self._letters.flush()
        self._offsets.save(task, position)


def _size(record: Record) -> int:
    return size_alone(record.key, record.value, record.headers)


def _holds(runs: _Runs, offset: int) -> bool:
    return any(first <= offset <= last for first, last in reversed(runs))


def _include(runs: _Runs, offset: int) -> None:
    if runs and runs[-1][1] == offset - 1:
        runs[-1][1] = offset
    else:
        runs.append([offset, offset])
        runs.sort()
