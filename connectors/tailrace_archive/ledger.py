"""The ledger of an archive: what has been published, up to which position, by whom.

    _tailrace/<sink>/commits/<sequence, 20 digits>.json     one commit: its position, and the files that it published
    _tailrace/<sink>/manifest/<sequence, 20 digits>.jsonl   all files up to a commit, one a line, now and then
    _tailrace/<sink>/staged/                                files on their way, invisible to readers

A commit is made in this order, and stands as soon as its second step does:

    1. every file is brought to `staged`, durably
    2. commits/<n>.json is created, which fails where there is one: then somebody else has become the writer
    3. every file is moved to its place

Who opens the ledger finishes the third step of the last commit, drops what was staged for none, and enters a commit of
his own: from then on whoever wrote before cannot commit any more. So files are published once or, of a commit that
never was, not at all, wherever the writer dies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from tailrace.errors import Fatal, Retriable
from tailrace.position import Position
from tailrace_archive.store import Store

log = structlog.get_logger()

FORMAT = 1
MANIFEST_EVERY = 100
"""Commits. A manifest is as long as the archive has files; commits are short."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A published file. `first` and `last` are offsets, `schema_id` is the registry's; times are those of the log."""

    path: str
    topic: str
    partition: int
    first: int
    last: int
    rows: int
    bytes: int
    schema_id: int
    first_timestamp_ms: int
    last_timestamp_ms: int
    staged: str = ""
    """Of a commit: where the file lay before."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit. `writer` is new whenever the ledger is opened; `skipped` counts tombstones by topic."""

    sequence: int
    writer: str
    position: Position | None
    files: tuple[Entry, ...] = ()
    skipped: Mapping[str, int] | None = None

    def text(self) -> bytes:
        """Return the commit as it is stored."""
        told = {
            "format": FORMAT,
            "sequence": self.sequence,
            "writer": self.writer,
            "time_ms": time.time_ns() // 1_000_000,
            "position": self.position,
            "skipped": dict(self.skipped or {}),
            "files": [asdict(entry) for entry in self.files],
        }
        return json.dumps(told, separators=(",", ":")).encode()


def read_commit(data: bytes, path: str) -> Commit:
    """Return a stored commit; raises `Fatal` for what is none."""
    try:
        told = json.loads(data)
        if told["format"] != FORMAT:
            raise Fatal(
                f"read {path}: format {told['format']}, known is {FORMAT}", hint="it was written by a later version"
            )
        files = tuple([entry_of(entry) for entry in told["files"]])
        return Commit(told["sequence"], told["writer"], told["position"], files, told["skipped"])
    except (ValueError, KeyError, TypeError) as error:
        raise Fatal(f"read {path}: it is no commit of an archive", hint="restore it from a backup") from error


def entry_of(told: Mapping[str, Any]) -> Entry:
    """Return the entry that JSON tells of, as of a commit or of a manifest."""
    return Entry(**told)


class Ledger:
    """The ledger of one sink in a store that is open. `folder` is its place there."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self.alive: Callable[[], None] = lambda: None
        """Called when a file has been staged, and moved."""
        self._last = Commit(0, "", None)
        self._manifest = 0

    def last(self) -> Commit:
        """Return the last commit, of number 0 where there is none. Changes nothing."""
        names = self._store.names(f"{self._folder}/commits")
        if not names:
            return Commit(0, "", None)
        path = f"{self._folder}/commits/{names[-1]}"
        return read_commit(self._store.read(path), path)

    def open(self, writer: str) -> Position | None:
        """Become the writer: finish and clean what a crash left; return the position of the last commit."""
        self._last = self.last()
        self._publish(self._last.files)
        for name in self._store.names(f"{self._folder}/staged"):
            self._store.remove(f"{self._folder}/staged/{name}")
        manifests = self._store.names(f"{self._folder}/manifest")
        self._manifest = int(manifests[-1].partition(".")[0]) if manifests else 0
        self._enter(Commit(self._last.sequence + 1, writer, self._last.position))
        return self._last.position

    def staged(self, name: str) -> str:
        """Return where a file of that name is staged; not by its ending, so that no pattern of a reader finds it."""
        return f"{self._folder}/staged/{self._last.writer}-{name}.staged"

    def commit(self, position: Position | None, files: Sequence[Entry], skipped: Mapping[str, int]) -> None:
        """Publish files that are staged, together with `position`."""
        number, writer = self._last.sequence + 1, self._last.writer
        self._enter(Commit(number, writer, position, tuple(files), skipped))
        self._publish(files)
        if self._last.sequence - self._manifest >= MANIFEST_EVERY:
            self._write_manifest()

    def _enter(self, commit: Commit) -> None:
        path = f"{self._folder}/commits/{commit.sequence:020}.json"
        try:
            self._store.create(path, commit.text())
        except FileExistsError as error:
            raise Retriable(
                f"commit {path}: another writer has taken the archive over",
                hint="only one worker may run this sink: stop the other one, or give this one another name",
            ) from error
        self._last = commit

    def _publish(self, files: Sequence[Entry]) -> None:
        for entry in files:
            self._store.move(entry.staged, entry.path)
            self.alive()

    def _write_manifest(self) -> None:
        """Write down all files up to the last commit, and drop what two manifests make superfluous."""
        commits, manifests = f"{self._folder}/commits", f"{self._folder}/manifest"
        before = self._store.read(f"{manifests}/{self._manifest:020}.jsonl") if self._manifest else b""
        numbers = [int(name.partition(".")[0]) for name in self._store.names(commits)]
        lines = [before]
        for number in numbers:
            if self._manifest < number <= self._last.sequence:
                path = f"{commits}/{number:020}.json"
                entries = read_commit(self._store.read(path), path).files
                lines += [manifest_line(entry) for entry in entries]
        self._store.create(f"{manifests}/{self._last.sequence:020}.jsonl", b"".join(lines))
        superfluous, self._manifest = self._manifest, self._last.sequence
        for number in numbers:
            if number <= superfluous:
                self._store.remove(f"{commits}/{number:020}.json")
        for name in self._store.names(manifests)[:-2]:
            self._store.remove(f"{manifests}/{name}")


def manifest_line(entry: Entry) -> bytes:
    """Return the line of a published file."""
    told = asdict(entry)
    del told["staged"]
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
