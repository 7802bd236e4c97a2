"""A worker's seat in a group of workers, by Kafka's consumer groups: who has a task's topic assigned runs the task.

    __tailrace-task.<group>.<task>    one partition and no records; its assignment is the task's
    __tailrace-workers.<group>        compacted; key: a worker, value: the state that it posted last

Each worker subscribes to the topics of the tasks in its own file, so that it is never given one that it does not know,
and Kafka's assignor spreads tasks as evenly as it would partitions. It is the cooperative one: a worker that comes or
goes does not disturb the tasks that stay where they are.

**The lease.** A member that the coordinator hears nothing of for the session's time-out is out, and others get what it
had. So a member commits an offset now and then. The coordinator takes that for a sign of life, and refuses it from
whoever is no member any more: if it was sent at t and answered well, we are a member until t + session at least, by our
own clock. The lease ends a quarter of the session earlier, so that tasks have ended by then.

Sources: KIP-429 (cooperative rebalancing), Kafka's `GroupMetadataManager` and `OffsetMetadataManager` (an offset commit
of a member starts its session's time-out anew), librdkafka's INTRODUCTION.md, chapter "Rebalancing".
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tailrace.errors import Fatal, TailraceError
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.fault import told
from tailrace.log.kafka.settings import INTERNAL, KafkaTopicSettings
from tailrace.log.kafka.topics import Topics
from tailrace.log.seat import Occupant, Terms

log = structlog.get_logger()

_LEASED = 0.75
"""Part of the session's time that a lease lasts from when it was asked for."""
_RENEWALS = 12
"""Leases asked for in a session's time: several may go unanswered before one ends."""
_FLUSH = 1.0
"""Seconds that a worker which leaves takes to withdraw its state."""
_STATE_HOURS = 24.0
"""States of workers that died without a word are forgotten after so long."""

_HARMLESS = {KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED}
"""Ends of empty partitions; and what is told to `on_lost` as well."""


def task_topic(group: str, task: str) -> str:
    """Return the topic whose assignment is a task's."""
    return f"{INTERNAL}task.{group}.{task}"


def workers_topic(group: str) -> str:
    """Return the topic of the workers' states."""
    return f"{INTERNAL}workers.{group}"


