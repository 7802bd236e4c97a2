"""Kafka as a `LogBackend`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from confluent_kafka import KafkaError, KafkaException

from tailrace.codec.registry import Registry
from tailrace.errors import Fatal, Retriable
from tailrace.event import Record
from tailrace.log.backend import Backlog, PartitionInfo, Start, StoredRecord
from tailrace.log.kafka.client import PATIENCE, Clients
from tailrace.log.kafka.ends import DistantEnds
from tailrace.log.kafka.fault import code_of
from tailrace.log.kafka.findings import findings
from tailrace.log.kafka.offsets import OffsetKey, OffsetsTopic, offset_of, position_of
from tailrace.log.kafka.reader import KafkaReader, Subscription, stored
from tailrace.log.kafka.seat import KafkaSeat, task_topic, workers_topic
from tailrace.log.kafka.settings import KafkaLogConfig
from tailrace.log.kafka.stretch import read_stretch
from tailrace.log.kafka.topics import Topics
from tailrace.log.kafka.writer import KafkaWriter
from tailrace.log.reading import offsets_of, place_of, topic_matcher
from tailrace.log.seat import Seat, Terms
from tailrace.log.share import ALL, Share
from tailrace.position import Position
from tailrace.sink import Sink
from tailrace.source import Finding, Source


class KafkaLog:
    """The log in a Kafka cluster. Building one does no I/O."""

    Config: ClassVar[type[KafkaLogConfig]] = KafkaLogConfig

    def __init__(self, config: KafkaLogConfig) -> None:
        self.config = config
        self._clients = Clients(config)
        self._topics = Topics(self._clients)
        self._ends = DistantEnds(self._clients)

    @property
    def commit_rest(self) -> float:
        """Seconds between transactions of a task that keeps up with its source."""
        return self.config.commit_rest

    def writer(self, prefix: str = "") -> Sink[Record]:
        """Return a sink that commits records and position together."""
        return KafkaWriter(self._clients, self._topics, prefix)

    def settle(self, task: str) -> None:
        """Abort the transaction that the last writer of `task` left open, which hides what lies behind it."""
        if not self.config.exactly_once:
            return
        name = self.config.of_group(task)
        try:
            self._clients.producer(name).init_transactions(PATIENCE)
        except KafkaException as error:
            raise self._clients.complaints.explain(error, f"open the transactions of {name}", name=name) from error

    def reader(self, topics: Sequence[str], *, start: Start = "earliest", task: str = "") -> Source[StoredRecord]:
        """Return a source of the committed records of all topics that match the globs, new ones included.

        With a task, its offsets are shown to Kafka's tools under the consumer group `<group>-<task>`.
        """
        return self.share(topics, ALL, start=start, task=task)

    def share(
        self, topics: Sequence[str], share: Share, *, start: Start = "earliest", task: str = ""
    ) -> Source[StoredRecord]:
        """Return a source of a share's partitions; all tasks show their offsets under one consumer group."""
        group = self.config.of_group(task) if task else ""
        return KafkaReader(self._clients, self._topics, Subscription(topics, start, group, share))

    def backlog(self, topics: Sequence[str], position: Position) -> Backlog | None:
        """Return how many records follow a reader's position, in the partitions that it names.

        As of a second or so ago; None before the first answer, and while the cluster is away. Bytes and time are not
        known. Offsets are counted, so that the marker of each transaction is a record, too, as Kafka's tools have it.
        """
        matches = topic_matcher(topics)
        offsets = {place_of(name): offset for name, offset in offsets_of(position).items()}
        offsets = {place: offset for place, offset in offsets.items() if matches(place[0])}
        ends = self._ends(offsets)
        if offsets.keys() - ends.keys():
            return None
        return Backlog(None, None, sum(max(ends[place] - offset, 0) for place, offset in offsets.items()))

    def records(self, topic: str, partition: int, offset: int) -> Iterator[StoredRecord]:
        """Yield the committed records from `offset` (or the first there is) up to the end as of the call."""
        place = self._existing(topic, partition)
        begin = max(offset, self._topics.first_offsets([place])[place])
        silent = Retriable(f"read {topic}-{partition}: kafka has said nothing for {PATIENCE:.0f} s", patient=True)
        ends = self._topics.next_offsets([place])
        return map(stored, read_stretch(self._clients, {place: begin}, ends, patience=PATIENCE, stalled=silent))

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Return the offset of the first record that is not older than `timestamp_ms`, or the next offset."""
        place = self._existing(topic, partition)
        return self._topics.offsets_at([place], timestamp_ms)[place]

    def partitions(self) -> Sequence[PartitionInfo]:
        """Return all partitions of all topics but Kafka's own, sorted. How many bytes they have is not known."""
        places = [
            (topic, number) for topic, count in sorted(self._topics.existing().items()) for number in range(count)
        ]
        firsts, nexts = self._topics.first_offsets(places), self._topics.next_offsets(places)
        return [PartitionInfo(*place, firsts[place], nexts[place], None) for place in places]

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has, or will have once something is written to it."""
        return self._topics.partition_count(topic)

    def record_limit(self, topic: str) -> int:
        """Return the topic's max.message.bytes; makes the topic, if need be, to ask it. Kept until the next start."""
        return self._topics.record_limit(topic)

    def registry(self) -> Registry:
        """Return the registry of the log's schemas."""
        if self.config.schema_registry is not None:
            from tailrace.codec.registry_client import ConfluentRegistry

            return ConfluentRegistry(self.config.schema_registry)
        from tailrace.codec.registry_store import BundledRegistry

        if self.config.registry_path is not None:
            return BundledRegistry(self.config.registry_path)
        from tailrace.log.kafka.registry_topic import TopicLedger

        return BundledRegistry(TopicLedger(self._clients, self._topics))

    def positions(self) -> Mapping[str, Position | None]:
        """Return the position of the last commit of every source."""
        positions = {key.connector: position_of(offset) for key, offset in self._offsets().all().items()}
        return {task: position for task, position in positions.items() if position is not None}

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position of a source; one that runs is fenced off, and goes on from the new position."""
        offsets = self._offsets()
        offsets.ensure()
        keys = [key for key in offsets.all() if key.connector == task] or [OffsetKey.of(task, task)]
        config = self.config
        producer = self._clients.producer(config.of_group(task) if config.exactly_once else None)
        try:
            if config.exactly_once:
                producer.init_transactions(PATIENCE)
                producer.begin_transaction()
            for key in keys:
                producer.produce(*offsets.record(key, None if position is None else offset_of(position)))
            if config.exactly_once:
                producer.commit_transaction(PATIENCE)
        except KafkaException as error:
            raise self._clients.complaints.explain(error, f"set the position of {task}", name=task) from error
        if producer.flush(PATIENCE):
            raise Retriable(f"set the position of {task}: kafka does not answer", patient=True)

    def check(self) -> Sequence[Finding]:
        """Look whether the cluster and its registry answer, and can keep what they are given."""
        # The bundled registry is a topic or a folder of ours: there is nobody to ask.
        registry = None if self.config.schema_registry is None else self.registry()
        return list(findings(self._clients, self._topics, registry))

    def seat(self, terms: Terms) -> Seat:
        """Return a seat in a group of workers."""
        return KafkaSeat(self._clients, self._topics, terms)

    def posted(self, group: str) -> Mapping[str, bytes]:
        """Return what the workers of a group have posted last."""
        topic = workers_topic(group)
        states: dict[str, bytes | None] = {}
        if topic in self._topics.existing():
            states = {(record.key or b"").decode(): record.value for record in self.records(topic, 0, 0)}
        return {worker: state for worker, state in states.items() if state is not None}

    def owner(self, group: str, task: str) -> str | None:
        """Return the worker that the group's coordinator has given a task."""
        try:
            described = self._clients.admin.describe_consumer_groups([group], request_timeout=PATIENCE)[group].result()
        except KafkaException as error:
            if code_of(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
                return None
            raise self._clients.complaints.explain(error, f"look up who runs {task}", name=group) from error
        topic = task_topic(group, task)
        for member in described.members:
            if any(place.topic == topic for place in member.assignment.topic_partitions):
                return str(member.client_id)
        return None

    def _offsets(self) -> OffsetsTopic:
        return OffsetsTopic(self._clients, self._topics)

    def _existing(self, topic: str, partition: int) -> tuple[str, int]:
        if partition >= self._topics.existing().get(topic, 0):
            raise Fatal(
                f"read {topic}-{partition} in kafka: there is no such partition",
                hint="`tailrace topics` lists what there is",
            )
        return topic, partition
