"""What errors of disks and stores mean: which pass, which need an operator, and what he is told."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import Fatal, Retriable, TailraceError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_CREDENTIALS = ("credential", "signaturedoesnotmatch", "invalidaccesskeyid", "authenticat", "authoriz", "token")


@contextmanager
def local_faults(folder: Path) -> Iterator[None]:
    """Turn errors of a local disk into ours, as faults of writing to `folder`."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise local_fault(error, folder) from error


def local_fault(error: OSError, folder: Path) -> TailraceError:
    """Return what an error of a local disk means."""
    told = f"write to {folder}: {error.strerror or type(error).__name__}"
    if error.errno in _FULL:
        return Retriable(told, hint="free space on that disk: the task goes on by itself", patient=True)
    if error.errno in _DENIED:
        return Fatal(told, hint="give the worker's user write access to the folder, and restart the task")
    return Retriable(told, hint="look at the disk and the kernel's log", patient=True)


@contextmanager
def store_faults(operation: str, url: str) -> Iterator[None]:
    """Turn errors of a remote store into ours, as faults of `operation` at `url`."""
    try:
        yield
    except (TailraceError, FileExistsError):
        raise
    except Exception as error:
        raise store_fault(error, operation, url) from error


def store_fault(error: BaseException, operation: str, url: str) -> TailraceError:
    """Return what an error of a store means: refused, not there, or away for now."""
    chain: list[BaseException] = []
    reached: BaseException | None = error
    while reached is not None and len(chain) < 10:
        chain.append(reached)
        reached = reached.__cause__ or reached.__context__
    text = " ".join(f"{type(each).__name__} {each}" for each in chain).lower()
    told = f"{f'{operation} {url}'.rstrip()}: {_first_line(error)}"
    if isinstance(error, PermissionError) or any(word in text for word in _CREDENTIALS):
        return Fatal(
            told, hint="check the credentials in `options`, and that they may read, write, list and delete there"
        )
    if isinstance(error, FileNotFoundError) or "nosuchbucket" in text:
        return Fatal(told, hint="create the bucket or container, or correct `path`")
    if isinstance(error, (OSError, TimeoutError)) or "connect" in text or "timeout" in text or "timed out" in text:
        return Retriable(told, hint="the store is away or slow: the task goes on by itself", patient=True)
    return Retriable(told, hint="the store refused it; see its own log")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
