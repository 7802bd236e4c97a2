"""The worker's lock: one worker for one log folder. It is held by the open file, so it falls with the process."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from tailrace.errors import TailraceError


class WorkerLock:
    """An flock on `<folder>/worker.lock`; the file's content, the holder's pid, is for people and messages only."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "worker.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises `TailraceError` naming the pid of the worker that has it."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise TailraceError(f"cannot open worker lock {self._file}: {error.strerror}") from error
        if not _locked(descriptor):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise TailraceError(
                f"another worker (pid {holder or 'unknown'}) is running on {self._file.parent}",
                hint=f"stop it first (kill {holder or 'its pid'}), or give this worker's log another path",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; safe to call twice. The file stays: removing it would let two workers hold two files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def worker_holding(folder: Path) -> int | None:
    """Return the pid of the worker that runs on `folder`, if one does."""
    try:
        descriptor = os.open(folder / "worker.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Try to take the lock; more than once, since `worker_holding` may have it for an instant."""
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None
