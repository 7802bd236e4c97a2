"""The compiled core and its Python twin write the same records, and refuse the same rows with the same words.

Both are driven through `ChangeEncoder` with rows of every type in wire form, sound, at the edges, and damaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given, settings

from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry import Registry
from tailrace.errors import BadRecord
from tailrace.event import Event, Record
from tailrace.source import SourceConfig
from unit.codec.numbers import Numbers
from unit.core.rows import batches

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


@pytest.fixture(scope="module")
def pair() -> Pair:
    """One pair for all examples: a table that comes again is known to the core then."""
    return Pair()


@settings(max_examples=500, deadline=None)
@given(events=batches())
def test_both_write_the_same(pair: Pair, events: list[Event]) -> None:
    for _ in range(2):  # the core takes over where a table is known
        assert outcome(pair.core, events) == outcome(pair.twin, events)
