"""Small pieces of what a log's reader has at once, for a sink that took too long over all of it.

A reader hands out about a megabyte, which over a very slow line is more than a sink gets through before it is taken for
stuck, and commits come between batches only. It costs some speed, so it is for tasks that have ended so before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from tailrace.event import StoredRecord
from tailrace.position import Position
from tailrace.source import Batch, Report, Reporting, Source

SLICE_BYTES = 64 * 1024


class Slices:
    """A `Source` of records in pieces of about `most` bytes. Positions are those of the readers of logs."""

    def __init__(self, source: Source[StoredRecord], most: int = SLICE_BYTES) -> None:
        self._source, self._most = source, most
        self._pieces: deque[Batch[StoredRecord]] = deque()

    def open(self, resume_from: Position | None) -> None:
        """Open the reader."""
        self._pieces.clear()
        self._source.open(resume_from)

    def poll(self, timeout: float) -> Batch[StoredRecord]:
        """Return the next piece; asks the reader only where there is none left."""
        if not self._pieces:
            self._pieces.extend(slices(self._source.poll(timeout), self._most))
        return self._pieces.popleft()

    def ack(self, position: Position | None) -> None:
        """Pass it on."""
        self._source.ack(position)

    def close(self) -> None:
        """Close the reader."""
        self._pieces.clear()
        self._source.close()

    def report(self) -> Report:
        """Return what the reader says, which has not caught up while there are pieces left."""
        told = cast("Reporting", self._source).report()
        return replace(told, caught_up=told.caught_up and not self._pieces)


def slices(batch: Batch[StoredRecord], most: int) -> Iterator[Batch[StoredRecord]]:
    """Cut a batch; the position of each piece but the last one has the offsets of what follows it in the batch."""
    ends, size = [], 0
    for place, record in enumerate(batch.items, 1):
        size += _size(record)
        if size >= most and place < len(batch.items):
            ends.append(place)
            size = 0
    if batch.position is None or not ends:
        yield batch
        return
    first: dict[str, int] = {}
    positions: deque[Position | None] = deque([batch.position])
    for begin, end in zip(reversed(ends), [len(batch.items), *reversed(ends)], strict=False):
        first.update({f"{each.topic}-{each.partition}": each.offset for each in reversed(batch.items[begin:end])})
        positions.appendleft({**batch.position, **first})
    for begin, end, position in zip([0, *ends], [*ends, len(batch.items)], positions, strict=True):
        items = batch.items[begin:end]
        yield Batch(items, position, sum(map(_size, items)))


def _size(record: StoredRecord) -> int:
    return len(record.key or b"") + len(record.value or b"")
