"""The worker's end of one task's process: starts it, reads its messages, signals it. Decides nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from pydantic import ValidationError

from tailrace.runtime.restart import Failure
from tailrace.runtime.spare import Process, start_process
from tailrace.runtime.state import TaskMessage

_READ = 65536
_EXIT = 0.2
"""Seconds between the end of a pipe and the end of its process, at most: the interpreter shuts down."""


class Child:
    """One process. It is in a group of its own, so that Ctrl-C in a terminal reaches the worker only.

    `process` is one of `module` that runs already, and waits. `payload` goes through a pipe, since it holds secrets:
    arguments and environment can be read by others.
    """

    def __init__(self, module: str, payload: str, process: Process | None = None) -> None:
        self._process = process or start_process(module)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._lifeline = self._process.stdin
        self._messages = self._process.stdout
        os.set_blocking(self._messages.fileno(), False)
        self._rest = b""
        self._silent = False
        with contextlib.suppress(BrokenPipeError):  # it died at once: its exit code will tell
            self._lifeline.write(payload.encode() + b"\n")
            self._lifeline.flush()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there are messages, or the process has ended."""
        return self._messages.fileno()

    def read(self) -> list[TaskMessage]:
        """Return the messages that have come, without waiting."""
        while True:
            try:
                part = os.read(self.fileno(), _READ)
            except BlockingIOError:
                break
            if not part:
                self._silent = True
                break
            self._rest += part
        *lines, self._rest = self._rest.split(b"\n")
        return [_message(line) for line in lines if line.strip()]

    def ended(self) -> int | None:
        """Return the exit code (negative: the signal), None while the process runs.

        A process that has closed its end is about to exit: it is waited for, or its pipe would be readable in vain.
        """
        if self._silent:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(_EXIT)
        return self._process.poll()

    def stop(self) -> None:
        """Ask for the drain."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Release the pipes of a process that has ended."""
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.close()
        self._messages.close()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)


def _message(line: bytes) -> TaskMessage:
    try:
        return TaskMessage.model_validate_json(line)
    except ValidationError:
        return TaskMessage(failure=Failure(kind="bug", message="task process wrote a message that cannot be read"))
