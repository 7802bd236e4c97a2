"""The log's sink: one task's records and positions, committed together over any number of partitions.

A commit is one batch in the task's journal. Before it, everything that it speaks of is on the disk; after it, the
watermarks of the partitions are moved and readers are told. So a crash at any point leaves the state before the
commit or the state after it, for all partitions at once. The argument: docs/decisions/0003-bundled-log-commit.md
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from tailrace.codec.encoded import EncodedRecords
from tailrace.errors import Fatal, Retriable
from tailrace.event import Record
from tailrace.log.store import disk
from tailrace.log.store.barrier import SyncBarrier
from tailrace.log.store.claim import recover
from tailrace.log.store.committed import open_journal
from tailrace.log.store.journal import Journal, TaskLock
from tailrace.log.store.layout import Layout
from tailrace.log.store.owned import OwnedPartitions, ends, stretches
from tailrace.log.store.partition import PartitionAppender
from tailrace.log.store.record import RecordBlock
from tailrace.log.store.settings import BundledLogConfig
from tailrace.log.store.watermark import Bell
from tailrace.position import Position

BUFFER_BYTES = 8 * 1024 * 1024
"""Records held in memory, over all partitions, before they go to the files uncommitted: a transaction of any size
takes no more memory than this."""


class BundledWriter:
    """A `Sink[Record]`. After any error it must be opened again, which undoes what was not committed."""

    def __init__(self, config: BundledLogConfig) -> None:
        self._config = config
        self._layout = Layout(config.path)
        self._session: _Session | None = None
        self._usable = False

    def open(self, task: str) -> Position | None:
        """Become `task`, cut what a crash left uncommitted, return the last commit's position.

        Raises `Retriable` while another process is the task, `Fatal` where committed data is missing.
        """
        self.close()
        with ExitStack() as stack:
            session = _Session(self._layout, self._config, task)
            stack.callback(session.close)
            position = session.start()
            stack.pop_all()
        self._session = session
        self._usable = True
        return position

    def write(self, items: Sequence[Record]) -> None:
        """Accept records in order; raises `Retriable` where the disk is full."""
        session = self._begin()
        if isinstance(items, EncodedRecords):
            session.write_encoded(items)
        else:
            session.write(items)
        self._usable = True

    def write_block(self, topic: str, partition: int, block: RecordBlock) -> None:
        """Accept records that are encoded already, all of one partition; they become one batch."""
        session = self._begin()
        session.write_block(topic, partition, block)
        self._usable = True

    def commit(self, position: Position) -> None:
        """Make all writes so far and `position` durable together; they can be read when this returns."""
        session = self._begin()
        session.commit(position)
        self._usable = True

    def close(self) -> None:
        """Release everything without committing."""
        session, self._session = self._session, None
        if session is None:
            return
        with ExitStack() as stack:
            stack.callback(session.close)
            if self._usable:
                session.settle()
        self._usable = False

    def _begin(self) -> _Session:
        """Every call that can fail half-way starts with this, and sets `_usable` again when it did not."""
        if self._session is None:
            raise Fatal("write to a log that is not open")
        if not self._usable:
            raise Retriable("write to the log after a failed write", hint="open it again")
        self._usable = False
        return self._session


class _Session:
    """A task from `open` to `close`."""

    def __init__(self, layout: Layout, config: BundledLogConfig, task: str) -> None:
        self._layout = layout
        self._fsync = config.fsync
        self._config = config
        self._task = task
        self._lock = TaskLock(layout.journal(task), task)
        self._journal: Journal
        self._partitions: OwnedPartitions
        self._bell: Bell
        self._touched: dict[PartitionAppender, None] = {}
        self._unsynced: dict[PartitionAppender, None] = {}
        self._buffered = 0
        self._synced_at = time.monotonic()
        self._barrier = SyncBarrier()
        self._resources = ExitStack()

    def start(self) -> Position | None:
        """Take the lock, make the journal durable by beginning a segment, settle all partitions."""
        folder = self._layout.journal(self._task)
        disk.make_directory(folder)
        disk.make_directory(self._layout.topics)
        self._resources.callback(self._lock.release)
        self._lock.acquire()
        self._journal = open_journal(self._layout, self._task)
        self._resources.callback(self._journal.close)
        # the last process may have died before its sync: readers are shown only what can no longer be lost
        self._journal.start()
        state = self._journal.state
        state.ends = recover(self._layout, self._task, state)
        self._partitions = OwnedPartitions(self._layout, self._config, self._task, state)
        self._resources.callback(self._partitions.close)
        self._resources.callback(self._barrier.close)
        self._bell = Bell(self._layout.bell)
        self._resources.callback(self._bell.close)
        self._bell.ring()
        return state.position

    def write(self, items: Sequence[Record]) -> None:
        """Take records into memory, and on to the files where they are many."""
        choose, touched = self._partitions.of, self._touched
        buffered = self._buffered
        for record in items:
            appender = choose(record)
            if appender not in touched:
                touched[appender] = None
            buffered += appender.add(record)
            if buffered >= BUFFER_BYTES:
                self._flush()
                buffered = 0
        self._buffered = buffered

    def write_encoded(self, items: EncodedRecords) -> None:
        """Take blocks into memory, and on to the files where they are many."""
        for block in items.blocks:
            appender = self._partitions.at(block.topic, block.partition)
            self._touched[appender] = None
            self._buffered += appender.extend(block)
            if self._buffered >= BUFFER_BYTES:
                self._flush()

    def write_block(self, topic: str, partition: int, block: RecordBlock) -> None:
        """Append a block behind whatever was written to its partition before."""
        appender = self._partitions.at(topic, partition)
        self._touched[appender] = None
        appender.flush()
        appender.append(block)

    def commit(self, position: Position) -> None:
        """Make data and journal durable, then show them by the watermarks.

        The journal comes after the data, or beside it with what tells whether the data is there.
        """
        if not self._touched and position == self._journal.state.position:
            return
        self._flush()
        self._unsynced |= self._touched
        due = self._sync_is_due()
        if due and self._may_sync_at_once():
            self._journal.append(position, ends(self._touched), stretches(self._touched), sync=False)
            self._sync([self._journal.sync])
        else:
            if due:
                self._sync([])
            self._journal.append(position, ends(self._touched), sync=due)
        for appender in self._touched:
            appender.publish()
        if self._touched:
            self._bell.ring()
            self._touched.clear()

    def settle(self) -> None:
        """At an orderly end: make durable what was committed since the last interval, and write the indexes."""
        if self._unsynced and self._fsync != "never":
            self._sync([])
            self._journal.sync()
        self._partitions.settle()

    def close(self) -> None:
        """Release locks and files."""
        self._resources.close()

    def _flush(self) -> None:
        for appender in self._touched:
            appender.flush()
        self._buffered = 0

    def _sync_is_due(self) -> bool:
        if isinstance(self._fsync, str):
            return self._fsync == "commit"
        return time.monotonic() - self._synced_at >= self._fsync

    def _may_sync_at_once(self) -> bool:
        """Whether one wait will do for data and journal: not where files are new, or other commits' data waits, too."""
        return (
            self._fsync == "commit"
            and self._journal.has_room
            and not any(appender.is_new() for appender in self._touched)
        )

    def _sync(self, also: Sequence[Callable[[], None]]) -> None:
        self._barrier.run([*also, *(appender.sync for appender in self._unsynced)])
        self._unsynced.clear()
        self._synced_at = time.monotonic()
