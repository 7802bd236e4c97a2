"""Kafka's source: the committed records of many partitions, new topics included.

Records of one partition come in the order of their offsets; between partitions there is no order. Partitions are
assigned, not subscribed to: which of them a task reads is settled by its share, and where it begins by its position.
The offsets of a group are committed beside that, so that Kafka's own tools show how far it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tailrace.errors import Fatal, Retriable
from tailrace.log.backend import OffsetsGone, Start, StoredRecord
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.fault import told
from tailrace.log.kafka.topics import Topics
from tailrace.log.reading import offsets_of, readable, topic_matcher
from tailrace.log.share import ALL, Share
from tailrace.position import Position
from tailrace.source import Batch, Report

Place: TypeAlias = tuple[str, int]

BATCH, BATCH_BYTES = 2000, 1024 * 1024
"""Records of one poll, at most; and about how many bytes, since what is polled at once is written in one step."""
SCAN_SECONDS = 3.0
"""How often to look for new topics and partitions, which also shows that the cluster is there."""
GROUP_SECONDS = 1.0
"""How often the group's offsets are committed, for tools to see."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to read: globs of topics, where to begin without a position, the group that tools see, and which share."""

    topics: Sequence[str]
    start: Start = "earliest"
    group: str = ""
    share: Share = ALL


