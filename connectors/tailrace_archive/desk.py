"""The files that are being written: how many, how large, how much of them in memory; and those that are finished.

Nothing here is seen by readers. What is finished waits, with its final name, to be published.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from tailrace.core.stored import span
from tailrace.event import StoredRecord
from tailrace_archive.config import FilesConfig
from tailrace_archive.fault import local_faults
from tailrace_archive.place import file_name
from tailrace_archive.writing import Format, OpenFile, Target


@dataclass(frozen=True, slots=True)
class Finished:
    """A file that can be published: `path` is where it lies now, `name` its place in the archive."""

    path: Path
    name: str
    target: Target
    first: int
    last: int
    rows: int
    bytes: int
    first_timestamp: int
    last_timestamp: int


_VALUE = attrgetter("value")


class _Draft:
    """A file under construction, with what its name and its entry in the manifest will tell."""

    __slots__ = ("file", "first", "first_timestamp", "last", "last_timestamp", "path", "rows", "target", "used")

    def __init__(self, file: OpenFile, path: Path, target: Target) -> None:
        self.file, self.path, self.target = file, path, target
        self.first = self.last = -1
        self.first_timestamp = self.last_timestamp = 0
        self.rows = self.used = 0

    def note(self, records: list[StoredRecord], first: int, end: int) -> None:
        """Count the records from the place `first` to before `end` in."""
        least, most = span(records, first, end)
        if not self.rows:
            self.first, self.first_timestamp, self.last_timestamp = records[first].offset, least, most
        self.last = records[end - 1].offset
        self.first_timestamp = min(self.first_timestamp, least)
        self.last_timestamp = max(self.last_timestamp, most)
        self.rows += end - first


class Desk:
    """Where files are written. `folder` is on a local disk, and nobody else's."""

    def __init__(self, folder: Path, make: Format, config: FilesConfig) -> None:
        self._folder, self._make, self._config = folder, make, config
        self._drafts: dict[Target, _Draft] = {}
        self._finished: list[Finished] = []
        self._buffered = 0
        self._number = 0
        self._turn = 0
        self._group_bytes = max(config.buffer_bytes // 2, 1)

    def clear(self) -> None:
        """Begin anew with an empty folder."""
        self.close()
        self._drafts.clear()
        self._finished.clear()
        with local_faults(self._folder):
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, exist_ok=True)

    def begin(self, target: Target) -> None:
        """Have a file for records of `target`; raises `BadRecord` where no record of its schema can be written."""
        self._draft(target)

    def write(self, target: Target, records: list[StoredRecord], refuse: Callable[[int], None]) -> None:
        """Write records, all of one target, with a value each; `refuse` gets the place of one that cannot be."""
        values = list(map(_VALUE, records))
        first = 0
        while first < len(records):
            draft = self._draft(target)
            before = draft.file.buffered
            with local_faults(self._folder):
                end = draft.file.extend(records, values, first)
            self._buffered += draft.file.buffered - before
            if end > first:
                draft.note(records, first, end)
            if end < len(records):
                refuse(end)
            first = end + 1
            self._relieve(draft)

    def end(self, target: Target) -> None:
        """Finish the file of `target`, if there is one: what is written to it next is in a file behind it."""
        if target in self._drafts:
            self._end(target)

    def finish(self) -> list[Finished]:
        """Finish all files; return those that wait to be published, the finished before included, and forget them."""
        for target in list(self._drafts):
            self._end(target)
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Let go of all files as they are."""
        for draft in self._drafts.values():
            draft.file.discard()

    def _draft(self, target: Target) -> _Draft:
        self._turn += 1
        draft = self._drafts.get(target)
        if draft is None:
            if len(self._drafts) >= self._config.open_files:
                self._end(min(self._drafts.values(), key=lambda draft: draft.used).target)
            path = self._folder / f"{self._number:06}.{self._make.ending}-part"
            draft = self._drafts[target] = _Draft(self._make.open(path, target), path, target)
            self._number += 1
        draft.used = self._turn
        return draft

    def _relieve(self, draft: _Draft) -> None:
        """Write what is too much for the memory, the largest first; finish the file where it is full."""
        if draft.file.buffered >= self._group_bytes:
            self._flush(draft)
        while self._buffered >= self._config.buffer_bytes:
            self._flush(max(self._drafts.values(), key=lambda draft: draft.file.buffered))
        size = draft.file.written + draft.file.buffered
        if draft.rows >= self._config.roll_rows or size >= self._config.roll_bytes:
            self._end(draft.target)

    def _flush(self, draft: _Draft) -> None:
        before = draft.file.buffered
        with local_faults(self._folder):
            draft.file.flush()
        self._buffered -= before - draft.file.buffered

    def _end(self, target: Target) -> None:
        draft = self._drafts[target]
        buffered = draft.file.buffered
        if draft.rows:
            with local_faults(self._folder):
                draft.file.finish(draft.first, draft.last)
                size = draft.path.stat().st_size
            name = file_name(target.topic, target.partition, draft.first, draft.last, self._make.ending)
            self._finished.append(
                Finished(
                    draft.path, f"{target.topic}/{target.folder}/{name}", target, draft.first, draft.last,
                    draft.rows, size, draft.first_timestamp, draft.last_timestamp,
                )
            )  # fmt: skip
        self._buffered -= buffered
        del self._drafts[target]
