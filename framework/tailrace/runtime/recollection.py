"""What a source has written into a topic of its own, read back for it: see `tailrace.source.Recalling`."""

from __future__ import annotations

from collections.abc import Iterator

from tailrace.codec.decoder import Decoder
from tailrace.log.backend import LogBackend
from tailrace.source import Recalled


def recall(log: LogBackend, topic: str) -> Iterator[Recalled]:
    """Yield the committed records of `topic` from its start, decoded; raises `BadRecord` where one cannot be."""
    decoder = Decoder(log.registry())
    for place in log.partitions():
        if place.topic == topic:
            for record in log.records(topic, place.partition, place.first_offset):
                yield Recalled(decoder.value(record.key), decoder.value(record.value))
