"""The archive sink: records become rows of files, files are published with the position that they reach up to.

A commit publishes everything, so that the loop's rule holds as it stands. It is the loop, too, that commits seldom
(`commit_interval`): in between, files grow where nobody looks. The position of the last publication is the archive's,
and a crash costs what was written since, which the log still has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import ClassVar, cast
from uuid import uuid4

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, TailraceError
from tailrace.position import Position
from tailrace.sink import SinkConfig
from tailrace.source import Finding
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.desk import Desk, Finished
from tailrace_archive.formats import format_of
from tailrace_archive.ledger import Entry, Ledger
from tailrace_archive.place import SLOT_MS, FieldTime, Folders
from tailrace_archive.runs import Kind, runs, schema_of
from tailrace_archive.stores import store_of
from tailrace_archive.writing import Target

OWN = "_tailrace"
"""The folder of ledgers. Hive, Spark and Arrow pass over names that begin with an underscore."""


class ArchiveSink:
    """`type: archive`."""

    Config: ClassVar[type[SinkConfig]] = ArchiveConfig
    shareable = True
    """Files of different partitions never meet, and each task has a ledger of its own."""

    def __init__(self, name: str, config: SinkConfig) -> None:
        self._name = name
        self._config = cast("ArchiveConfig", config)
        self._folder = f"{OWN}/{name}"
        self._store = store_of(self._config, self._folder)
        self._ledger = Ledger(self._store, self._folder)
        self._format = format_of(self._config)
        self._folders = Folders(self._config)
        self._time = FieldTime(self._config.time_field) if self._config.time_field else None
        self._reject: Callable[[Delivery, BadRecord], None] = _fail
        self._desk: Desk | None = None
        self._skipped: Counter[str] = Counter()

    def tell_with(self, alive: Callable[[], None]) -> None:
        """Take what is called for every file that has been staged, and moved."""
        self._ledger.alive = alive

    def reject_with(self, reject: Callable[[Delivery, BadRecord], None]) -> None:
        """Take what becomes of records that are no rows."""
        self._reject = reject

    def open(self, task: str) -> Position | None:
        """Become the writer, finish what a crash left half published, drop what it left half written."""
        self._skipped.clear()
        self._desk = Desk(self._store.open(task), self._format, self._config)
        self._desk.clear()
        return self._ledger.open(uuid4().hex)

    def write(self, items: Sequence[Delivery]) -> None:
        """Write records into files that nobody sees yet; tombstones tell what a delete told before, and are counted."""
        for kind, run in runs(items, self._time, self._reject):
            self._write(kind, run)

    def _write(self, kind: Kind, deliveries: Sequence[Delivery]) -> None:
        """Write records of one kind."""
        topic, partition, slot, head = kind
        if head is None:
            self._skipped[topic] += len(deliveries)
            return
        desk = self._opened()
        try:
            schema_id, schema = schema_of(deliveries[0])
            folder = self._folders.of(slot * SLOT_MS, partition)
            target = Target(topic, partition, folder, schema_id, schema)
            desk.begin(target)
        except BadRecord as error:
            for delivery in deliveries:
                self._reject(delivery, error)
            return
        desk.write(target, [each.record for each in deliveries], lambda at: self._refuse(deliveries[at]))

    def _refuse(self, delivery: Delivery) -> None:
        schema_id, _ = schema_of(delivery)
        self._reject(delivery, BadRecord(f"the value is not what its schema {schema_id} says, or fits no column"))

    def commit(self, position: Position) -> None:
        """Publish all files, and `position` with them."""
        entries = [self._stage(finished) for finished in self._opened().finish()]
        self._ledger.commit(position, entries, self._skipped)
        self._skipped.clear()

    def _stage(self, finished: Finished) -> Entry:
        target = finished.target
        staged = self._ledger.staged(finished.path.name)
        self._store.stage(finished.path, staged)
        self._ledger.alive()
        return Entry(
            finished.name, target.topic, target.partition, finished.first, finished.last, finished.rows,
            finished.bytes, target.schema_id, finished.first_timestamp, finished.last_timestamp, staged,
        )  # fmt: skip

    def _opened(self) -> Desk:
        assert self._desk is not None, "written to before it was opened"
        return self._desk

    def close(self) -> None:
        """Let go of everything, as it is."""
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        self._store.close()

    def position(self, task: str) -> Position | None:  # noqa: ARG002 - the name is the sink's
        """Return the position of the last commit."""
        with closing(self._store):
            return self._ledger.last().position

    def set_position(self, task: str, position: Position | None) -> None:
        """Enter a commit that publishes nothing but the position."""
        with closing(self._store):
            self._store.open(task)
            self._ledger.open(uuid4().hex)
            self._ledger.commit(position, [], {})

    def check(self) -> Sequence[Finding]:
        """Find out whether files can be created, moved, read and removed there."""
        try:
            self._try_out()
        except TailraceError as error:
            return [Finding(ok=False, what=error.message, mend=error.hint)]
        return [Finding(ok=True, what=f"archive {self._config.path} can be written")]

    def _try_out(self) -> None:
        """Take the way of a file, under a name that nobody else has."""
        trial = f"{self._folder}/trial-{uuid4().hex}"
        with closing(self._store):
            self._store.create(trial, b"tailrace check")
            try:
                self._store.move(trial, f"{trial}-moved")
                self._store.read(f"{trial}-moved")
            finally:
                self._store.remove(trial)
                self._store.remove(f"{trial}-moved")


def _fail(_: Delivery, error: BadRecord) -> None:
    raise error
