"""The topics of a cluster: which there are, with how many partitions, and new ones.

What is there is looked up without naming it: a broker set to do so makes a topic out of every name that it hears.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource, OffsetSpec, ResourceType, TopicMetadata
from confluent_kafka.cimpl import NewTopic

from tailrace.errors import Fatal, Retriable
from tailrace.log.kafka.client import PATIENCE, Clients
from tailrace.log.kafka.fault import code_of
from tailrace.log.kafka.settings import INTERNAL, KafkaTopicSettings

log = structlog.get_logger()

STEP = 3.0
"""Seconds after which a look that has no answer yet asks why: a refused login shows as silence."""

SETTLES = 10.0
"""Seconds in which brokers come to agree who leads a partition that is new, or has another leader."""
_UNSETTLED = {
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.OFFSET_NOT_AVAILABLE, KafkaError._NOENT,
}  # fmt: skip

_KAFKAS_OWN = {"__consumer_offsets", "__transaction_state", "__share_group_state"}


class Topics:
    """What is known of topics is kept; a topic that gets more partitions shows them after a restart of the task."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._config = clients.config
        self._counts: dict[str, int] = {}
        self._limits: dict[str, int] = {}

    def existing(self) -> dict[str, int]:
        """Return the partitions of every topic but Kafka's own, as of now."""
        return {
            name: len(topic.partitions)
            for name, topic in self._listed().items()
            if topic.partitions and name not in _KAFKAS_OWN
        }

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has, or will have once something is written to it."""
        if topic not in self._counts:
            existing = self.existing()
            self._counts[topic] = existing.get(topic, self._config.for_topic(topic).partitions)
        return self._counts[topic]

    def ensure(self, topic: str) -> int:
        """Return the partitions of a topic that there is from now on; raises `Fatal` where it may not be made."""
        settings = self._config.for_topic(topic)
        existing = self.existing()
        if topic in existing:
            self._check(topic, existing[topic])
            self._counts[topic] = existing[topic]
        else:
            self.create(topic, settings)
            self._counts[topic] = settings.partitions
        return self._counts[topic]

    def record_limit(self, topic: str) -> int:
        """Return a topic's max.message.bytes, its own or the brokers'; the topic is there from now on."""
        if topic not in self._limits:
            self.ensure(topic)
            self._limits[topic] = int(self._read_config(topic)["max.message.bytes"])
            log.info("size limit of records", topic=topic, bytes=self._limits[topic])
        return self._limits[topic]

    def batch_limit(self, topic: str) -> int | None:
        """Return max.message.bytes of a topic that is there; None where we may not ask."""
        if topic not in self._limits:
            try:
                self._limits[topic] = int(self._read_config(topic)["max.message.bytes"])
            except Fatal as error:
                log.warning("size limit of batches is not known", topic=topic, error=error.message, hint=error.hint)
                return None
        return self._limits[topic]

    def create(self, topic: str, settings: KafkaTopicSettings) -> None:
        """Create a topic, unless somebody else was quicker; raises `Fatal` where that is not allowed."""
        if not self._config.create_topics:
            raise Fatal(
                f"write to topic {topic}: there is none, and create_topics is false", hint=_command(topic, settings)
            )
        copies = -1 if settings.replication_factor is None else settings.replication_factor
        new = NewTopic(topic, settings.partitions, copies, config=settings.topic_config())
        try:
            self._clients.admin.create_topics([new], operation_timeout=PATIENCE, request_timeout=PATIENCE)[
                topic
            ].result()
        except KafkaException as error:
            if code_of(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._clients.complaints.explain(error, f"create topic {topic}", name=topic) from error
        self._wait_for(topic)
        log.info("topic created", topic=topic, partitions=settings.partitions, config=settings.topic_config())

    def _wait_for(self, topic: str) -> None:
        """Wait until a new topic can be seen: brokers hear of it one after the other."""
        deadline = time.monotonic() + PATIENCE
        while not _is_led(self._listed().get(topic)):
            if time.monotonic() > deadline:
                raise Retriable(f"create topic {topic}: it has not appeared for {PATIENCE:.0f} s", patient=True)
            time.sleep(0.02)

    def first_offsets(self, partitions: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the first offset that each partition has."""
        return self._offsets({place: OffsetSpec.earliest() for place in partitions})

    def next_offsets(self, partitions: list[tuple[str, int]], *, committed: bool = True) -> dict[tuple[str, int], int]:
        """Return where each partition ends: for readers of committed records, or (false) for everything."""
        return self._offsets({place: OffsetSpec.latest() for place in partitions}, committed=committed)

    def offsets_at(self, partitions: list[tuple[str, int]], timestamp_ms: int) -> dict[tuple[str, int], int]:
        """Return the offset of the first record that is not older, the next offset where there is none."""
        found = self._offsets({place: OffsetSpec.for_timestamp(timestamp_ms) for place in partitions})
        ends = self.next_offsets(partitions)
        return {place: ends[place] if offset < 0 else min(offset, ends[place]) for place, offset in found.items()}

    def _listed(self) -> dict[str, TopicMetadata]:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._clients.admin.list_topics(timeout=STEP).topics
            except KafkaException as error:
                reason = self._clients.complaints.explain(error, "list the topics of kafka")
                if not isinstance(reason, Retriable) or time.monotonic() >= deadline:
                    raise reason from error

    def _offsets(
        self, wanted: Mapping[tuple[str, int], OffsetSpec], *, committed: bool = True
    ) -> dict[tuple[str, int], int]:
        if not wanted:
            return {}
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        specs = {TopicPartition(*place): spec for place, spec in wanted.items()}
        deadline = time.monotonic() + SETTLES
        while True:
            try:
                offsets = self._asked(specs, level)
                break
            except KafkaException as error:
                if code_of(error).code() not in _UNSETTLED or time.monotonic() >= deadline:
                    raise self._clients.complaints.explain(error, "look up offsets in kafka") from error
                time.sleep(0.05)
        if missing := set(wanted) - set(offsets):
            raise Retriable(f"look up offsets in kafka: no answer for {sorted(missing)}")
        return offsets

    def _asked(self, specs: dict[TopicPartition, OffsetSpec], level: IsolationLevel) -> dict[tuple[str, int], int]:
        futures = self._clients.admin.list_offsets(specs, isolation_level=level, request_timeout=PATIENCE)
        offsets = {(place.topic, place.partition): future.result().offset for place, future in futures.items()}
        if OFFSET_INVALID in offsets.values():
            # The client asks the leaders that there are, and says of other partitions neither an offset nor an error.
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return offsets

    def _check(self, topic: str, count: int) -> None:
        """Raise `Fatal` where a topic that was there already would lose what a source has to remember."""
        if not topic.startswith(INTERNAL):
            return
        found = self._read_config(topic)
        limits = [name for name in ("retention.ms", "retention.bytes") if found.get(name, "-1") != "-1"]
        if count != 1 or limits or found.get("cleanup.policy", "delete") != "delete":
            raise Fatal(
                f"write to topic {topic}: it has {count} partitions, "
                + ", ".join(
                    f"{name}={found.get(name)}" for name in ("cleanup.policy", "retention.ms", "retention.bytes")
                ),
                hint="the topic must be kept whole: one partition, cleanup.policy=delete, retention.ms=-1, "
                "retention.bytes=-1",
            )

    def check_compacted(self, topic: str) -> None:
        """Raise `Fatal` where a topic that is to keep the last record of each key would forget it."""
        policy = self._read_config(topic).get("cleanup.policy", "delete")
        if policy != "compact":
            raise Fatal(
                f"use topic {topic}: its cleanup.policy is {policy}",
                hint=f"set it: kafka-configs --alter --topic {topic} --add-config cleanup.policy=compact",
            )

    def _read_config(self, topic: str) -> dict[str, str]:
        return self._describe(ConfigResource(ResourceType.TOPIC, topic), f"read the settings of topic {topic}", topic)

    def _describe(self, resource: ConfigResource, operation: str, name: str) -> dict[str, str]:
        deadline = time.monotonic() + SETTLES
        while True:
            try:
                (answer,) = self._clients.admin.describe_configs([resource], request_timeout=PATIENCE).values()
                return {entry.name: entry.value for entry in answer.result().values() if entry.value is not None}
            except KafkaException as error:
                # Brokers hear of a new topic one after the other, and any of them may be asked.
                if code_of(error).code() not in _UNSETTLED or time.monotonic() >= deadline:
                    raise self._clients.complaints.explain(error, operation, name=name) from error
                time.sleep(0.05)


def _is_led(topic: TopicMetadata | None) -> bool:
    return topic is not None and bool(topic.partitions) and all(each.leader >= 0 for each in topic.partitions.values())


def _command(topic: str, settings: KafkaTopicSettings) -> str:
    config = " ".join(f"--config {name}={value}" for name, value in settings.topic_config().items())
    copies = settings.replication_factor
    factor = "" if copies is None else f" --replication-factor {copies}"
    return f"create it: kafka-topics --create --topic {topic} --partitions {settings.partitions}{factor} {config}"
