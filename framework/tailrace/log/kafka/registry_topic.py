"""A registry's entries in a compacted topic of one partition, written as Confluent's registry writes its `_schemas`.

    {"keytype":"SCHEMA","subject":"…","version":1,"magic":1}  => {"subject","version","id","schema","deleted"}
    {"keytype":"CONFIG","subject":"…"|null,"magic":0}         => {"compatibilityLevel":"…"}; null: none any more

    header tailrace.incompatible   what the version breaks, where it was registered all the same
    header tailrace.permanent      on a version that is deleted: for good

Any number of processes on any number of machines write there. What keeps ids unique is Kafka's fencing: all use one
transactional id, so whoever begins a change shuts out everybody who began one before, reads to the end of what is
committed, decides, and commits in a transaction. One who was shut out meanwhile fails to commit, reads again and
decides anew; one who was not goes on with the producer that it has. Readers see what is committed. A key is of one
version for ever, so compaction keeps all of them.
Source: Confluent Schema Registry, `SchemaRegistryKey` and `SchemaValue`; KIP-98 for fencing.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tailrace.codec.registry_state import Decide, Entry, RegistryState
from tailrace.errors import Fatal, Retriable
from tailrace.log.kafka.client import PATIENCE, Clients
from tailrace.log.kafka.fault import code_of
from tailrace.log.kafka.settings import KafkaTopicSettings
from tailrace.log.kafka.stretch import read_stretch
from tailrace.log.kafka.topics import Topics

_INCOMPATIBLE, _PERMANENT = "tailrace.incompatible", "tailrace.permanent"

_ATTEMPTS = 50
_PAUSE = 0.1
"""Seconds between attempts, at most, times the attempts so far: many tasks may start at once."""

_Produced: TypeAlias = "tuple[bytes, bytes | None, list[tuple[str, str | bytes | None]]]"


class TopicLedger:
    """Implements `Ledger` on a topic, which is made by the first entry. Building one does no I/O."""

    def __init__(self, clients: Clients, topics: Topics) -> None:
        self._clients = clients
        self._topics = topics
        self._topic = clients.config.schemas_topic
        self._state = RegistryState()
        self._next = 0
        self._there = False
        self._producer: Producer | None = None

    @property
    def name(self) -> str:
        """The topic."""
        return f"topic {self._topic}"

    @property
    def state(self) -> RegistryState:
        """What the records read so far add up to."""
        return self._state

    def refresh(self) -> None:
        """Read what has been committed since; raises `Fatal` for a record that is not of a registry."""
        if not self._there:
            self._there = self._topic in self._topics.existing()
        if not self._there:
            return
        place = (self._topic, 0)
        ends = self._topics.next_offsets([place])
        silent = Retriable(f"read {self.name}: kafka has said nothing for {PATIENCE:.0f} s", patient=True)
        for message in read_stretch(self._clients, {place: self._next}, ends, patience=PATIENCE, stalled=silent):
            self._apply(message)
        self._next = max(self._next, ends[place])

    def change(self, decide: Decide) -> None:
        """Append what `decide` makes of the state; raises `Retriable` where others are always quicker."""
        self.refresh()
        if not decide(self._state):
            return  # all that was read is committed, and so durable
        self._ensure()
        for attempt in range(_ATTEMPTS):
            if self._attempt(decide):
                return
            time.sleep(random.uniform(0, _PAUSE * (attempt + 1)))
        raise Retriable(f"write {self.name}: others were quicker {_ATTEMPTS} times")

    def _attempt(self, decide: Decide) -> bool:
        """Make a change as the only writer; False: another became that meanwhile, or it is in doubt what came of it.

        Both are settled by whoever begins next, and what was written after all is then found to be there.
        """
        kept, self._producer = self._producer, None
        producer = kept or self._clients.producer(self._clients.config.of_group("schemas"))
        try:
            if kept is None:
                self._ask(producer.init_transactions)
            self.refresh()
            entries = decide(self._state)
            if entries:
                producer.begin_transaction()
                for key, value, headers in _records(self._state, entries):
                    producer.produce(self._topic, value, key, 0, headers=headers)
                self._ask(producer.commit_transaction)
        except KafkaException as error:
            fault = self._clients.complaints.explain(
                error, f"write {self.name}", name=self._clients.config.of_group("schemas")
            )
            shut_out = isinstance(fault, Retriable) and not fault.patient
            if shut_out or code_of(error).code() == KafkaError._STATE:
                return False
            raise fault from error
        self._producer = producer  # as long as nobody shuts it out, nobody else has written
        self._await_own()
        return True

    def _ask(self, call: Callable[[float], None]) -> None:
        """Make a call of the transaction's until it is answered: it may be made again."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return call(PATIENCE)
            except KafkaException as error:
                if not code_of(error).retriable() or time.monotonic() > deadline:
                    raise

    def _await_own(self) -> None:
        """Read what was committed: a commit is answered a little before its records can be read."""
        place = (self._topic, 0)
        written = self._topics.next_offsets([place], committed=False)[place]
        deadline = time.monotonic() + PATIENCE
        while True:
            self.refresh()
            if self._next >= written:
                return
            if time.monotonic() > deadline:
                raise Retriable(f"read {self.name}: a commit has not come for {PATIENCE:.0f} s", patient=True)
            time.sleep(0.02)

    def _ensure(self) -> None:
        """Let the topic be there, compacted and of one partition."""
        config = self._clients.config
        if self._topic in self._topics.existing():
            self._topics.check_compacted(self._topic)
            count = self._topics.partition_count(self._topic)
            if count != 1:
                raise Fatal(
                    f"use topic {self._topic}: it has {count} partitions", hint="it must have one: name another"
                )
        else:
            settings = KafkaTopicSettings(
                partitions=1, replication_factor=config.replication_factor, cleanup="compact", config=config.config
            )
            self._topics.create(self._topic, settings)
        self._there = True

    def _apply(self, message: Message) -> None:
        try:
            for entry in _entries(message):
                self._state.apply(entry)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Fatal(
                f"{self.name} is damaged at offset {message.offset()}",
                hint="only Tailrace may write there: set schemas_topic to a topic of its own",
            ) from error


