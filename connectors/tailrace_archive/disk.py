"""The archive on a local disk: rename is atomic, and fsync makes it last. A lock keeps a second writer out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BufferedWriter
from pathlib import Path
from uuid import uuid4

from tailrace.errors import Fatal
from tailrace_archive.fault import local_faults
from tailrace_archive.spool import lock


class DiskStore:
    """A `Store` in a folder, on any file system with POSIX's rename and locks."""

    def __init__(self, root: Path, own: str) -> None:
        self._root, self._own = root, own
        self._lock: BufferedWriter | None = None

    def open(self, task: str) -> Path:
        """Take the lock, which ends with the process."""
        folder = self._root / self._own
        self._lock = lock(folder, f"the archive {folder}", task)
        return folder / "writing"

    def stage(self, file: Path, path: str) -> None:
        """Make it durable; it is on the right disk already."""
        to = self._root / path
        with local_faults(to):
            _sync(file)
            to.parent.mkdir(parents=True, exist_ok=True)
            file.rename(to)
            _sync(to.parent)

    def move(self, path: str, to: str) -> bool:
        """Rename."""
        here, there = self._root / path, self._root / to
        with local_faults(there):
            new = _missing(there.parent, self._root)
            there.parent.mkdir(parents=True, exist_ok=True)
            try:
                here.rename(there)
            except FileNotFoundError:
                if not there.exists():
                    raise Fatal(f"publish {there}: the file is gone") from None
                return False
            for folder in {there.parent, *new}:
                _sync(folder)
        return True

    def create(self, path: str, data: bytes) -> None:
        """Write beside, then link: the name is there at once or not at all."""
        file = self._root / path
        beside = file.with_name(f".{uuid4().hex}")
        with local_faults(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with beside.open("xb") as new:
                    new.write(data)
                    new.flush()
                    os.fsync(new.fileno())
                self._link(beside, file)
            finally:
                beside.unlink(missing_ok=True)
            _sync(file.parent)

    def _link(self, beside: Path, file: Path) -> None:
        try:
            os.link(beside, file)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links; the lock keeps others out
            if file.exists():
                raise FileExistsError(file) from None
            beside.rename(file)

    def read(self, path: str) -> bytes:
        """Read."""
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError as error:
            raise Fatal(f"read {self._root / path}: there is no such file") from error

    def names(self, folder: str) -> Sequence[str]:
        """List."""
        try:
            return sorted(entry.name for entry in (self._root / folder).iterdir() if not entry.name.startswith("."))
        except FileNotFoundError:
            return []

    def remove(self, path: str) -> None:
        """Unlink."""
        (self._root / path).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _missing(folder: Path, root: Path) -> list[Path]:
    """Return the folders whose entries change when `folder` and those above it, up to `root`, are made."""
    changed: list[Path] = []
    while not folder.exists() and folder != root:
        folder = folder.parent
        changed.append(folder)
    return changed


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
