"""The files of an archive as of one commit: a snapshot that is consistent over all topics.

    python -m tailrace_archive.manifest ./archive --sink lake --topic shop.public.orders     a line for each file

Files of the very last commit may be on their way to their place still, for a moment; after a crash until the worker is
back. Who reads from another language does the same: take the last `_tailrace/<sink>/manifest/<n>.jsonl`, if there is
one, then the `files` of every `commits/<m>.json` with m > n.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import Fatal, TailraceError
from tailrace.position import Position
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.ledger import Entry, entry_of, manifest_line, read_commit
from tailrace_archive.store import Store
from tailrace_archive.stores import store_of


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files as of commit `sequence`; they hold every record of the log before `position`, which is by partition."""

    sequence: int
    position: Position | None
    files: tuple[Entry, ...]

    def of(self, topic: str) -> list[Entry]:
        """Return the files of one topic, by partition and offset."""
        files = [entry for entry in self.files if entry.topic == topic]
        return sorted(files, key=lambda entry: (entry.partition, entry.first))


def read_manifest(path: str, sink: str, options: Mapping[str, object] | None = None) -> Manifest:
    """Return the files of the archive at `path` as of its last commit.

    Raises `Fatal` where there is no such ledger, or a file of it cannot be read; while an archive is written, try again
    then: what two manifests make superfluous is removed.
    """
    config = ArchiveConfig.model_validate({"type": "archive", "topics": ["*"], "path": path, "options": options or {}})
    folder = f"_tailrace/{sink}"
    store = store_of(config, folder)
    try:
        manifest = _read(store, folder)
        if not manifest.sequence:
            known = ", ".join(store.names("_tailrace"))
            raise Fatal(
                f"read the ledger {folder} of the archive {path}: there is none",
                hint=f"sinks that have written there: {known}" if known else "no sink has written there yet",
            )
        return manifest
    finally:
        store.close()


def _read(store: Store, folder: str) -> Manifest:
    names = store.names(f"{folder}/commits")
    manifests = store.names(f"{folder}/manifest")
    files: list[Entry] = []
    sequence = 0
    if manifests:
        sequence = int(manifests[-1].partition(".")[0])
        lines = store.read(f"{folder}/manifest/{manifests[-1]}").splitlines()
        files = [entry_of(json.loads(line)) for line in lines]
    position: Position | None = None
    for name in names:
        number = int(name.partition(".")[0])
        if number < sequence:
            continue
        path = f"{folder}/commits/{name}"
        commit = read_commit(store.read(path), path)
        position = commit.position
        files += commit.files if number > sequence else ()
        sequence = number
    return Manifest(sequence, position, tuple(files))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the files."""
    parser = argparse.ArgumentParser(prog="python -m tailrace_archive.manifest", description="files of an archive")
    parser.add_argument("path", help="folder or url of the archive")
    parser.add_argument("--sink", required=True, help="name of the sink in the config file")
    parser.add_argument("--topic", help="only the files of this topic")
    parser.add_argument("--options", type=json.loads, default={}, help="of the store, as JSON")
    given = parser.parse_args(arguments)
    path = given.path if "://" in given.path else str(Path(given.path).absolute())
    try:
        manifest = read_manifest(path, given.sink, given.options)
    except TailraceError as error:
        parser.exit(1, f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
    for entry in manifest.of(given.topic) if given.topic else manifest.files:
        sys.stdout.write(manifest_line(entry).decode())


if __name__ == "__main__":
    main()