def _records(state: RegistryState, entries: Sequence[Entry]) -> list[_Produced]:
    """Return keys, values and headers to produce; a schema comes with the version that is the first to have it."""
    schemas = {cast("int", entry["id"]): entry["schema"] for entry in entries if entry["op"] == "schema"}
    records: list[_Produced] = []
    for entry in entries:
        subject = entry.get("subject")
        if entry["op"] == "level":
            level = entry["level"]
            value = None if level is None else _json({"compatibilityLevel": level})
            records.append((_json({"keytype": "CONFIG", "subject": subject, "magic": 0}), value, []))
        elif entry["op"] == "version":
            schema_id = cast("int", entry["id"])
            schema = schemas.get(schema_id, state.schemas.get(schema_id))
            note = str(entry.get("incompatible", ""))
            headers: list[tuple[str, str | bytes | None]] = [(_INCOMPATIBLE, note.encode())] if note else []
            records.append((*_schema(str(subject), cast("int", entry["version"]), schema_id, schema), headers))
        elif entry["op"] == "delete":
            version = cast("int", entry["version"])
            named = [known for known in state.versions(str(subject), deleted=True) if known.version == version]
            for known in named:
                deleted = _schema(known.subject, version, known.id, known.schema, deleted=True)
                records.append((*deleted, [(_PERMANENT, b"1")] if entry["permanent"] else []))
    return records


def _schema(
    subject: str, version: int, schema_id: int, schema: object, *, deleted: bool = False
) -> tuple[bytes, bytes]:
    text = json.dumps(schema, separators=(",", ":"))
    value = {"subject": subject, "version": version, "id": schema_id, "schema": text, "deleted": deleted}
    return _json({"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}), _json(value)


def _entries(message: Message) -> list[Entry]:
    """Return what a record says, as entries of the state."""
    key, value = json.loads(cast("bytes", message.key())), message.value()
    content = json.loads(b"null" if value is None else value)
    headers = dict(message.headers() or [])
    if key["keytype"] == "CONFIG":
        return [{"op": "level", "subject": key["subject"], "level": content and content["compatibilityLevel"]}]
    if key["keytype"] != "SCHEMA":
        raise ValueError(f"unknown key {key['keytype']}")
    name = {"subject": content["subject"], "version": content["version"]}
    note = headers.get(_INCOMPATIBLE) or b""
    broken = {"incompatible": note.decode() if isinstance(note, bytes) else note} if note else {}
    entries: list[Mapping[str, object]] = [
        {"op": "schema", "id": content["id"], "schema": json.loads(content["schema"])},
        {"op": "version", **name, "id": content["id"], **broken},
    ]
    if content["deleted"]:
        entries.append({"op": "delete", **name, "permanent": _PERMANENT in headers})
    return entries


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
