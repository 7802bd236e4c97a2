"""What tests of Kafka as the log share: a log on a broker, records, and plain looks at topics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from servers.kafka_broker import KafkaCluster
from tailrace.event import Record
from tailrace.log.kafka.backend import KafkaLog
from tailrace.log.kafka.settings import KafkaLogConfig
from tailrace.position import Position
from tailrace.sink import Sink

TOPIC = "shop.public.orders"


def make_log(cluster: KafkaCluster, **settings: Any) -> KafkaLog:
    given = {"bootstrap_servers": cluster.bootstrap_servers, "offsets_partitions": 1, **settings}
    return KafkaLog(KafkaLogConfig.model_validate(given))


def record(number: int, *, topic: str = TOPIC) -> Record:
    return Record(topic, b"key-%d" % (number % 7), b"%d" % number, 1_700_000_000_000 + number)


@contextmanager
def writing(log: KafkaLog, task: str = "shop") -> Iterator[Sink[Record]]:
    with closing(log.writer()) as sink:
        sink.open(task)
        yield sink


def messages(cluster: KafkaCluster, topic: str, count: int, *, isolation: str = "read_committed") -> list[Message]:
    """Return the first messages of partition 0, as a consumer of anybody's sees them."""
    settings = {"bootstrap.servers": cluster.internal_servers, "group.id": "anybody", "isolation.level": isolation}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[Message] = []
    deadline = time.monotonic() + 120
    while len(found) < count and time.monotonic() < deadline:
        found += [message for message in consumer.consume(count - len(found), 0.2) if message.error() is None]
    consumer.close()
    return found


def positions(log: KafkaLog, count: int) -> dict[str, Position | None]:
    """Return the positions of all tasks, once there are `count`: brokers show a commit a little later."""
    deadline = time.monotonic() + 120
    while len(found := dict(log.positions())) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def stored(log: KafkaLog, count: int, topic: str = TOPIC) -> list[bytes | None]:
    """Return the values of all committed records, once there are `count`."""
    deadline = time.monotonic() + 120
    while True:
        places = [info for info in log.partitions() if info.topic == topic]
        values = [found.value for info in places for found in log.records(topic, info.partition, 0)]
        if len(values) >= count or time.monotonic() > deadline:
            return values
        time.sleep(0.02)