class KafkaSeat:
    """A `Seat`; its consumer connects with `join`."""

    def __init__(self, clients: Clients, topics: Topics, terms: Terms) -> None:
        self.lease = 0.0
        self._clients = clients
        self._topics = topics
        self._terms = terms
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._occupant: Occupant | None = None
        self._tasks: dict[str, str] = {}
        self._assigned: set[str] = set()
        self._asked: float | None = None
        self._ask_at = 0.0

    def join(self, tasks: Sequence[str], occupant: Occupant) -> None:
        """Make the topics that are missing, and subscribe; raises `Retriable` or `Fatal` where that fails."""
        self._occupant = occupant
        self._tasks = {task_topic(self._terms.group, task): task for task in tasks}
        self._make_topics()
        self._producer = self._clients.producer(None, {"linger.ms": 5, "queue.buffering.max.messages": 100})
        self._consumer = self._clients.consumer(self._terms.group, self._settings())
        self._consumer.subscribe(
            sorted(self._tasks), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self, timeout: float) -> None:
        """Wait for news of the group; the callbacks below run from within."""
        assert self._consumer is not None
        assert self._producer is not None
        message = self._consumer.poll(timeout)
        if message is not None and (error := message.error()) is not None and error.code() not in _HARMLESS:
            self._heed(error)
        self._producer.poll(0)
        if self._assigned and self._asked is None and time.monotonic() >= self._ask_at:
            self._ask()

    def renew(self) -> None:
        """Ask, and wait for the answer."""
        assert self._consumer is not None
        asked = time.monotonic()
        with suppress(KafkaException):
            self._consumer.commit(offsets=self._sign_of_life(), asynchronous=False)
            self._extend(asked)

    def post(self, state: bytes) -> None:
        """Send `state`; what cannot be sent now is old by the time it could."""
        self._produce(state)

    def leave(self) -> None:
        """Withdraw the state, and leave the group."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        self._produce(None)
        consumer.close()
        if self._producer is not None:
            self._producer.flush(_FLUSH)

    def _settings(self) -> dict[str, Any]:
        session = int(self._terms.session * 1000)
        return {
            "client.id": self._terms.worker,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session,
            # How soon a worker hears that another has come or gone.
            "heartbeat.interval.ms": max(100, min(500, session // 10)),
            # How long the group waits for one that has to give tasks back: for as long as it may drain them.
            "max.poll.interval.ms": session + int(self._terms.patience * 1000) + 10_000,
            # A question to a broker that fell silent must not keep the next one waiting for long.
            "socket.timeout.ms": max(1500, session // 4),
            "reconnect.backoff.max.ms": 500,
            "fetch.wait.max.ms": 100,
            "auto.offset.reset": "latest",
            "on_commit": self._on_commit,
        }

    def _make_topics(self) -> None:
        existing = self._topics.existing()
        copies = self._clients.config.replication_factor
        states = KafkaTopicSettings(
            replication_factor=copies,
            cleanup="compact,delete",
            retention_hours=_STATE_HOURS,
            config={"segment.ms": "3600000"},
        )
        wanted = {workers_topic(self._terms.group): states}
        wanted |= {topic: KafkaTopicSettings(replication_factor=copies) for topic in self._tasks}
        for topic, settings in wanted.items():
            if topic not in existing:
                self._topics.create(topic, settings)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        if partitions:
            consumer.pause(partitions)  # there is nothing to fetch
        self._assigned.update(partition.topic for partition in partitions)
        self._ask_at = 0.0
        self._sitting().gained(self._names(partitions))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._sitting().release(self._names(partitions))
        self._assigned.difference_update(partition.topic for partition in partitions)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.lease = 0.0
        self._sitting().lost(self._names(partitions))
        self._assigned.difference_update(partition.topic for partition in partitions)
        consumer.incremental_unassign(partitions)

    def _sitting(self) -> Occupant:
        assert self._occupant is not None
        return self._occupant

    def _names(self, partitions: list[TopicPartition]) -> list[str]:
        return [self._tasks[partition.topic] for partition in partitions]

    def _sign_of_life(self) -> list[TopicPartition]:
        return [TopicPartition(min(self._assigned), 0, 0)] if self._assigned else []

    def _ask(self) -> None:
        assert self._consumer is not None
        self._asked = time.monotonic()
        self._ask_at = self._asked + self._terms.session / _RENEWALS
        try:
            self._consumer.commit(offsets=self._sign_of_life(), asynchronous=True)
        except KafkaException as error:
            self._asked = None
            log.debug("cannot ask for a lease", error=str(error))

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        asked, self._asked = self._asked, None
        refused = error or next((partition.error for partition in partitions if partition.error), None)
        if refused is not None:
            log.debug("no lease", error=str(refused))
        elif asked is not None and self._assigned:
            self._extend(asked)

    def _extend(self, asked: float) -> None:
        self.lease = max(self.lease, asked + self._terms.session * _LEASED)

    def _produce(self, state: bytes | None) -> None:
        if self._producer is not None:
            with suppress(BufferError, KafkaException):
                self._producer.produce(workers_topic(self._terms.group), state, self._terms.worker.encode())

    def _heed(self, error: KafkaError) -> None:
        """Raise what waiting does not mend."""
        group = self._terms.group
        fault: TailraceError = told(error, f"share tasks in group {group}", name=group)
        if error.code() == KafkaError.INVALID_SESSION_TIMEOUT:
            fault = Fatal(
                f"share tasks in group {group}: the brokers allow no session of {self._terms.session:g} s",
                hint="raise worker.session_timeout, or lower the brokers' group.min.session.timeout.ms (6 s)",
            )
        if error.code() == KafkaError.INCONSISTENT_GROUP_PROTOCOL:
            fault = Fatal(
                f"share tasks in group {group}: other programs use it as their consumer group",
                hint="give worker.group a name of its own",
            )
        if isinstance(fault, Fatal):
            raise fault
        log.debug("group", error=error.str())
