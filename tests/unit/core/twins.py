"""The encoder with the compiled core and the one without, and what each makes of the same events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry import Registry
from tailrace.errors import BadRecord
from tailrace.event import Event, Record
from tailrace.source import SourceConfig
from unit.codec.numbers import Numbers

NOW_NS = 1_763_806_745_123_456_789


def outcome(encoder: ChangeEncoder, events: Sequence[Event]) -> list[object]:
    """What became of the events: their records, and the words about those that could not be encoded."""
    refused: list[object] = []

    def on_bad(_: Event, error: BadRecord) -> list[Record]:
        refused.append(error.message)
        return [Record("shop.dead", None, error.message.encode(), 5, [("why", None)])]

    records = encoder.encode(events, on_bad=on_bad)
    return refused + sorted(
        [(r.topic, index, r.key, r.value, r.timestamp_ms, tuple(r.headers)) for index, r in numbered(records)], key=repr
    )


def numbered(records: Sequence[Record]) -> list[tuple[int, Record]]:
    """Number the records of each topic: across topics the two need not agree on an order."""
    counts: dict[str, int] = {}
    numbers = []
    for record in records:
        counts[record.topic] = counts.get(record.topic, 0) + 1
        numbers.append((counts[record.topic], record))
    return numbers


class Pair:
    """An encoder with the core and one without, on one registry."""

    def __init__(self) -> None:
        registry = cast("Registry", Numbers())
        config = SourceConfig(type="postgres")
        self.twin = ChangeEncoder(registry, config, clock=lambda: NOW_NS)
        self.core = ChangeEncoder(registry, config, clock=lambda: NOW_NS, partitions=lambda _: 1)

    def agree(self, events: Sequence[Event]) -> bool:
        """Whether both make the same of the events."""
        return outcome(self.core, events) == outcome(self.twin, events)
