"""The position and the epoch in a destination that is a file, and the lock beside it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from tailrace.errors import Fatal, Retriable
from tailrace_replica.destination import held

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO}


class FileLock:
    """One writer for a task's file: held by the process until it ends, whatever way."""

    def __init__(self, file: Path, task: str) -> None:
        self._file = file.with_name(f"{file.name}.{task}.lock")
        self._task = task
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises `Retriable` while another has it or the disk is full, `Fatal` where it may not."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _refused(self._file, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise held(self._task) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; safe at any time."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def _refused(file: Path, error: OSError) -> Fatal | Retriable:
    text = f"cannot lock {file}: {error.strerror}"
    if error.errno in _FULL:
        return Retriable(text, hint="it is tried again until there is room", patient=True)
    return Fatal(text, hint=f"give this user the right to write to {file.parent}, or name another file in the url")
