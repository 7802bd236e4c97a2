"""A disk that can stop working at any step, and what it may hold after a power cut.

`Machine` stands between the store and the file system, by replacing the functions of `disk.py`. It counts the steps
that change something, can end the process at one of them (a write then takes effect up to some byte), and keeps book
of what is durable: the content of a file as of its last sync, the entries of a folder as of the folder's last sync.
`after_power_cut` makes a folder as a machine may find it when it comes back: of everything that was not durable, each
change may have reached the platter or not.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tailrace.log.store import disk


class Killed(BaseException):
    """The process ends here. No `Exception`: nothing may catch it."""


class _File:
    def __init__(self, durable: bytes = b"") -> None:
        self.durable = durable


class Machine:
    """A folder on a disk with a volatile cache; `kill_at` counts steps from now on, None lets everything pass."""

    def __init__(self, root: Path, *, seed: int = 0) -> None:
        self.root = root
        self.steps = 0
        self.kill_at: int | None = None
        self._random = random.Random(seed)
        self._files: dict[Path, _File] = {}
        self._durable_entries: dict[Path, dict[str, _File]] = {}
        self._real = {name: getattr(disk, name) for name in _PATCHED}

    def adopt(self) -> None:
        """Take what lies in the folder as durable."""
        for folder in (self.root, *(path for path in self.root.rglob("*") if path.is_dir())):
            paths = [path for path in folder.iterdir() if path.is_file()]
            for path in paths:
                self._files[path] = _File(path.read_bytes())
            self._durable_entries[folder] = {path.name: self._files[path] for path in paths}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the store work on this disk."""
        with mock.patch.multiple(disk, **{name: getattr(self, "_" + name) for name in _PATCHED}):
            yield

    def after_power_cut(self, target: Path, *, seed: int) -> None:
        """Make the folder `target` as the disk may be after a power cut now."""
        chance = random.Random(seed)
        self._restore(self.root, target, chance)

    def _restore(self, source: Path, target: Path, chance: random.Random) -> None:
        target.mkdir()
        durable = self._durable_entries.get(source, {})
        present = {path.name: file for path, file in self._files.items() if path.parent == source and path.exists()}
        for name in sorted(durable.keys() | present.keys()):
            old, new = durable.get(name), present.get(name)
            file = old if old is new or chance.random() < 0.5 else new
            if file is not None:
                (target / name).write_bytes(self._content(source / name, file, file is present.get(name), chance))
        for child in sorted(path for path in source.iterdir() if path.is_dir()):
            self._restore(child, target / child.name, chance)

    def _content(self, path: Path, file: _File, present: bool, chance: random.Random) -> bytes:
        now = path.read_bytes() if present else file.durable
        kind = chance.randrange(4)
        if kind == 0 or now == file.durable:
            return file.durable
        if kind == 1:
            return now
        cut = chance.randint(0, len(now))
        if kind == 2:
            return now[:cut] + file.durable[cut:]
        # the new length reached the disk, and only some of the bytes
        return (now[:cut] + file.durable[cut:]).ljust(len(now), b"\0")[: len(now)]

    def _step(self) -> bool:
        self.steps += 1
        return self.kill_at is not None and self.steps >= self.kill_at

    def _kill_if_due(self) -> None:
        if self._step():
            raise Killed

    def _open_file(self, path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
        changes = (flags & os.O_CREAT and not path.exists()) or flags & os.O_TRUNC
        if changes:
            self._kill_if_due()
        fd: int = self._real["open_file"](path, flags)
        if not path.is_dir():
            self._files.setdefault(path, _File())
        return fd

    def _write_at(self, fd: int, data: bytes, position: int, path: Path) -> None:
        if self._step():
            self._real["write_at"](fd, bytes(data)[: self._random.randint(0, len(data))], position, path)
            raise Killed
        self._real["write_at"](fd, data, position, path)

    def _write_parts_at(self, fd: int, parts: Sequence[bytes], position: int, path: Path) -> None:
        self._write_at(fd, b"".join(parts), position, path)

    def _truncate(self, fd: int, size: int, path: Path) -> None:
        self._kill_if_due()
        self._real["truncate"](fd, size, path)

    def _sync(self, fd: int, path: Path) -> None:
        self._kill_if_due()
        self._files[path].durable = os.pread(fd, os.fstat(fd).st_size, 0)

    def _sync_directory(self, folder: Path) -> None:
        self._kill_if_due()
        self._durable_entries[folder] = {
            path.name: file for path, file in self._files.items() if path.parent == folder and path.exists()
        }

    def _make_directory(self, folder: Path) -> None:
        if not folder.is_dir():
            self._kill_if_due()
        self._real["make_directory"](folder)

    def _remove(self, path: Path) -> None:
        if path.exists():
            self._kill_if_due()
        self._real["remove"](path)
        self._files.pop(path, None)

    def _rename(self, source: Path, target: Path) -> None:
        self._kill_if_due()
        self._real["rename"](source, target)
        self._files[target] = self._files.pop(source)


_PATCHED = (
    "open_file",
    "write_at",
    "write_parts_at",
    "truncate",
    "sync",
    "sync_directory",
    "make_directory",
    "remove",
    "rename",
)