class KafkaReader:
    """A `Source[StoredRecord]`. Its position is `{"<topic>-<partition>": next offset}`."""

    def __init__(self, clients: Clients, topics: Topics, subscription: Subscription) -> None:
        self._clients = clients
        self._topics = topics
        self._subscription = subscription
        self._matches = topic_matcher(subscription.topics)
        self._consumer: Consumer | None = None
        self._names: dict[Place, str] = {}
        self._next: dict[str, int] = {}
        self._offsets: dict[str, int] = {}
        self._targets: dict[str, int] = {}
        self._moved = False
        self._scanned_at = self._told_at = 0.0
        self._acked: Position | None = None
        self._told: Position | None = None
        self._last_timestamp: int | None = None
        self._most = BATCH

    def open(self, resume_from: Position | None) -> None:
        """Find the partitions; those that appear later are read from their start.

        Raises `Fatal` where the position is past the end of a partition, or what follows it is gone.
        """
        self.close()
        self._offsets = {} if resume_from is None else offsets_of(resume_from)
        self._consumer = self._clients.consumer(self._subscription.group)
        self._scan(self._subscription.start if resume_from is None else "earliest")
        ends = self._topics.next_offsets(list(self._names))
        self._targets = {self._names[place]: end for place, end in ends.items()}
        for name, end in self._targets.items():
            if self._next[name] > end:
                raise Fatal(
                    f"read {name} from offset {self._next[name]}: it ends at {end}",
                    hint="the topic was made anew: build the destination anew, or set the sink's offset",
                )

    def poll(self, timeout: float) -> Batch[StoredRecord]:
        """Return the next records; waits at most `timeout` seconds."""
        consumer = self._opened()
        if time.monotonic() - self._scanned_at >= SCAN_SECONDS:
            self._scan("earliest")
        deadline = time.monotonic() + timeout
        while True:
            messages = consumer.consume(self._most, 0)
            if not messages and (first := consumer.poll(max(deadline - time.monotonic(), 0))) is not None:
                messages = [first, *consumer.consume(self._most, 0)]
            records, size = self._taken(messages)
            if records or self._moved:
                self._moved = False
                self._offsets = {**self._offsets, **self._next}
                return Batch(records, dict(self._offsets), size)
            if time.monotonic() >= deadline:
                return Batch()

    def ack(self, position: Position | None) -> None:
        """Let the group's offsets follow what is durable, about once a second."""
        self._acked = position
        if time.monotonic() - self._told_at >= GROUP_SECONDS:
            self._tell_group(wait=False)

    def close(self) -> None:
        """Release the consumer; safe after a failed `open`, and twice."""
        consumer = self._consumer
        if consumer is None:
            return
        with suppress(KafkaException):
            self._tell_group(wait=True)
        self._consumer = None
        consumer.close()
        self._names.clear()
        self._next.clear()
        self._targets.clear()
        self._acked = self._told = None

    def report(self) -> Report:
        """Return how far behind the ends of the partitions the reader is, as the client knows them."""
        ends = self._ends()
        behind = {name: max(ends.get(name, offset) - offset, 0) for name, offset in self._next.items()}
        caught_up = all(self._next[name] >= target for name, target in self._targets.items())
        lag_seconds = None if self._last_timestamp is None else max(time.time() - self._last_timestamp / 1000, 0.0)
        return Report(
            position=readable(self._next),
            server_position=readable(ends),
            lag_seconds=lag_seconds if any(behind.values()) else 0.0,
            heard_seconds=time.monotonic() - self._scanned_at,
            caught_up=caught_up,
            details={"lag_records": sum(behind.values()), "partitions": len(self._next)},
        )

    def _opened(self) -> Consumer:
        if self._consumer is None:
            raise Fatal("read from kafka with a reader that is not open")
        return self._consumer

    def _scan(self, start: Start) -> None:
        """Take up the partitions that are not read yet."""
        existing = self._topics.existing()
        share = self._subscription.share
        found = [(topic, number) for topic, count in sorted(existing.items()) if self._matches(topic)
                 for number in range(count) if share.has(topic, number)]  # fmt: skip
        self._scanned_at = time.monotonic()
        new = [place for place in found if place not in self._names]
        if not new:
            return
        fresh = [place for place in new if _name(place) not in self._offsets]
        begin = self._first_offsets(fresh, start)
        assigned = []
        for place in new:
            name = _name(place)
            self._names[place] = name
            self._next[name] = begin[place] if place in begin else self._offsets[name]
            assigned.append(TopicPartition(*place, self._next[name]))
        self._moved = self._moved or bool(fresh)
        self._opened().incremental_assign(assigned)

    def _first_offsets(self, places: list[Place], start: Start) -> dict[Place, int]:
        if start == "earliest":
            return self._topics.first_offsets(places)
        if start == "latest":
            return self._topics.next_offsets(places)
        return self._topics.offsets_at(places, start)

    def _taken(self, messages: Sequence[Message]) -> tuple[list[StoredRecord], int]:
        records: list[StoredRecord] = []
        size = 0
        names, following = self._names, self._next
        for message in messages:
            if message.error() is not None:
                self._hear(message)
                continue
            record = stored(message)
            records.append(record)
            size += len(record.key or b"") + len(record.value or b"")
            following[names[record.topic, record.partition]] = record.offset + 1
        if records:
            self._last_timestamp = records[-1].timestamp_ms
            self._most = max(1, min(BATCH, BATCH_BYTES * len(records) // max(size, 1)))
        return records, size

    def _hear(self, message: Message) -> None:
        """Take what is no record: the end of a partition, or an error."""
        error, place = message.error(), (cast("str", message.topic()), cast("int", message.partition()))
        assert error is not None
        if error.code() == KafkaError._PARTITION_EOF:
            name, end = self._names[place], cast("int", message.offset())
            self._moved = self._moved or end != self._next[name]  # past the marker of a transaction
            self._next[name] = max(self._next[name], end)
            return
        if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
            first = self._topics.first_offsets([place])[place]
            if (at := self._next[self._names[place]]) < first:
                raise OffsetsGone(*place, at, first)
            raise Fatal(f"read {_name(place)} from offset {at}: {error.str()}")
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise Retriable(f"read {_name(place)}: the topic is gone", hint="it was deleted while it was read")
        if not error.retriable():
            raise told(error, f"read {_name(place)}", name=place[0])

    def _ends(self) -> dict[str, int]:
        """Return where the partitions end, as the client heard it last."""
        consumer, ends = self._consumer, {}
        if consumer is None:
            return {}
        for place, name in self._names.items():
            with suppress(KafkaException):
                _, end = consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
                ends[name] = max(end, self._next[name])
        return ends

    def _tell_group(self, *, wait: bool) -> None:
        self._told_at = time.monotonic()
        if not self._subscription.group or self._acked is None or self._acked == self._told or self._consumer is None:
            return
        acked = self._acked
        offsets = [
            TopicPartition(*place, cast("int", acked[name])) for place, name in self._names.items() if name in acked
        ]
        if offsets and wait:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        elif offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        self._told = acked


def stored(message: Message) -> StoredRecord:
    """Return a message of the client as a record of the log."""
    _, timestamp = message.timestamp()
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or ())
    topic, partition, offset = cast("tuple[str, int, int]", (message.topic(), message.partition(), message.offset()))
    return StoredRecord(topic, partition, offset, timestamp, message.key(), message.value(), headers)


def _name(place: Place) -> str:
    return f"{place[0]}-{place[1]}"
