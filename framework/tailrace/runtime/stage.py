"""What lies between a database and the log: transforms, the encoder, and the fate of events that neither can take.

What lies between the log and a destination is `runtime/rejection.py`.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from typing import Literal, TypeAlias

import structlog

from tailrace.codec.encoder import ChangeEncoder
from tailrace.errors import BadRecord
from tailrace.event import Cell, Change, Column, Event, Record
from tailrace.schema import Value
from tailrace.transform import Transform

log = structlog.get_logger()

ErrorPolicy: TypeAlias = Literal["fail", "skip", "dead_letter"]

_LOG_EVERY = 10.0
"""Seconds between log lines about bad records: a table of a million of them must not write a million lines."""

_CELL = 10_000
"""Letters of a cell of the key that a dead letter shows where the record was too large."""


class RecordTooLarge(BadRecord):
    """The topic takes no record of this size; nor might it take a dead letter with all that the row holds."""


class BadRecords:
    """Carries out a connector's `errors` policy; counts what it lets pass.

    A dead letter's value is JSON: table, op, the error, and the cells of both rows as the database sent them, text
    where it is UTF-8 and `{"base64": ...}` elsewhere; columns in disguise wear it here too. Of a record that was too
    large it has the key's cells alone, and the source block, which says where the whole row is. Its headers are those
    of Kafka Connect's dead-letter queue.
    """

    def __init__(self, connector: str, policy: ErrorPolicy, topic: str) -> None:
        self.count = 0
        self._connector = connector
        self._policy = policy
        self._topic = topic
        self._logged_at = float("-inf")

    def __call__(self, event: Event, error: BadRecord) -> list[Record]:
        """Return what to write in the place of `event`; raises `error` where the policy is to fail."""
        if self._policy == "fail":
            hint = (
                f"set errors: skip or errors: dead_letter on connector {self._connector} to go on without such events"
            )
            raise BadRecord(error.message, hint=error.hint or hint) from error
        self.count += 1
        if time.monotonic() - self._logged_at >= _LOG_EVERY:
            self._logged_at = time.monotonic()
            log.warning(
                "bad record", policy=self._policy, topic=_topic_of(event), count=self.count, error=error.message
            )
        return [self._letter(event, error)] if self._policy == "dead_letter" else []

    def _letter(self, event: Event, error: BadRecord) -> Record:
        topic = _topic_of(event)
        headers = {
            "__connect.errors.topic": topic,
            "__connect.errors.connector.name": self._connector,
            "__connect.errors.task.id": "0",
            "__connect.errors.stage": "VALUE_CONVERTER",
            "__connect.errors.exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
            "__connect.errors.exception.message": error.message,
        }
        content = _skeleton(event) if isinstance(error, RecordTooLarge) else _content(event)
        body = {"connector": self._connector, "topic": topic, "error": error.message, **content}
        return Record(
            self._topic,
            None,
            json.dumps(body, ensure_ascii=False).encode(),
            time.time_ns() // 1_000_000,
            [(name, value.encode()) for name, value in headers.items()],
        )


class ChangeStage:
    """The stage of a source's task: changes through the transforms, all events through the encoder."""

    def __init__(self, encoder: ChangeEncoder, bad_records: BadRecords, transforms: Sequence[Transform] = ()) -> None:
        self._encoder = encoder
        self._bad_records = bad_records
        self._transforms = tuple(transforms)

    def __call__(self, events: Sequence[Event]) -> Sequence[Record]:
        """Return the records of `events`, in order; a dead letter stands in the place of its event's records."""
        if not self._transforms:
            return self._encoder.encode(events, on_bad=self._bad_records)
        records: list[Record] = []
        kept: list[Event] = []
        for event in events:
            try:
                changed = self._transformed(event)
            except BadRecord as error:
                records += self._encoder.encode(kept, on_bad=self._bad_records)
                records += self._bad_records(event, error)
                kept = []
                continue
            if changed is not None:
                kept.append(changed)
        last = self._encoder.encode(kept, on_bad=self._bad_records)
        return [*records, *last] if records else last

    def _transformed(self, event: Event) -> Event | None:
        if not isinstance(event, Change):
            return event
        change: Change | None = event
        for transform in self._transforms:
            if change is None:
                return None
            change = transform(change)
        return change


def _topic_of(event: Event) -> str:
    return event.table.topic if isinstance(event, Change) else event.topic


def _content(event: Event) -> dict[str, object]:
    if not isinstance(event, Change):
        return {}
    rows = {"before": event.before_wire, "after": event.after_wire}
    return {"table": event.table.id, "op": event.op, **{name: _cells(event, wire) for name, wire in rows.items()}}


def _skeleton(event: Event) -> dict[str, object]:
    if not isinstance(event, Change):
        return {}
    key = {event.table.columns[index].name for index in event.table.key}
    rows = {"before": event.before_wire, "after": event.after_wire}
    shown = {name: _cells(event, wire) for name, wire in rows.items()}
    names = [field.name for field in event.table.source.fields]
    source = dict(zip(names, event.origin.source_block(event), strict=False))
    return {
        "table": event.table.id,
        "op": event.op,
        **{
            name: {column: _cut(cell) for column, cell in cells.items() if column in key}
            for name, cells in shown.items()
            if isinstance(cells, dict)
        },
        "source": {name: _plain(value) for name, value in source.items()},
    }


def _cut(cell: object) -> object:
    return f"{cell[:_CELL]}…" if isinstance(cell, str) and len(cell) > _CELL else cell


def _plain(value: Value) -> object:
    return value if isinstance(value, str | int | float | None) else str(value)


def _cells(change: Change, wire: bytes | None) -> object:
    if wire is None:
        return None
    try:
        cells = change.table.format.cells(wire)
    except BadRecord:
        return None if change.table.hides else _readable(wire)
    return {column.name: _shown(column, cell) for column, cell in zip(change.table.columns, cells, strict=False)}


def _shown(column: Column, cell: Cell) -> object:
    if not isinstance(cell, bytes):
        return None
    try:
        if column.disguised:
            return column.decode(cell)
        return _readable(cell if column.text is None else column.text(cell))
    except BadRecord:
        return None if column.disguised else _in_base64(cell)


def _readable(cell: Cell) -> object:
    if not isinstance(cell, bytes):
        return None
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return _in_base64(cell)


def _in_base64(cell: bytes) -> object:
    return {"base64": base64.b64encode(cell).decode("ascii")}
