"""The demo's worker: `tailrace run` on the demo's config file, as a process of its own, just as a user runs it."""

from __future__ import annotations

import signal
import subprocess
import sys

from tailrace.demo.folder import DemoFolder
from tailrace.demo.guard import Guard
from tailrace.errors import Fatal

START = "import sys; from tailrace.cli.main import main; sys.argv[0] = 'tailrace'; main()"


class WorkerProcess:
    """Runs a worker on `folder`'s config file; its log goes to a file there."""

    def __init__(self, folder: DemoFolder) -> None:
        self._folder = folder
        with folder.worker_log.open("ab") as output:
            # A session of its own: Ctrl-C in our terminal is ours to hand on, once the shop has closed.
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, "run", str(folder.config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._guard = Guard(self._process.pid, signal.SIGTERM)

    def check(self) -> None:
        """Raise `Fatal`, with what the worker logged last, if it is gone."""
        if (code := self._process.poll()) is not None:
            raise Fatal(f"the worker ended with exit code {code}", hint=f"it logged:\n{self._logged()}")

    def stop(self, *, timeout: float = 40.0) -> int:
        """Have the worker drain, commit and end; return its exit code. Safe to call twice."""
        self._guard.dismiss()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _logged(self) -> str:
        lines = self._folder.worker_log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-15:])
