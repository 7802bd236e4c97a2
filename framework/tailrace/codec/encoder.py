"""From changes to records: Debezium's events in Avro or JSON, each schema registered before the first record with it.

One plan is compiled for each version of a table (`plan`), found again by the identity of its `Table`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import structlog

from tailrace.codec.avro_envelope import AvroEnvelope, AvroForm, frame
from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.avro_writer import writer
from tailrace.codec.compiled import CompiledEncoder
from tailrace.codec.envelope import envelope_schema, key_schema
from tailrace.codec.json_converter import json_writer
from tailrace.codec.json_envelope import JsonEnvelope, JsonForm, JsonWrap
from tailrace.codec.plan import TablePlan
from tailrace.codec.registry import IncompatibleSchema, Part, RegisteredSchema, Registry
from tailrace.codec.row import REFUSED
from tailrace.errors import BadRecord, Fatal
from tailrace.event import Change, Event, Message, Record, Table
from tailrace.schema import Schema
from tailrace.source import SourceConfig

log = structlog.get_logger()

OnBad: TypeAlias = Callable[[Event, BadRecord], Sequence[Record]]
"""What to do with an event that cannot be encoded: returns the records to write in its place, or raises."""

Serialize: TypeAlias = Callable[[object], bytes]


_PLANS_OF_A_TOPIC = 4
"""Most plans kept for one topic: the newest version as the stream and as the snapshot have it, and the one before."""


class _Plan(Protocol):
    def at(self, now_ns: int) -> None: ...
    def records(self, change: Change) -> list[Record]: ...


class ChangeEncoder:
    """Encodes the events of one connector.

    `clock` gives the time in nanoseconds since 1970: the envelope's `ts_ms`, `ts_us`, `ts_ns` and the records' time,
    one reading for each call of `encode`.

    With `partitions`, which tells how many partitions a topic has, records in Avro come as `EncodedRecords`: made by
    the compiled core, in blocks that a log can take as they are.
    """

    def __init__(
        self,
        registry: Registry,
        config: SourceConfig,
        *,
        clock: Callable[[], int] = time.time_ns,
        partitions: Callable[[str], int] | None = None,
    ) -> None:
        self._registry = registry
        self._config = config
        self._clock = clock
        self._core = CompiledEncoder(partitions) if partitions and config.format == "avro" else None
        self._now_ns = 0
        self._plan: _Plan | None = None
        self._table: Table | None = None
        self._plans: dict[Table, _Plan] = {}
        self._messages: dict[str, _MessagePlan] = {}
        self.warnings: list[str] = []
        """Schemas that were registered although they break their subject's level, for people to read."""

    def encode(self, events: Sequence[Event], *, on_bad: OnBad | None = None) -> Sequence[Record]:
        """Return the records of `events`, in order.

        Raises `BadRecord` at the first event that cannot be encoded, naming table, column and the event's place in
        `events`; with `on_bad`, calls that instead and goes on. Raises `Fatal` where a schema is incompatible and
        `on_incompatible_schema` is "stop".
        """
        self._now_ns = self._clock()
        self._plan = None
        if self._core is not None:
            return self._core.encode(events, self._now_ns, lambda index: self._one(events, index, on_bad))
        records: list[Record] = []
        for index in range(len(events)):
            records += self._one(events, index, on_bad)
        return records

    def _one(self, events: Sequence[Event], index: int, on_bad: OnBad | None) -> Sequence[Record]:
        try:
            return self._records(events[index])
        except BadRecord as error:
            bad = BadRecord(f"{error.message} (event {index} of {len(events)})", hint=error.hint)
            if on_bad is None:
                raise bad from None
            return on_bad(events[index], bad)

    def _records(self, event: Event) -> list[Record]:
        if not isinstance(event, Change):
            return [self._message(event)]
        plan = self._plan
        if plan is None or event.table is not self._table:
            plan = self._plans.get(event.table) or self._new_plan(event.table)
            plan.at(self._now_ns)
            self._plan, self._table = plan, event.table
        return plan.records(event)

    def _new_plan(self, table: Table) -> _Plan:
        key, envelope = key_schema(table), envelope_schema(table)
        tombstones = self._config.tombstones
        plan: _Plan
        if self._config.format == "avro":
            key_id = None if key is None else self._register(table.topic, "key", key)
            value_id = self._register(table.topic, "value", envelope)
            avro = AvroEnvelope(table.source, key_id=key_id, value_id=value_id)
            plan = TablePlan(table, AvroForm(), avro, tombstones=tombstones)
            if self._core is not None:
                self._core.add_table(table, key_id=key_id, value_id=value_id, tombstones=tombstones)
        else:
            json = JsonEnvelope(key, envelope, with_schema=self._config.format == "json_schema")
            plan = TablePlan(table, JsonForm(), json, tombstones=tombstones)
        self._forget_old_plans(table.topic)
        self._plans[table] = plan
        return plan

    def _forget_old_plans(self, topic: str) -> None:
        same = [table for table in self._plans if table.topic == topic]
        for table in same[: -_PLANS_OF_A_TOPIC + 1]:
            del self._plans[table]

    def _register(self, topic: str, part: Part, schema: Schema) -> int:
        avro = avro_schema(schema)
        subject = self._registry.subject(topic, part, avro)
        try:
            registered = self._registry.register(subject, avro)
        except IncompatibleSchema as error:
            if self._config.on_incompatible_schema == "stop":
                raise Fatal(
                    f"cannot register the schema of {subject}: {'; '.join(error.problems)}",
                    hint="make the table compatible again, lower the subject's compatibility level, "
                    "or set on_incompatible_schema: register",
                ) from error
            registered = self._registry.register(subject, avro, force=True)
            log.warning(
                "schema incompatible", subject=subject, version=registered.version, breaks=registered.incompatible
            )
        if registered.incompatible:
            self._warn(registered)
        return registered.id

    def _warn(self, registered: RegisteredSchema) -> None:
        warning = f"schema incompatible: {registered.subject} version {registered.version}: {registered.incompatible}"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _message(self, message: Message) -> Record:
        plan = self._messages.get(message.topic)
        if plan is None or not plan.fits(message):
            plan = self._messages[message.topic] = self._new_message_plan(message)
        return plan.record(message, self._now_ns)

    def _new_message_plan(self, message: Message) -> _MessagePlan:
        return _MessagePlan(
            message,
            self._serializer(message.topic, "key", message.key_schema),
            self._serializer(message.topic, "value", message.value_schema),
        )

    def _serializer(self, topic: str, part: Part, schema: Schema) -> Serialize:
        if self._config.format == "avro":
            head, write = frame(self._register(topic, part, schema)), writer(schema)
            return lambda value: head + write(value)
        wrap = JsonWrap(schema, with_schema=self._config.format == "json_schema")
        convert = json_writer(schema)
        return lambda value: wrap(convert(value))


class _MessagePlan:
    """Encodes the messages of one topic that have the same schemas."""

    def __init__(self, message: Message, key: Serialize, value: Serialize) -> None:
        self._key_schema, self._value_schema = message.key_schema, message.value_schema
        self._key, self._value = key, value

    def fits(self, message: Message) -> bool:
        """Whether `message` has the schemas of this plan."""
        return _same(message.key_schema, self._key_schema) and _same(message.value_schema, self._value_schema)

    def record(self, message: Message, now_ns: int) -> Record:
        """Return the record; raises `BadRecord` where key or value do not fit their schemas."""
        try:
            return Record(message.topic, self._key(message.key), self._value(message.value), now_ns // 1_000_000)
        except BadRecord as error:
            raise BadRecord(f"cannot encode message for {message.topic}: {error.message}") from None
        except REFUSED:
            raise BadRecord(f"cannot encode message for {message.topic}: it does not fit its schema") from None


def _same(one: Schema, other: Schema) -> bool:
    return one is other or one == other
