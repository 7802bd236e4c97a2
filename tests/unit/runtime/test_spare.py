"""How the processes of a worker import."""

from __future__ import annotations

import subprocess
import sys

IMPORTS = """
import sys
from tailrace.runtime.spare import importing
with importing():
    from tailrace.runtime import process
assert "rich" not in sys.modules
import structlog.dev
import rich.console
assert sys.modules["rich"].console is rich.console
"""


def test_a_task_does_without_rich_and_plug_ins_can_have_it() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
