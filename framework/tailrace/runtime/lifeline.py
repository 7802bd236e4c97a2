"""The pipe that a task's process shares with its worker: its end says that the worker is gone, its lines bring leases.

A lease is a time by `time.monotonic()`, which all processes of a machine share. Until then no other worker can have
been given the task; a process that hears of no later one ends itself, without a word: that is as safe as a crash.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable

FAILED = 1
"""Exit code of a process that could not drain."""


class Lifeline:
    """Watches the pipe `descriptor`. `lease` is the first one; None: this process needs none. `rest` was read already.

    A thread, since the loop may be deep in a call of libpq when the worker dies. It touches nothing of the task.
    """

    def __init__(self, descriptor: int, lease: float | None = None, rest: bytes = b"") -> None:
        self._descriptor = descriptor
        self._lease = lease
        self._rest = b""
        self._take(rest)

    def follow(self, ended: Callable[[], None], grace: float) -> None:
        """Call `ended` when the worker is gone; after `grace` seconds more end a process that has not drained."""

        def watch() -> None:
            while self._read():
                pass
            ended()
            deadline = time.monotonic() + grace
            time.sleep(max(0.0, (deadline if self._lease is None else min(deadline, self._lease)) - time.monotonic()))
            os._exit(FAILED)

        threading.Thread(target=watch, name="lifeline", daemon=True).start()

    def _read(self) -> bool:
        """Wait for a line; return whether the worker is still there. At the end of the lease, end the process."""
        wait = None if self._lease is None else max(0.0, self._lease - time.monotonic())
        readable, _, _ = select.select([self._descriptor], [], [], wait)
        if not readable:
            os.kill(os.getpid(), signal.SIGKILL)  # not an exit code: a worker that lives takes it for what it is
        data = os.read(self._descriptor, 4096)
        self._take(data)
        return bool(data)

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and self._lease is not None:
            self._lease = float(lines[-1])
