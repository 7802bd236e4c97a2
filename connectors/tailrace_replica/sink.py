"""The sink: deliveries become changes of tables, at most one for each key, applied and committed with the position.

Within a commit only the last state of a row matters, so changes are folded by the key's own octets as they arrive:
a whole row replaces what was there. What cannot be folded (a row that lacks values on top of another, another shape, a
truncate) has what came before it applied first, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from tailrace.codec.delivery import Delivery, Shape
from tailrace.errors import BadRecord, ConfigError
from tailrace.position import Position
from tailrace.source import Finding
from tailrace_replica.address import destination_at
from tailrace_replica.config import FILES, ReplicaConfig
from tailrace_replica.destination import Destination, Reject
from tailrace_replica.intake import Intake
from tailrace_replica.target import Changes, Name, Target, name_of, target_of

_FRAME = 5


class ReplicaSink:
    """A `Sink[Delivery]`: exactly once, since position and rows share a transaction."""

    Config: ClassVar[type[ReplicaConfig]] = ReplicaConfig

    def __init__(self, name: str, config: ReplicaConfig) -> None:
        self._name = name
        self._config = config
        self._destination: Destination = destination_at(config)
        self._template = config.table or self._destination.template
        name_of("a.b.c", self._template)
        self._reject: Reject = _raise
        self._intakes: dict[tuple[str, bytes | Shape | None, bytes | None], Intake | None] = {}
        self._current: dict[str, Intake] = {}
        self._topics: dict[Name, str] = {}
        self._waiting: list[Changes] = []
        self._held = 0
        self._seizes = False

    @property
    def shareable(self) -> bool:
        """Whether several tasks may write there: a server's database, not a file."""
        return self._config.url.get_secret_value().partition(":")[0] not in FILES

    def reject_with(self, reject: Callable[[Delivery, BadRecord], None]) -> None:
        """Take what cares for deliveries that cannot be applied."""
        self._reject = reject

    def seize(self) -> None:
        """Let `open` end whoever still writes; of a file nobody can be, and so it waits there."""
        self._seizes = True

    def open(self, task: str) -> Position | None:
        """Connect, become the only writer, return the position of the last commit."""
        self._forget()
        return self._destination.open(task, seize=self._seizes)

    def write(self, items: Sequence[Delivery]) -> None:
        """Fold `items` into what is to be done."""
        most = self._destination.held_rows  # a batch may have more: the destination gets to work before its end
        for start in range(0, len(items), most):
            part = items[start : start + most]
            self._fold(part)
            self._held += len(part)
            if self._held >= most and not self._destination.ddl_commits:
                self._apply()

    def commit(self, position: Position) -> None:
        """Apply what is held; commit it and the position."""
        self._apply()
        self._destination.commit(position)

    def close(self) -> None:
        """Disconnect; what was not committed is undone."""
        self._forget()
        self._destination.close()

    def position(self, task: str) -> Position | None:
        """Return the position of the last commit."""
        return self._destination.position(task)

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position; None: begin anew.

        Rows with a key stay, and are written over as they come again; those of tables without a key come twice.
        """
        self._destination.set_position(task, position)

    def check(self) -> Sequence[Finding]:
        """Look whether the destination can be reached and written to."""
        return self._destination.check()

    def _forget(self) -> None:
        self._intakes.clear()
        self._current.clear()
        self._topics.clear()
        self._waiting.clear()
        self._held = 0

    def _fold(self, items: Sequence[Delivery]) -> None:
        for item in items:
            if item.record.value is None:
                continue  # a tombstone: the delete before it has said so
            current = self._current.get(item.record.topic)
            if current is not None and current.takes(item):
                continue
            try:
                self._take(item)
            except BadRecord as error:
                self._reject(item, error)

    def _take(self, item: Delivery) -> None:
        if item.record.key is None and (change := item.change) is not None and change.op == "t":
            self._empty(item.record.topic)
            return
        intake = self._intake(item)
        if intake is None:
            return  # no change of a row: a heartbeat, a transaction's end
        current = self._current.get(item.record.topic)
        if current is not intake:
            if current is not None:
                self._set_aside(current)
            self._current[item.record.topic] = intake
        if item.record.headers and (move := intake.move(item)) is not None:
            self._set_aside(intake)
            self._waiting.append(move)
            if move.moved is not None and move.moved.leaving:
                return
        if not intake.take(item):
            self._set_aside(intake)
            intake.take(item)

    def _empty(self, topic: str) -> None:
        if (current := self._current.get(topic)) is not None:
            self._set_aside(current)
        self._waiting.append(Changes(Target(self._name_of(topic), (), ()), emptied=True))

    def _intake(self, item: Delivery) -> Intake | None:
        record = item.record
        value, key = record.value or b"", record.key
        # Schema ids stand in the frame; a schema that stands beside its JSON has to be looked at.
        mark = value[:5] if value[:1] == b"\x00" else item.shape
        key_mark = None if key is None else key[:5] if key[:1] == b"\x00" else b"json"
        place = (record.topic, mark, key_mark)
        if place not in self._intakes:
            self._intakes[place] = self._new_intake(item)
        return self._intakes[place]

    def _new_intake(self, item: Delivery) -> Intake | None:
        shape = item.shape
        if shape is None:
            if item.change is None:
                return None
            raise BadRecord(
                "JSON without its schema does not tell the types of columns",
                hint="set format: avro or format: json_schema on the connector, and begin its topics anew",
            )
        if not shape.enveloped:
            return None
        target = target_of(self._name_of(item.record.topic), shape, item.key_shape)
        if not target.key and self._config.without_key == "refuse":
            raise BadRecord(
                f"table {target.label} has no key", hint="set without_key: append, or give it a primary key"
            )
        writer = self._destination.writer(target)
        known, record = item.writer_schema, item.record
        marks = ((record.value or b"")[:_FRAME], (record.key or b"")[:_FRAME])
        return Intake(target, writer, known[1] if known is not None else None, marks)

    def _name_of(self, topic: str) -> Name:
        name = name_of(topic, self._template)
        if (other := self._topics.setdefault(name, topic)) != topic:
            raise ConfigError(
                f"topics {other} and {topic} both belong into table {'.'.join(name)}",
                hint='set table: to a name that tells them apart, "{schema}_{table}" say',
            )
        return name

    def _set_aside(self, intake: Intake) -> None:
        if (changes := intake.give()) is not None:
            self._waiting.append(changes)

    def _apply(self) -> None:
        for intake in self._current.values():
            self._set_aside(intake)
        waiting, self._waiting, self._held = self._waiting, [], 0
        if self._destination.ddl_commits:
            for changes in waiting:
                self._destination.prepare(changes.target)
        for changes in waiting:
            if not self._destination.ddl_commits:
                self._destination.prepare(changes.target)
            self._destination.apply(changes, self._reject)


def _raise(_: Delivery, error: BadRecord) -> None:
    raise error
