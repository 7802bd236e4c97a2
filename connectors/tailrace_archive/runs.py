"""Records that go the same way: cut into runs, so that what has to be found out is found out once for each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tailrace.codec.delivery import Delivery
from tailrace.codec.registry import AvroSchema
from tailrace.errors import BadRecord
from tailrace_archive.place import SLOT_MS

FRAME = 5
"""Octets before a value's Avro: zero, and the id of its schema."""

Kind: TypeAlias = "tuple[str, int, int, bytes | None]"
"""What records of one run have in common: topic, partition, quarter of an hour, frame; no frame for tombstones."""


def runs(
    items: Sequence[Delivery],
    time_of: Callable[[Delivery], int] | None,
    reject: Callable[[Delivery, BadRecord], None],
) -> Iterator[tuple[Kind, list[Delivery]]]:
    """Cut `items` into runs of one kind; without `time_of` the time is the record's own.

    Records that have no time go to `reject`.
    """
    run: list[Delivery] = []
    last: Kind = ("", 0, 0, None)
    for delivery in items:  # once for every record: this loop is a good part of what a sink costs
        topic, partition, _, timestamp, _, value, _ = delivery.record
        try:
            when = (timestamp if time_of is None else time_of(delivery)) // SLOT_MS
        except BadRecord as error:
            reject(delivery, error)
            continue
        kind = (topic, partition, when, value and value[:FRAME])
        if kind != last:
            if run:
                yield last, run
            run, last = [], kind
        run.append(delivery)
    if run:
        yield last, run


def schema_of(delivery: Delivery) -> tuple[int, AvroSchema]:
    """Return the writer's schema of the value, and its id; raises `BadRecord` where it has none."""
    found = delivery.writer_schema
    if found is None:
        raise BadRecord("the value is no Avro", hint="the archive needs connectors with `format: avro`")
    return found
