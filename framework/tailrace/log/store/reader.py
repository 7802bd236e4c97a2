"""The log's source: the committed records of many partitions, new topics included. Never locks, never writes.

Partitions are read in turns. Records of one partition come in the order of their offsets; between partitions there is
no order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import structlog

from tailrace.errors import Fatal
from tailrace.log.backend import OffsetsGone, Start, StoredRecord
from tailrace.log.reading import offsets_of, readable, topic_matcher
from tailrace.log.store.cursor import PartitionCursor
from tailrace.log.store.layout import Layout, Place
from tailrace.log.store.openfiles import OpenFiles
from tailrace.log.store.segment import segment_bases
from tailrace.log.store.timestamps import offset_at
from tailrace.log.store.watermark import Listener
from tailrace.position import Position
from tailrace.source import Batch, Report

log = structlog.get_logger()

OnMissing: TypeAlias = Literal["fail", "earliest"]


FETCH_BYTES = 1024 * 1024
"""Bytes of segments that one poll hands out, at most about: one full batch."""
NAP_SECONDS = (0.0001, 0.01)
"""Shortest and longest pause between two looks at the bell: each is a system call, 100 of them a second when idle."""
NAP_SHARE = 1 / 32
"""Of the time since something came: what came a millisecond ago is likely to come a millisecond from now."""
SCAN_SECONDS = 1.0
"""How often to look for new partitions, and at every watermark, also when the bell is silent: it is a hint."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to read: globs of topics, where to begin without a position, what to do where offsets are gone."""

    topics: Sequence[str]
    start: Start = "earliest"
    on_missing: OnMissing = "fail"


class BundledReader:
    """A `Source[StoredRecord]`. Its position is `{"<topic>-<partition>": next offset}`."""

    def __init__(self, layout: Layout, subscription: Subscription) -> None:
        self._layout = layout
        self._subscription = subscription
        self._matches = topic_matcher(subscription.topics)
        self._files = OpenFiles()
        self._cursors: dict[str, PartitionCursor] = {}
        self._offsets: dict[str, int] = {}
        self._moved = False
        self._targets: dict[str, int] = {}
        self._turn = 0
        self._last_timestamp: int | None = None
        self._bell = Listener(layout.bell)
        self._heard_at = 0.0
        self._folder_changed_at = 0
        self._scanned_at = 0.0

    def open(self, resume_from: Position | None) -> None:
        """Find the partitions; those that appear later are read from their start.

        Raises `Fatal` where the position is past the end of a partition, or what follows it is gone.
        """
        self.close()
        self._offsets = {} if resume_from is None else offsets_of(resume_from)
        self._moved = False
        self._scan(self._subscription.start if resume_from is None else "earliest")
        self._targets = {name: cursor.watermark for name, cursor in self._cursors.items()}

    def poll(self, timeout: float) -> Batch[StoredRecord]:
        """Return the next records, partition by partition; waits at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            self._look()
            records, size = self._gather()
            if self._moved:
                self._moved = False
                self._heard_at = time.monotonic()
                return Batch(records, dict(self._offsets), size)
            now = time.monotonic()
            if now >= deadline:
                return Batch()
            shortest, longest = NAP_SECONDS
            nap = min(max((now - self._heard_at) * NAP_SHARE, shortest), longest)
            time.sleep(min(nap, deadline - now))

    def ack(self, position: Position | None) -> None:
        """Nothing to do: retention does not wait for readers."""

    def close(self) -> None:
        """Release all files."""
        for cursor in self._cursors.values():
            cursor.park()
        self._cursors.clear()
        self._targets.clear()
        self._bell.close()

    def report(self) -> Report:
        """Return how far behind the watermarks the reader is, as of its last look at them."""
        cursors = self._cursors.values()
        return Report(
            position=readable({name: cursor.next_offset for name, cursor in self._cursors.items()}),
            server_position=readable({name: cursor.watermark for name, cursor in self._cursors.items()}),
            lag_bytes=sum(cursor.bytes_behind() for cursor in cursors),
            lag_seconds=self._lag_seconds(),
            caught_up=all(self._cursors[name].next_offset >= target for name, target in self._targets.items()),
            details={
                "lag_records": sum(max(cursor.watermark - cursor.next_offset, 0) for cursor in cursors),
                "partitions": len(cursors),
            },
        )

    def _lag_seconds(self) -> float | None:
        """Return the age of the record handed out last, 0 when nothing is left to read; None before the first."""
        if all(cursor.next_offset >= cursor.watermark for cursor in self._cursors.values()):
            return 0.0
        return None if self._last_timestamp is None else max(time.time() - self._last_timestamp / 1000, 0.0)

    def _gather(self) -> tuple[list[StoredRecord], int]:
        """Fetch from one partition after another until the batch is full."""
        records: list[StoredRecord] = []
        size = 0
        cursors = list(self._cursors.values())
        for step in range(len(cursors)):
            cursor = cursors[(self._turn + step) % len(cursors)]
            if cursor.next_offset >= cursor.watermark:
                continue
            fetched, taken = self._fetch(cursor, FETCH_BYTES - size)
            records = records + fetched if records else fetched
            size += taken
            self._offsets[cursor.place.name] = cursor.next_offset
            self._moved = True
            if size >= FETCH_BYTES:
                self._turn += step + 1
                break
        if records:
            self._last_timestamp = records[-1].timestamp_ms
        return records, size

    def _fetch(self, cursor: PartitionCursor, most: int) -> tuple[list[StoredRecord], int]:
        try:
            return cursor.fetch(most)
        except OffsetsGone as gone:
            if self._subscription.on_missing == "fail":
                raise
            cursor.skip_to_first()
            log.warning(
                "offsets are gone, reading on",
                partition=cursor.place.name,
                offset=gone.offset,
                first_available=cursor.next_offset,
            )
            return [], 0

    def _look(self) -> None:
        """Look at the bell, and only if it rang, or after a while, at the watermarks and for new partitions."""
        late = time.monotonic() - self._scanned_at >= SCAN_SECONDS
        if late:
            self._bell.close()  # so that a log that was restored meanwhile is heard, too
        if not self._bell.rang() and not late:
            return
        for cursor in self._cursors.values():
            cursor.refresh()
        topics = self._layout.topics
        changed_at = topics.stat().st_mtime_ns if topics.is_dir() else 0
        if late or changed_at != self._folder_changed_at:
            self._folder_changed_at = changed_at
            self._scan("earliest")

    def _scan(self, start: Start) -> None:
        """Take up the partitions that are not read yet."""
        self._scanned_at = time.monotonic()
        for place in self._layout.places():
            if place.name not in self._cursors and self._matches(place.topic):
                self._take_up(place, start)

    def _take_up(self, place: Place, start: Start) -> None:
        offset = self._offsets.get(place.name)
        cursor = PartitionCursor(self._layout, place, offset or 0, self._files)
        cursor.refresh()
        if offset is None:
            cursor.next_offset = self._first_offset(cursor, start)
            self._moved = True
        if cursor.next_offset > cursor.watermark:
            raise Fatal(
                f"read {place.name} from offset {offset}: the log ends at {cursor.watermark}",
                hint="the log was restored from an older copy or made anew: "
                "build the destination anew, or set the sink's offset",
            )
        self._offsets[place.name] = cursor.next_offset
        self._cursors[place.name] = cursor

    def _first_offset(self, cursor: PartitionCursor, start: Start) -> int:
        if start == "latest":
            return cursor.watermark
        if start == "earliest":
            return min([*segment_bases(cursor.place.folder)[:1], cursor.watermark])
        return offset_at(self._layout, cursor.place, start)
