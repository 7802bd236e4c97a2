"""The log that Tailrace bundles: Kafka's segment files in a folder, written and read by any number of processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tailrace.codec.registry import Registry
from tailrace.errors import Fatal
from tailrace.event import Record
from tailrace.log.backend import Backlog, PartitionInfo, Start, StoredRecord
from tailrace.log.reading import topic_matcher
from tailrace.log.store import disk
from tailrace.log.store.committed import last_state, open_journal, read_watermark
from tailrace.log.store.cursor import PartitionCursor
from tailrace.log.store.journal import TaskLock
from tailrace.log.store.layout import Layout, Place
from tailrace.log.store.openfiles import OpenFiles
from tailrace.log.store.owned import partition_count
from tailrace.log.store.partition import RECORD_BYTES
from tailrace.log.store.reader import FETCH_BYTES, BundledReader, OnMissing, Subscription
from tailrace.log.store.segment import log_path, segment_bases, segment_size
from tailrace.log.store.settings import BundledLogConfig
from tailrace.log.store.timestamps import offset_at
from tailrace.log.store.writer import BundledWriter
from tailrace.position import Position
from tailrace.sink import Sink
from tailrace.source import Finding, Source


class BundledLog:
    """A `LogBackend` in the folder `config.path`. Building one does no I/O."""

    Config: ClassVar[type[BundledLogConfig]] = BundledLogConfig

    def __init__(self, config: BundledLogConfig) -> None:
        self.config = config
        self.layout = Layout(config.path)

    @classmethod
    def at(cls, path: Path) -> BundledLog:
        """Return the log in a folder, with default settings: enough for reading."""
        return cls(BundledLogConfig(path=path))

    def check(self) -> Sequence[Finding]:
        """Look whether the folder can be written to."""
        path = self.config.path
        existing = next(folder for folder in (path, *path.parents) if folder.exists())
        if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
            return [Finding(ok=True, what=f"log folder {path} can be written to")]
        mend = f"give this user the right to write to {existing}"
        return [Finding(ok=False, what=f"log folder {path} cannot be written to", mend=mend)]

    def writer(self, prefix: str = "") -> Sink[Record]:  # noqa: ARG002 - positions are kept by task alone
        """Return a sink that commits records and position together."""
        return BundledWriter(self.config)

    def reader(
        self,
        topics: Sequence[str],
        *,
        start: Start = "earliest",
        task: str = "",  # noqa: ARG002 - nobody else looks
        on_missing: OnMissing = "fail",
    ) -> Source[StoredRecord]:
        """Return a source of the committed records of all topics that match the globs, new ones included.

        `on_missing` says what to do where the offsets to read are gone: raise `OffsetsGone`, or go on with the
        earliest that there are, with a warning.
        """
        return BundledReader(self.layout, Subscription(topics, start, on_missing))

    def records(self, topic: str, partition: int, offset: int) -> Iterator[StoredRecord]:
        """Yield the committed records from `offset` (or the first there is) up to the end as of the call.

        Raises `Fatal` for a partition that there is not, `OffsetsGone` where committed offsets are missing.
        """
        place = self._existing(topic, partition)
        first = segment_bases(place.folder)[:1]
        cursor = PartitionCursor(self.layout, place, max([offset, *first]), OpenFiles())
        cursor.refresh()
        return _drain(cursor)

    def backlog(self, topics: Sequence[str], position: Position) -> Backlog:
        """Return what follows a reader's position; of partitions that it does not name, all of it.

        Raises `Fatal` where what follows is gone or damaged.
        """
        matches, oldest, size, records = topic_matcher(topics), time.time() * 1000, 0, 0
        for place in self.layout.places():
            if not matches(place.topic):
                continue
            offset = position.get(place.name)
            start = offset if isinstance(offset, int) else min(segment_bases(place.folder)[:1], default=0)
            cursor = PartitionCursor(self.layout, place, start, OpenFiles())
            if not cursor.refresh():
                continue
            try:
                oldest = min(oldest, cursor.next_timestamp())
                size += cursor.bytes_behind()
                records += cursor.watermark - cursor.next_offset
            finally:
                cursor.park()
        return Backlog(size, time.time() - oldest / 1000 if size else 0.0, records)

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Return the offset of the first record that is not older than `timestamp_ms`, or the next offset."""
        return offset_at(self.layout, self._existing(topic, partition), timestamp_ms)

    def partitions(self) -> Sequence[PartitionInfo]:
        """Return all partitions of all topics, sorted."""
        return [self._info(place) for place in self.layout.places()]

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has: what lies on the disk, or what is configured for a new one."""
        return partition_count(self.layout, self.config, topic)

    def record_limit(self, topic: str) -> int:  # noqa: ARG002 - the same for all
        """Return the most that a record may take: a batch never spans two segments."""
        return RECORD_BYTES

    def registry(self) -> Registry:
        """Return the registry of the log's schemas, in the folder `registry`."""
        from tailrace.codec.registry_store import BundledRegistry

        return BundledRegistry(self.config.path / "registry")

    def positions(self) -> Mapping[str, Position | None]:
        """Return the position of the last commit of every task."""
        states = {task: last_state(self.layout, task) for task in self.layout.tasks()}
        return {task: state.position if state else None for task, state in states.items()}

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position of a task that is not running; raises `Fatal` while it runs.

        What the task wrote stays; without a position it goes on behind it, also where some of it is damaged.
        """
        folder = self.layout.journal(task)
        disk.make_directory(folder)
        lock = TaskLock(folder, task)
        try:
            if not lock.try_acquire():
                raise Fatal(
                    f"set the position of task {task}: it runs as process {lock.holder()}", hint="stop the worker first"
                )
            journal = open_journal(self.layout, task)
            journal.state.position = position
            journal.start()
            journal.close()
        finally:
            lock.release()

    def clean(self) -> None:
        """Make one pass of retention and compaction; safe beside writers and readers, in any process."""
        from tailrace.log.store.cleaner import Cleaner

        Cleaner(self.config).run_once()

    def _existing(self, topic: str, partition: int) -> Place:
        place = self.layout.place(topic, partition)
        if not place.folder.is_dir():
            raise Fatal(
                f"read {place.name} in {self.config.path}: there is no such partition",
                hint="`tailrace topics` lists what there is",
            )
        return place

    def _info(self, place: Place) -> PartitionInfo:
        watermark = read_watermark(self.layout, place)
        bases = segment_bases(place.folder)
        size = sum(segment_size(log_path(place.folder, base)) for base in bases)
        first = min([*bases[:1], watermark]) if bases else watermark
        return PartitionInfo(place.topic, place.partition, first, watermark, size)


def _drain(cursor: PartitionCursor) -> Iterator[StoredRecord]:
    try:
        while cursor.next_offset < cursor.watermark:
            records, _ = cursor.fetch(FETCH_BYTES)
            yield from records
    finally:
        cursor.park()
