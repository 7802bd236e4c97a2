"""Records that go the same way: cut into runs, so that what has to be found out is found out once for each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tailrace.codec.delivery import Delivery
from tailrace.codec.registry import AvroSchema
from tailrace.core.stored import alike
from tailrace.errors import BadRecord
from tailrace_archive.place import SLOT_MS

FRAME = 5
"""Octets before a value's Avro: zero, and the id of its schema."""

_CHUNK = 500

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
    for kind, part in _parts(items, time_of, reject):
        if kind != last:
            if run:
                yield last, run
            run, last = [], kind
        run.extend(part)
    if run:
        yield last, run


def _parts(
    items: Sequence[Delivery],
    time_of: Callable[[Delivery], int] | None,
    reject: Callable[[Delivery, BadRecord], None],
) -> Iterator[tuple[Kind, Sequence[Delivery]]]:
    for first in range(0, len(items), _CHUNK):
        chunk = items[first : first + _CHUNK]
        kind = _kind_of_all(chunk) if time_of is None else None
        if kind is None:
            yield from _one_by_one(chunk, time_of, reject)
        else:
            yield kind, chunk


def _kind_of_all(chunk: Sequence[Delivery]) -> Kind | None:
    """Return the kind of records that are all of one kind, as most are. None: they are not."""
    records = [each.record for each in chunk]
    first = records[0]
    frame = (first.value or b"")[:FRAME]
    if len(frame) < FRAME:
        return None
    slot = first.timestamp_ms // SLOT_MS
    if not alike(records, frame, slot * SLOT_MS, (slot + 1) * SLOT_MS):
        return None
    return first.topic, first.partition, slot, frame


def _one_by_one(
    chunk: Sequence[Delivery],
    time_of: Callable[[Delivery], int] | None,
    reject: Callable[[Delivery, BadRecord], None],
) -> Iterator[tuple[Kind, tuple[Delivery]]]:
    for delivery in chunk:
        topic, partition, _, timestamp, _, value, _ = delivery.record
        try:
            when = (timestamp if time_of is None else time_of(delivery)) // SLOT_MS
        except BadRecord as error:
            reject(delivery, error)
            continue
        yield (topic, partition, when, value and value[:FRAME]), (delivery,)


def schema_of(delivery: Delivery) -> tuple[int, AvroSchema]:
    """Return the writer's schema of the value, and its id; raises `BadRecord` where it has none."""
    found = delivery.writer_schema
    if found is None:
        raise BadRecord("the value is no Avro", hint="the archive needs connectors with `format: avro`")
    return found
