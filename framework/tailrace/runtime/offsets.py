"""Positions of sinks that cannot keep their own.

`FileOffsets`: one small file per task, replaced whole and synced. `LogOffsets`: beside those of the sources, in a log
that all workers reach.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tailrace.errors import Fatal, Retriable
from tailrace.event import Record
from tailrace.position import Position
from tailrace.sink import Sink


class LogOffsets:
    """An `OffsetStore` that is a writer of the log which writes positions and nothing else.

    Opening it fences whoever saved positions for the task before, as it does with a source's writer.
    """

    def __init__(self, writer: Sink[Record]) -> None:
        self._writer = writer

    def load(self, task: str) -> Position | None:
        """Become the only one to save for `task`; return the position saved last."""
        return self._writer.open(task)

    def save(self, task: str, position: Position) -> None:  # noqa: ARG002 - the one that was loaded
        """Commit it; raises `Retriable` or `Fatal` where another has taken the task over."""
        self._writer.commit(position)


class FileOffsets:
    """An `OffsetStore` in a folder: `<folder>/<task>.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, task: str) -> Position | None:
        """Return the position saved last; raises `Fatal` where the file is damaged."""
        file = self._file(task)
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            position = json.loads(text)
        except ValueError:
            position = None
        if not isinstance(position, dict):
            raise Fatal(
                f"cannot read position of task {task} from {file}",
                hint="restore the file, or remove it to load everything from the start of the log again",
            )
        return position

    def save(self, task: str, position: Position) -> None:
        """Replace the file; what it says is durable when this returns."""
        file = self._file(task)
        draft = file.with_suffix(".tmp")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as opened:
                json.dump(position, opened)
                opened.flush()
                os.fsync(opened.fileno())
            draft.replace(file)
            _sync_folder(file.parent)
        except OSError as error:
            raise Retriable(f"cannot save position of task {task} to {file}: {error.strerror}", patient=True) from error

    def remove(self, task: str) -> None:
        """Forget the position."""
        self._file(task).unlink(missing_ok=True)

    def tasks(self) -> dict[str, Position | None]:
        """Return all positions."""
        return {file.stem: self.load(file.stem) for file in sorted(self._folder.glob("*.json"))}

    def _file(self, task: str) -> Path:
        return self._folder / f"{task}.json"


def sink_offsets(folder: Path) -> FileOffsets:
    """Return where the positions of sinks are kept that cannot keep their own."""
    return FileOffsets(folder / "worker" / "offsets")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
