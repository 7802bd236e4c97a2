"""A task's process that is started before anybody knows the task: it imports while the worker reads its config.

Imports nothing heavy: that it begins at once is all that it is for. Worth half of the time that a worker needs until
its first task runs; later tasks, and tasks that are started again, have processes of their own.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeAlias

TASK_MODULE = "tailrace.runtime.launch"

Process: TypeAlias = "subprocess.Popen[bytes]"

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(4 * 1024 * 1024),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Lets glibc keep memory that is freed: batches come and go by the megabyte, and every page that went back to the
kernel costs a fault when the next batch needs it, a quarter of the CPU of rows of 4 KB. Arrow takes its memory there
too: an allocator of its own keeps what it had besides, 26 MB in the task of an archive.
Source: mallopt(3); Arrow's "Environment Variables"."""


@contextmanager
def importing() -> Iterator[None]:
    """Let the block import without the garbage collector: it finds nothing there, and takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def start_process(module: str, descriptors: Sequence[int] = ()) -> Process:
    """Start one of the worker's processes, which waits for a line on stdin that says what it is to do.

    It inherits `descriptors` of open files, under their numbers.
    """
    # -P: modules that happen to lie in the current directory are none of ours.
    command = [sys.executable, "-P", "-m", module]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
        env={**ALLOCATOR, **os.environ},
        pass_fds=descriptors,
    )


class Spare:
    """Holds one process of `TASK_MODULE` until somebody takes it, or until the end of the block."""

    def __init__(self) -> None:
        self._process: Process | None = start_process(TASK_MODULE)

    def take(self) -> Process | None:
        """Return the process, once."""
        process, self._process = self._process, None
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (process := self.take()) is not None:
            process.kill()
            process.communicate()
