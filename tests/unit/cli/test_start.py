"""SIGTERM while a command still imports what it needs."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

MEANWHILE = """
import os, signal, sys, time
from tailrace.cli.start import main

class AskedToStop:
    def find_spec(self, name, path, target=None):
        if name == "tailrace.cli.main":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(600)

sys.meta_path.insert(0, AskedToStop())
sys.argv = ["tailrace", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    ("arguments", "code"), [(("run", "shop.yaml"), 0), (("offsets", "reset", "shop.yaml"), -signal.SIGTERM)]
)
def test_a_worker_that_is_stopped_before_it_began_ends_in_good_order(arguments: tuple[str, ...], code: int) -> None:
    done = subprocess.run([sys.executable, "-c", MEANWHILE, *arguments], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (code, b"")
