"""The process of a server that we start, stop, kill and hold still at will, and that goes when we go."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tailrace.demo.guard import Guard
from tailrace.errors import Fatal


class ServerProcess:
    """One server's process, or none; it may be launched again once it has ended.

    `guard` is the signal that ends it where we are gone without having done so. Ended by its own number only.
    """

    def __init__(self, name: str, guard: signal.Signals = signal.SIGTERM) -> None:
        self.name = name
        self._sign = guard
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def pid(self) -> int:
        """Its process id; raises `Fatal` where there is none."""
        if self._process is None:
            raise Fatal(f"{self.name} is not running", hint="call start first")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    def launch(self, command: Sequence[str], log_file: Path, **options: Any) -> None:
        """Start it, what it says appended to `log_file`; `options` go to `subprocess.Popen`."""
        with log_file.open("ab") as output:
            # A session of its own: Ctrl-C in our terminal must reach its clients before it is gone.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options
            )
        self._guard = Guard(self._process.pid, self._sign)

    def end(self, sign: signal.Signals, *, timeout: float, late: signal.Signals = signal.SIGKILL) -> bool:
        """End it by a signal, by `late` if it is there after `timeout` seconds; return whether it needed none."""
        process, guard = self._process, self._guard
        self._process = self._guard = None
        if guard is not None:
            guard.dismiss()
        if process is None:
            return True
        process.send_signal(sign)
        process.send_signal(signal.SIGCONT)  # one that stands still hears of it no sooner
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(late)
            process.wait()
            return False
        return True

    def kill(self) -> None:
        """End it by signal 9."""
        self.end(signal.SIGKILL, timeout=60)

    def hold(self) -> None:
        """Let it stand still, connections open: to everybody it is deaf and mute."""
        os.kill(self.pid, signal.SIGSTOP)
        # Its threads stop one by one; this returns when all have.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def go_on(self) -> None:
        """End `hold`."""
        os.kill(self.pid, signal.SIGCONT)
