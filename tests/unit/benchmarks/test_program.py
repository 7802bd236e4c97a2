"""What a program took is what the kernel says of it and its children."""

from __future__ import annotations

import sys

import pytest

from program import Sample, Usage, run

BUSY = """
import subprocess, sys, time
end = time.process_time() + 0.2
while time.process_time() < end: pass
if sys.argv[1:]:
    data = bytearray(200 << 20)
    subprocess.run([sys.executable, *sys.orig_argv[1:-1]], check=True)
    print("done")
"""


def test_the_cpu_and_the_memory_of_a_program_and_its_child() -> None:
    usage = run([sys.executable, "-c", BUSY, "with a child"])
    assert usage.cpu >= 0.4
    assert usage.peak_mb >= 200
    assert usage.all_mb >= usage.peak_mb
    assert usage.said == "done\n"
    assert usage.client_cpu(usage.began, usage.ended) == pytest.approx(usage.cpu, abs=0.02)


def test_a_program_that_fails_is_told_with_its_words() -> None:
    with pytest.raises(SystemExit, match="ended with 3: so it is"):
        run([sys.executable, "-c", "import sys; print('so it is'); sys.exit(3)"])


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(SystemExit, match="did not end in time"):
        run([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.5)


def test_cpu_between_two_times() -> None:
    samples = [Sample(1.0, 0.5, 10.0), Sample(2.0, 1.0, 20.0), Sample(3.0, 2.5, 25.0)]
    usage = Usage(0.0, 4.0, 3.0, {}, samples, "")
    assert usage.client_cpu(1.5, 2.5) == 2.0
    assert usage.client_cpu(0.5, 3.5) == 3.0
    assert usage.server_cpu(2.0, 3.5) == 5.0
