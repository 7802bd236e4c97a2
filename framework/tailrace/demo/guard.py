"""Ends a process when we end without having done so: also after a `kill -9` of us, which runs no code of ours."""

from __future__ import annotations

import signal
import subprocess

# A shell that waits for a line from us. A pipe that closes without one means that we are gone.
WATCH = 'read -r word || kill -"$1" "$0"'


class Guard:
    """Watches over the process `pid` until dismissed."""

    def __init__(self, pid: int, sign: signal.Signals = signal.SIGINT) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", WATCH, str(pid), sign.name.removeprefix("SIG")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Call it off, before the process is ended and its number may become another's. Safe to call twice."""
        if self._shell.returncode is None:
            self._shell.communicate(b"done\n")
