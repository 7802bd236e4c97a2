"""Records that their topic would refuse for their size, found before they are sent.

A log that meets one takes a whole transaction back, and says not which record it was. So with a policy other than to
fail, each record is measured as it is before compression, and an event that is too large gets its fate in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tailrace.codec.encoded import EncodedRecords
from tailrace.event import Event, Record
from tailrace.log.size import BATCH_OVERHEAD, RECORD_OVERHEAD, size_alone
from tailrace.runtime.stage import BadRecords, ChangeStage, RecordTooLarge

Limit = Callable[[str], int]
"""The most that a topic takes in one batch, in octets."""


class LimitedStage:
    """A `ChangeStage` whose records are measured; those that are too large are bad ones."""

    def __init__(self, stage: ChangeStage, bad_records: BadRecords, limit: Limit) -> None:
        self._stage = stage
        self._bad_records = bad_records
        self._limit = limit

    def __call__(self, events: Sequence[Event]) -> Sequence[Record]:
        """Return the records of `events`, in order; a dead letter, or nothing, in the place of what is too large."""
        counted = self._bad_records.count
        records = self._stage(events)
        if not self._has_large(records):
            return records
        self._bad_records.count = counted  # they are all met again
        return [record for event in events for record in self._of(event)]

    def _of(self, event: Event) -> Sequence[Record]:
        records = self._stage([event])
        for record in records:
            size, limit = size_alone(record.key, record.value, record.headers), self._limit(record.topic)
            if size > limit:
                error = RecordTooLarge(
                    f"write to {record.topic}: a record of {size} bytes, where the topic takes {limit}",
                    hint="raise the topic's max.message.bytes",
                )
                return self._bad_records(event, error)
        return records

    def _has_large(self, records: Sequence[Record]) -> bool:
        if not isinstance(records, EncodedRecords):
            return any(size_alone(each.key, each.value, each.headers) > self._limit(each.topic) for each in records)
        for block in records.blocks:
            limit = self._limit(block.topic)
            # Most blocks are smaller than what one record may be.
            if block.size + BATCH_OVERHEAD + RECORD_OVERHEAD > limit and any(
                size_alone(key, value, headers) > limit for key, value, _, headers in block.decoded()
            ):
                return True
        return False
