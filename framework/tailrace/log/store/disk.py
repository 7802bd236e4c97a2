"""The store's way to the file system.

Every change the store makes to a disk is one of these calls, so that each fault becomes the error that says what to do
about it, and a test can stop the world between any two of them. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import Fatal, Retriable, TailraceError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TOO_MANY = frozenset({errno.EMFILE, errno.ENFILE})

_sync_data = getattr(os, "fdatasync", os.fsync)
"""fdatasync also keeps the new length of a file that grew; macOS has fsync only."""


def fault(operation: str, path: Path, error: OSError) -> TailraceError:
    """Return the error that tells what `error` means to an operator."""
    reason = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return Retriable(
            f"{operation} {path}: {reason}, {_free_bytes(path)} bytes free",
            hint="free some space or raise the quota; nothing committed is lost, and the task goes on by itself",
            patient=True,
        )
    if error.errno in _TOO_MANY:
        return Retriable(
            f"{operation} {path}: {reason}", hint="raise the limit of open files (`ulimit -n`, LimitNOFILE in systemd)"
        )
    if error.errno == errno.EIO:
        return Retriable(
            f"{operation} {path}: {reason}",
            hint="the disk failed: look into the kernel's log; opening the log again checks what is committed",
        )
    return Fatal(f"{operation} {path}: {reason}", hint="check that the folder exists and may be written by this user")


def _free_bytes(path: Path) -> int:
    for folder in (path, *path.parents):
        if folder.exists():
            return shutil.disk_usage(folder).free
    return 0


def open_file(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Open `path` and return the descriptor."""
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise fault("open", path, error) from error


def open_existing(path: Path) -> int | None:
    """Open `path` for reading; return None where it is gone: a cleaner or a journal's writer may have removed it."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise fault("open", path, error) from error


def write_at(fd: int, data: bytes | bytearray, position: int, path: Path) -> None:
    """Write all of `data` at byte `position`; after an error any part of it may have been written."""
    view = memoryview(data)
    try:
        while view:
            written = os.pwrite(fd, view, position)
            view = view[written:]
            position += written
    except OSError as error:
        raise fault("write", path, error) from error


def write_parts_at(fd: int, parts: Sequence[bytes], position: int, path: Path) -> None:
    """Do as `write_at` with the parts one behind the other, without a copy of all."""
    try:
        written = os.pwritev(fd, parts, position)
    except OSError as error:
        raise fault("write", path, error) from error
    if written < sum(map(len, parts)):
        write_at(fd, b"".join(parts)[written:], position + written, path)


def read_at(fd: int, size: int, position: int, path: Path) -> bytes:
    """Return `size` bytes at `position`, fewer at the end of the file."""
    try:
        return os.pread(fd, size, position)
    except OSError as error:
        raise fault("read", path, error) from error


def file_size(fd: int) -> int:
    """Return the length of an open file in bytes."""
    return os.fstat(fd).st_size


def truncate(fd: int, size: int, path: Path) -> None:
    """Cut an open file to `size` bytes."""
    try:
        os.ftruncate(fd, size)
    except OSError as error:
        raise fault("truncate", path, error) from error


def sync(fd: int, path: Path) -> None:
    """Make a file's bytes durable.

    After an error the kernel may have dropped the dirty pages and report success next time, so this is never tried
    twice: the caller gives up its descriptors and starts again from what the disk has.
    """
    try:
        _sync_data(fd)
    except OSError as error:
        raise fault("sync", path, error) from error


def sync_directory(folder: Path) -> None:
    """Make the creation, renaming and removal of files in `folder` durable."""
    fd = open_file(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        raise fault("sync", folder, error) from error
    finally:
        os.close(fd)


def make_directory(folder: Path) -> None:
    """Create `folder` and its parents where they are missing, durably."""
    if folder.is_dir():
        return
    make_directory(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise fault("create", folder, error) from error
    sync_directory(folder.parent)


def remove(path: Path) -> None:
    """Remove a file; one that is gone already is fine."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise fault("remove", path, error) from error


def rename(source: Path, target: Path) -> None:
    """Put `source` in the place of `target` in one step; durable after `sync_directory`."""
    try:
        source.replace(target)
    except OSError as error:
        raise fault("rename", source, error) from error


def replace_file(path: Path, data: bytes) -> None:
    """Give `path` new content in one step: after a crash it has the old or the new, durably."""
    draft = path.with_name(path.name + ".new")
    fd = open_file(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        write_at(fd, data, 0, draft)
        sync(fd, draft)
    finally:
        os.close(fd)
    rename(draft, path)
    sync_directory(path.parent)


def read_file(path: Path) -> bytes | None:
    """Return a whole file, None if there is none."""
    fd = open_existing(path)
    if fd is None:
        return None
    try:
        size = file_size(fd)
        # not `path.read_bytes()`: watermarks are read so often that the layers of a file object count
        return read_at(fd, size, 0, path)
    finally:
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Take the exclusive lock of an open file or folder without waiting; the kernel drops it when `fd` is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, waiting for it; only for steps that are short."""
    fd = open_file(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
