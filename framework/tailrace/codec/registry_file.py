"""A registry's entries in one append-only file that any number of processes read and write.

    <path>/registry.jsonl     one entry (registry_state.py) a line, as JSON, each followed by a newline
    <path>/registry.lock      held (flock) by whoever appends

A line counts once its newline is there. A crash can leave an unfinished last line: readers stop before it, and the
next writer cuts it off before it appends. Every append is fsynced before it is answered. What one process has read it
keeps; it looks for more when it is asked for something that it does not know, and before every decision to write.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tailrace.codec.registry_state import Decide, Entry, RegistryState
from tailrace.errors import Fatal, Retriable

_FILE_MODE = 0o644


class FileLedger:
    """Implements `Ledger` on a directory, which is made by the first entry."""

    def __init__(self, path: Path) -> None:
        self._directory = path
        self._file = path / "registry.jsonl"
        self._state = RegistryState()
        self._read = 0  # bytes of whole lines
        self._synced = 0

    @property
    def name(self) -> str:
        """The directory."""
        return str(self._directory)

    @property
    def state(self) -> RegistryState:
        """What the lines read so far add up to."""
        return self._state

    def refresh(self) -> None:
        """Read the lines that have been added since; raises `Fatal` where one is damaged."""
        try:
            with self._file.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._read:  # a writer took back what it could not sync
                    self._state, self._read = RegistryState(), 0
                file.seek(self._read)
                added = file.read()
        except FileNotFoundError:
            return
        whole = added[: added.rfind(b"\n") + 1]
        for line in whole.splitlines(keepends=True):
            self._apply(line)
            self._read += len(line)

    def change(self, decide: Decide) -> None:
        """Append what `decide` makes of the state; raises `Retriable` while the disk is full, `Fatal` if unwritable."""
        with self._locked() as descriptor:
            entries = decide(self._state)
            if entries:
                self._append(descriptor, entries)
            elif self._synced < self._read:  # whoever wrote what is there may have died before it was durable
                os.fsync(descriptor)
                self._synced = self._read

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Be the only writer, with all that others wrote read and an unfinished last line cut off."""
        with contextlib.ExitStack() as stack:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                lock = self._open(stack, "registry.lock")
                fcntl.flock(lock, fcntl.LOCK_EX)
                is_new = not self._file.exists()
                descriptor = self._open(stack, self._file.name)
                if is_new:
                    self._sync_directories()
                self.refresh()
                if os.fstat(descriptor).st_size > self._read:
                    os.ftruncate(descriptor, self._read)
                yield descriptor
            except OSError as error:
                raise _storage_error(self._directory, error) from error

    def _open(self, stack: contextlib.ExitStack, name: str) -> int:
        descriptor = os.open(self._directory / name, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        stack.callback(os.close, descriptor)
        return descriptor

    def _sync_directories(self) -> None:
        for directory in (self._directory, self._directory.parent):
            descriptor = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _append(self, descriptor: int, entries: Sequence[Entry]) -> None:
        octets = b"".join([json.dumps(entry, separators=(",", ":")).encode() + b"\n" for entry in entries])
        start = self._read
        written = 0
        try:
            while written < len(octets):
                written += os.pwrite(descriptor, octets[written:], start + written)
            os.fsync(descriptor)
            self._synced = start + written
        except OSError:
            with contextlib.suppress(OSError):  # lines that are not durable must not be read as if they were
                os.ftruncate(descriptor, start)
            raise
        self.refresh()

    def _apply(self, line: bytes) -> None:
        try:
            self._state.apply(json.loads(line))
        except (ValueError, LookupError, TypeError) as error:
            raise Fatal(
                f"registry {self._file} is damaged at byte {self._read}",
                hint="restore the file from a backup of the log directory",
            ) from error


def _storage_error(directory: Path, error: OSError) -> Retriable | Fatal:
    message = f"cannot write registry {directory}: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Retriable(message, hint="make space on the disk; the task goes on by itself", patient=True)
    return Fatal(message, hint="check the disk, and that the worker's user may write there")
