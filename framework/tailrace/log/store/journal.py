"""A task's journal: one batch for each commit, and that batch is the commit.

Segment files as in a topic's partition. The key of each record is the task, the value JSON:

    {"position": …,                           where the source resumes, null after a reset
     "ends": {"shop.public.orders-0": [next offset, segment, size, last batch], …},
     "data": {"shop.public.orders-0": [first offset, byte, seal], …},
                                              batches that were not durable before this record was written
     "full": true}                            the ends of all partitions; else only of those that this commit moved

Every segment begins with a full record, and gets its name when that is durable, so that only the last one is needed
and older ones are removed. Opening a journal for writing always begins a segment: what the task builds on is then
durable for sure, also where the last process died of a failed sync. This file knows nothing of the partitions' own
files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tailrace.errors import Fatal, Retriable
from tailrace.event import Record
from tailrace.log.backend import StoredRecord
from tailrace.log.store import disk
from tailrace.log.store.batch import MAGIC, check_crc, decode_batch, encode_batch, read_header
from tailrace.log.store.end import End
from tailrace.log.store.record import BlockBuilder, CorruptBatch
from tailrace.log.store.segment import check_place, log_path, segment_bases
from tailrace.log.store.stretch import Stretch
from tailrace.position import Position

SEGMENT_BYTES = 256 * 1024
"""Small: the last segment is read as a whole, at every start and by everybody who asks for positions."""

_to_json = json.JSONEncoder(separators=(",", ":")).encode

DRAFT = ".log.new"
"""Ending of a segment until its first record is durable."""

_FULL_SHARE = 4
"""A segment may grow to this many times its full record, or tasks with many partitions would write little else."""

_MEND = (
    "restore the folder from a backup, or remove it and take a new snapshot "
    "(`tailrace offsets reset CONFIG --connector NAME`)"
)


@dataclass(slots=True)
class JournalState:
    """What the last commit said: the position, and the ends of all partitions. `next_offset` is the journal's own.

    `data` are the batches without which the last commit did not happen; then the state is `before()`.
    """

    position: Position | None = None
    ends: dict[str, End] = field(default_factory=dict)
    next_offset: int = 0
    data: Mapping[str, Stretch] = field(default_factory=dict)
    former: Former | None = None

    def before(self) -> JournalState:
        """Return what the commit before the last one said; only where the last one has `data`."""
        assert self.former is not None
        ends = {name: end for name, end in self.ends.items() if name not in self.former.ends}
        return JournalState(self.former.position, ends | self.former.known(), self.former.next_offset)


@dataclass(frozen=True, slots=True)
class Former:
    """What the last commit replaced; None: the end of a partition that the journal did not have."""

    position: Position | None
    ends: Mapping[str, End | None]
    next_offset: int

    def known(self) -> dict[str, End]:
        """Return the ends that there were."""
        return {name: end for name, end in self.ends.items() if end is not None}


def read_state(folder: Path) -> JournalState | None:
    """Return the state as of the last whole record, None where there is no journal yet; needs no lock.

    Whether that commit happened is not decided here: `committed.last_state` does.

    Raises `Fatal` where a record that was durable is damaged.
    """
    bases = segment_bases(folder)
    if not bases:
        return None
    path = log_path(folder, bases[-1])
    data = disk.read_file(path)
    if data is None:  # the writer began another segment meanwhile, which has it all
        return read_state(folder)
    state = _read_segment(data, path, bases[-1])
    if state is None:
        raise Fatal(f"read {path}: damaged at byte 0, commit {bases[-1]}", hint=_MEND)
    return state


def _read_segment(data: bytes, path: Path, base: int) -> JournalState | None:
    """Return the state at the end of a segment, None where not even its first record is whole."""
    state: JournalState | None = None
    at, offset = 0, base
    while at < len(data):
        try:
            header = read_header(data, at)
            batch = data[at : at + header.size]
            check_crc(header, batch)
        except CorruptBatch:
            _must_be_torn(data, at, offset, path)
            return state
        try:
            check_place(header, offset)
            state = _apply(state, decode_batch(header, batch, "", 0), header.next_offset)
        except (ValueError, KeyError, TypeError) as error:
            raise Fatal(f"read {path}: damaged at byte {at}, commit {offset}: {error}", hint=_MEND) from error
        at += header.size
        offset = header.next_offset
    return state


def _apply(state: JournalState | None, records: list[StoredRecord], next_offset: int) -> JournalState:
    for record in records:
        content = json.loads(record.value or b"")
        ends = {name: End.from_json(numbers) for name, numbers in content["ends"].items()}
        data = {name: Stretch.from_json(numbers) for name, numbers in content.get("data", {}).items()}
        if content.get("full"):
            state = JournalState(content["position"], ends)
        elif state is None:
            raise CorruptBatch("segment does not begin with a full record")
        elif not data.keys() <= ends.keys():
            raise CorruptBatch("data without an end")
        else:
            state.former = Former(state.position, {name: state.ends.get(name) for name in ends}, state.next_offset)
            state.position, state.data = content["position"], data
            state.ends.update(ends)
    if state is None:
        raise CorruptBatch("batch without a record")
    state.next_offset = next_offset
    return state


def _must_be_torn(data: bytes, at: int, offset: int, path: Path) -> None:
    """Raise `Fatal` where a sound batch follows the bad one: then it is no torn tail, and commits would be lost."""
    place = data.find(MAGIC, at + 17)
    while place >= 0:
        start = place - 16
        try:
            header = read_header(data, start)
            check_crc(header, data[start : start + header.size])
        except CorruptBatch:
            place = data.find(MAGIC, place + 1)
            continue
        raise Fatal(f"read {path}: damaged at byte {at}, commit {offset}", hint=_MEND)


def sync_journal(folder: Path) -> None:
    """Make what the journal says durable, before something is built on it by others than its writer."""
    for base in segment_bases(folder)[-1:]:
        path = log_path(folder, base)
        fd = disk.open_existing(path)
        if fd is None:  # the writer began another segment meanwhile
            sync_journal(folder)
            return
        try:
            disk.sync(fd, path)
        finally:
            os.close(fd)


class TaskLock:
    """The right to be a task: the lock of its journal, held until `release` or the end of the process.

    The journal's folder must exist.
    """

    def __init__(self, folder: Path, task: str) -> None:
        self._path = folder / "lock"
        self._task = task
        self._fd = -1

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        self._fd = disk.open_file(self._path)
        with ExitStack() as stack:
            stack.callback(self.release)
            if not disk.try_lock(self._fd):
                return False
            disk.truncate(self._fd, 0, self._path)
            disk.write_at(self._fd, str(os.getpid()).encode(), 0, self._path)
            stack.pop_all()
        return True

    def acquire(self) -> None:
        """Take the lock; raises `Retriable` naming the process that has it."""
        if not self.try_acquire():
            raise Retriable(
                f"open the log as task {self._task}: process {self.holder()} is this task already",
                hint="wait for it or stop it; a worker that is stopping lets go within seconds",
            )

    def holder(self) -> str:
        """Return the process id of whoever took the lock last."""
        return (disk.read_file(self._path) or b"").decode(errors="replace") or "unknown"

    def release(self) -> None:
        """Let go; safe when it is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Journal:
    """The journal of a running task; whoever makes one holds the `TaskLock`."""

    def __init__(self, folder: Path, task: str, state: JournalState) -> None:
        self._folder = folder
        self._task = task
        self._fd = -1
        self._path = folder
        self._size = 0
        self._limit = 0
        self.state = state

    @property
    def has_room(self) -> bool:
        """Whether the next `append` is one record more in the present segment."""
        return self._size < self._limit

    def start(self) -> None:
        """Begin a segment with all that is known, durable whatever the fsync policy; needed before `append`."""
        base = self.state.next_offset
        batch = self._encode(self.state.ends, {}, full=True)
        path = log_path(self._folder, base)
        draft = path.with_suffix(DRAFT)
        self.close()
        self._fd = disk.open_file(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self._path, self._size = path, len(batch)
        self._limit = max(SEGMENT_BYTES, _FULL_SHARE * len(batch))
        disk.write_at(self._fd, batch, 0, draft)
        disk.sync(self._fd, draft)
        # so a segment whose first record is not whole is damaged, and never just young
        disk.rename(draft, path)
        disk.sync_directory(self._folder)
        for old in segment_bases(self._folder):
            if old != base:
                disk.remove(log_path(self._folder, old))

    def append(
        self,
        position: Position | None,
        ends: Mapping[str, End],
        data: Mapping[str, Stretch] | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Commit: `position`, and `ends` of the partitions that moved. Returns when it is durable.

        With `data`, which need not be durable yet, there must be room; the commit has happened after `sync`, and once
        all of that is durable too.
        """
        self.state.position = position
        self.state.ends.update(ends)
        if not self.has_room:
            self.start()
            return
        batch = self._encode(ends, data or {}, full=False)
        disk.write_at(self._fd, batch, self._size, self._path)
        self._size += len(batch)
        if sync:
            self.sync()

    def sync(self) -> None:
        """Make durable what was appended without."""
        disk.sync(self._fd, self._path)

    def close(self) -> None:
        """Release the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _encode(self, ends: Mapping[str, End], data: Mapping[str, Stretch], *, full: bool) -> bytes:
        content: dict[str, object] = {
            "position": self.state.position,
            "ends": {name: end.to_json() for name, end in ends.items()},
        }
        if data:
            content["data"] = {name: stretch.to_json() for name, stretch in data.items()}
        if full:
            content["full"] = True
        block = BlockBuilder()
        value = _to_json(content).encode()
        block.add(Record("", self._task.encode(), value, time.time_ns() // 1_000_000))
        offset = self.state.next_offset
        self.state.next_offset = offset + 1
        return encode_batch(block.take(), offset)
