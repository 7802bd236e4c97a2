"""The partitions that a running task writes to: choosing, creating and claiming them."""

from __future__ import annotations

from collections.abc import Iterable

from tailrace.event import Record
from tailrace.log.store import disk
from tailrace.log.store.claim import claim
from tailrace.log.store.end import End
from tailrace.log.store.journal import JournalState
from tailrace.log.store.layout import Layout, Place
from tailrace.log.store.openfiles import OpenFiles, limit
from tailrace.log.store.partition import PartitionAppender
from tailrace.log.store.partitioner import partition_of
from tailrace.log.store.settings import BundledLogConfig
from tailrace.log.store.stretch import Stretch


class OwnedPartitions:
    """The appenders of one task. `state` is that of its journal, with the ends as `recover` left them."""

    def __init__(self, layout: Layout, config: BundledLogConfig, task: str, state: JournalState) -> None:
        self._layout = layout
        self._config = config
        self._task = task
        self._state = state
        self._files = OpenFiles(limit() // 2)  # each has two: batches and watermark
        self._counts: dict[str, int] = {}
        self._appenders: dict[tuple[str, int], PartitionAppender] = {}

    def of(self, record: Record) -> PartitionAppender:
        """Return the partition that a record goes to."""
        topic, number = record.topic, record.partition
        if number is None:
            count = self._counts.get(topic) or self._count(topic)
            number = 0 if count == 1 else partition_of(record.key, count)
        return self._appenders.get((topic, number)) or self.at(topic, number)

    def at(self, topic: str, number: int) -> PartitionAppender:
        """Return a partition by its number, created and claimed at the first touch."""
        appender = self._appenders.get((topic, number))
        if appender is None:
            place = self._layout.place(topic, number)
            self._create(topic, number)
            appender = PartitionAppender(place, self._claimed(place), self._config.for_topic(topic), self._files)
            self._appenders[topic, number] = appender
        return appender

    def _claimed(self, place: Place) -> End:
        # those in the journal were claimed and settled when the task was opened
        return self._state.ends.get(place.name) or claim(self._layout, place, self._task, self._state)

    def _count(self, topic: str) -> int:
        count = self._counts[topic] = partition_count(self._layout, self._config, topic)
        return count

    def _create(self, topic: str, number: int) -> None:
        """Make the folders of a topic, the last partition's first: however far it gets, it tells their number."""
        for each in reversed(range(max(self._count(topic), number + 1))):
            disk.make_directory(self._layout.place(topic, each).folder)

    def settle(self) -> None:
        """Write what is left of the indexes."""
        for appender in self._appenders.values():
            appender.settle()

    def close(self) -> None:
        """Release all files."""
        for appender in self._appenders.values():
            appender.close()
        self._appenders.clear()


def partition_count(layout: Layout, config: BundledLogConfig, topic: str) -> int:
    """Return the number of partitions of a topic: what lies on the disk, or what is configured for a new one."""
    existing = [place.partition for place in layout.places() if place.topic == topic]
    return max(existing) + 1 if existing else config.for_topic(topic).partitions


def ends(appenders: Iterable[PartitionAppender]) -> dict[str, End]:
    """Return the ends of partitions by name, as a journal keeps them."""
    return {appender.place.name: appender.end() for appender in appenders}


def stretches(appenders: Iterable[PartitionAppender]) -> dict[str, Stretch]:
    """Return what was appended to partitions since the last commit, by name, as a journal keeps it."""
    found = {appender.place.name: appender.stretch() for appender in appenders}
    return {name: stretch for name, stretch in found.items() if stretch is not None}
