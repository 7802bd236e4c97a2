"""The worker's end of one of its processes: starts it, reads its messages, signals it. Decides nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from tailrace.runtime.restart import Failure
from tailrace.runtime.spare import Process, start_process

_READ = 65536
_UNSENT = 1024 * 1024
"""Bytes that may wait for a process to read them; more, and it is as good as dead."""
_EXIT = 0.2
"""Seconds between the end of a pipe and the end of its process, at most: the interpreter shuts down."""


class Message(BaseModel):
    """What any process of the worker may say; each kind of process has more to say."""

    failure: Failure | None = None


M = TypeVar("M", bound=Message)


class Child(Generic[M]):
    """One process, whose messages are of the class `says`.

    It is in a group of its own, so that Ctrl-C in a terminal reaches the worker only. `process` is one of `module` that
    runs already, and waits. `payload` goes through a pipe, since it holds secrets: arguments and environment can be
    read by others. The descriptors `inherited` stay open in it.
    """

    def __init__(
        self, module: str, payload: str, says: type[M], process: Process | None = None, inherited: Sequence[int] = ()
    ) -> None:
        self._says = says
        self._process = process or start_process(module, inherited)
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
        os.set_blocking(self._lifeline.fileno(), False)
        self._unsent = b""

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there are messages, or the process has ended."""
        return self._messages.fileno()

    def say(self, line: str) -> None:
        """Send a line more, without waiting: what the process does not take now goes with the next."""
        self._unsent += line.encode() + b"\n"
        try:
            self._unsent = self._unsent[os.write(self._lifeline.fileno(), self._unsent) :]
        except BlockingIOError:
            if len(self._unsent) > _UNSENT:
                self.kill()
        except BrokenPipeError:
            self._unsent = b""  # it has ended: its exit code will tell

    def read(self) -> list[M]:
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
        return [self._message(line) for line in lines if line.strip()]

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

    def wait(self, seconds: float) -> None:
        """Wait for the end; kill what takes longer."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

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

    def _message(self, line: bytes) -> M:
        try:
            return self._says.model_validate_json(line)
        except ValidationError:
            return self._says(failure=Failure(kind="bug", message="process wrote a message that cannot be read"))
