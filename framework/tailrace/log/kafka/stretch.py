"""A stretch of topics: their committed records between two offsets of each partition, read once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TypeAlias, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tailrace.errors import TailraceError
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.fault import told

Place: TypeAlias = tuple[str, int]
"""Topic and partition."""

_MESSAGES = 1000


def read_stretch(
    clients: Clients, begin: Mapping[Place, int], end: Mapping[Place, int], *, patience: float, stalled: TailraceError
) -> Iterator[Message]:
    """Yield the messages of each partition from `begin` up to `end`, which it does not reach while a commit is open.

    Raises `stalled` when no partition has moved for `patience` seconds.
    """
    left = {place: offset for place, offset in end.items() if offset > begin[place]}
    if not left:
        return
    # Told to begin where there is nothing any more, for retention was quicker, it goes on with what there is.
    consumer = clients.consumer(settings={"auto.offset.reset": "earliest", "fetch.wait.max.ms": 50})
    try:
        consumer.assign([TopicPartition(*place, begin[place]) for place in left])
        yield from _read(consumer, left, patience, stalled)
    except KafkaException as error:
        raise clients.complaints.explain(
            error, "read from kafka", name=", ".join(topic for topic, _ in left)
        ) from error
    finally:
        consumer.close()


def _read(consumer: Consumer, left: dict[Place, int], patience: float, stalled: TailraceError) -> Iterator[Message]:
    moved_at = time.monotonic()
    reached: dict[Place, int] = {}
    while left:
        for message in consumer.consume(_MESSAGES, 0.1):
            place, offset = _follows(message)
            if offset > reached.get(place, -1):
                reached[place], moved_at = offset, time.monotonic()
            if message.error() is None and place in left and offset <= left[place]:
                yield message
            if offset >= left.get(place, offset + 1):
                del left[place]
        if left and time.monotonic() - moved_at > patience:
            raise stalled


def _follows(message: Message) -> tuple[Place, int]:
    """Return a message's partition, and the offset that follows it; raises what it says if that is an error."""
    place, offset = (cast("str", message.topic()), cast("int", message.partition())), cast("int", message.offset())
    error = message.error()
    if error is None:
        return place, offset + 1
    if error.code() == KafkaError._PARTITION_EOF:
        return place, offset
    raise told(error, f"read {place[0]}-{place[1]}", name=place[0])
