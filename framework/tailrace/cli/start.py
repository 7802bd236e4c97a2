"""Where the command begins: a worker that is asked to stop before it has begun ends in good order.

A process manager can send SIGTERM while the worker still imports what it needs, and takes any other end for a crash.
It does not drain: nothing has been started yet. From then on the supervisor handles the signal.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1:2] == ["run"]:
        # At once, and not by an exception: that could be raised inside of somebody's `except`, and be lost.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from tailrace.cli import main as commands

    commands.main()
