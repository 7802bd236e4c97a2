"""Where sources resume, kept in a compacted topic as Kafka Connect keeps it; the one place that reads and writes it.

    key   => ["<connector>",{"server":"<topic prefix>"}]
    value => {"tailrace":"<position, as JSON text>", …}     null: forgotten

A value of Connect's is flat (`OffsetUtils.validateFormat`), so a position goes in as text. Other fields are another
connector's, Debezium's for one, and are left to whoever understands them. Beside each task's position lies who writes
it, under a key that no connector has:

    key   => ["tailrace-writer",{"task":"<connector>"}]
    value => {"id":"…","host":"…","pid":…}

Source: Kafka Connect's `OffsetStorageWriter`, `ConnectorOffsetBackingStore` and KIP-618.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from confluent_kafka import Message

from tailrace.errors import Fatal, Retriable
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.settings import KafkaTopicSettings
from tailrace.log.kafka.stretch import read_stretch
from tailrace.log.kafka.topics import Topics
from tailrace.log.store.partitioner import partition_of
from tailrace.position import Json, Position

OURS = "tailrace"
"""The field of an offset that has our position."""

_WRITER = "tailrace-writer"
_SETTLES = 60.0
"""Seconds to wait for a commit of another task that is in doubt."""

Offset: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class OffsetKey:
    """Whose offset it is, as Kafka Connect has it: a connector's name, and the part of its source."""

    connector: str
    partition: tuple[tuple[str, Json], ...]

    @classmethod
    def of(cls, connector: str, server: str) -> OffsetKey:
        """Return the key of a source with a topic prefix."""
        return cls(connector, (("server", server),))

    def encoded(self) -> bytes:
        """Return the key as Connect's JSON converter writes it."""
        return _json([self.connector, dict(self.partition)])


@dataclass(frozen=True, slots=True)
class Writer:
    """A process that writes as a task, from its opening to its end."""

    id: str
    host: str
    pid: int

    @classmethod
    def new(cls) -> Writer:
        """Return this process, as of now."""
        return cls(uuid.uuid4().hex, socket.gethostname(), os.getpid())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class OffsetsTopic:
    """The offsets in one topic."""

    def __init__(self, clients: Clients, topics: Topics, topic: str = "") -> None:
        self._clients = clients
        self._topics = topics
        self.topic = topic or clients.config.offsets_topic
        self._count = 0

    def ensure(self) -> None:
        """Let the topic be there, compacted; raises `Fatal` where it is not, and cannot be made so."""
        config = self._clients.config
        settings = KafkaTopicSettings(
            partitions=config.offsets_partitions, replication_factor=config.replication_factor, cleanup="compact",
            config=config.config,
        )  # fmt: skip
        if self.topic in self._topics.existing():
            self._topics.check_compacted(self.topic)
        else:
            self._topics.create(self.topic, settings)
        self._count = self._topics.partition_count(self.topic)

    def read(self, key: OffsetKey) -> Offset | None:
        """Return the offset committed last, waiting for commits that are in doubt; None where there is none."""
        return self._last(key.encoded())

    def writer_of(self, task: str) -> Writer | None:
        """Return who opened a task last."""
        found = self._last(_writer_key(task))
        return None if found is None else Writer(str(found["id"]), str(found["host"]), int(cast("int", found["pid"])))

    def all(self) -> dict[OffsetKey, Offset]:
        """Return all offsets as committed now; empty where there is no such topic."""
        count = self._topics.existing().get(self.topic, 0)
        offsets: dict[OffsetKey, Offset] = {}
        for message in self._messages(list(range(count)), committed=True):
            key, offset = offset_key(message.key()), _object(message.value())
            if key is None or key.connector == _WRITER:
                continue
            if offset is None:
                offsets.pop(key, None)
            else:
                offsets[key] = offset
        return offsets

    def record(self, key: OffsetKey, offset: Offset | None) -> tuple[str, bytes | None, bytes, int]:
        """Return what to produce for an offset: topic, value, key, partition."""
        return self._record(key.encoded(), offset)

    def writer_record(self, task: str, writer: Writer) -> tuple[str, bytes | None, bytes, int]:
        """Return what to produce when a writer has opened a task."""
        return self._record(_writer_key(task), {"id": writer.id, "host": writer.host, "pid": writer.pid})

    def _record(self, key: bytes, value: Offset | None) -> tuple[str, bytes | None, bytes, int]:
        return self.topic, None if value is None else _json(value), key, partition_of(key, self._count)

    def _last(self, key: bytes) -> Offset | None:
        last: bytes | None = None
        for message in self._messages([partition_of(key, self._count)], committed=False):
            if message.key() == key:
                last = _octets(message.value())
        return _object(last)

    def _messages(self, partitions: list[int], *, committed: bool) -> Iterator[Message]:
        """Return the committed records of partitions up to their ends as of now.

        The end is that of committed records or (false) of all, which is waited for: a position that is being committed
        may be ours.
        """
        places = [(self.topic, number) for number in partitions]
        in_doubt = Retriable(
            f"read topic {self.topic}: a commit of another task is in doubt for {_SETTLES:.0f} s",
            hint="a worker died while it committed: start it, or wait for its transaction to time out",
            patient=True,
        )
        firsts = self._topics.first_offsets(places)
        ends = self._topics.next_offsets(places, committed=committed)
        return read_stretch(self._clients, firsts, ends, patience=_SETTLES, stalled=in_doubt)


def position_of(offset: Offset | None) -> Position | None:
    """Return our position in an offset; None where there is none."""
    text = None if offset is None else offset.get(OURS)
    if text is None:
        return None
    try:
        position = json.loads(str(text))
    except ValueError as error:
        raise Fatal("read a position from kafka: it is not JSON", hint="tailrace offsets set CONFIG") from error
    return cast("Position", position)


def offset_of(position: Position, beside: Mapping[str, Json] | None = None) -> Offset:
    """Return the offset that has a position, and fields of another connector beside it."""
    return {**(beside or {}), OURS: _json(position).decode()}


def offset_key(encoded: bytes | str | None) -> OffsetKey | None:
    """Return a key of the topic taken apart; None for one that is not Connect's."""
    try:
        connector, partition = json.loads(encoded or b"")
        return OffsetKey(str(connector), tuple(partition.items()))
    except (ValueError, TypeError, AttributeError):
        return None


def _writer_key(task: str) -> bytes:
    return _json([_WRITER, {"task": task}])


def _object(value: bytes | str | None) -> Offset | None:
    if value is None:
        return None
    try:
        parsed: Any = json.loads(value)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _octets(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
