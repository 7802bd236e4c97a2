"""A program run from start to end, with the time, the CPU and the memory that it and its children took.

Everything is read from `/proc` a few times a second, which costs less than a thousandth of a core: Linux only. CPU
comes in steps of ten milliseconds, memory is the kernel's own high-water mark of each process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.05  # seconds between looks: a client of a second's work is seen twenty times

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds used so far at a time (of `time.time`), by the program with all its children, and by the server."""

    at: float
    client: float
    server: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program took: times of `time.time`, CPU seconds, and the peak of each process's memory in bytes.

    `said` is what it wrote to stdout and stderr.
    """

    began: float
    ended: float
    cpu: float
    peaks: Mapping[int, int]
    samples: Sequence[Sample]
    said: str

    @property
    def peak_mb(self) -> float:
        """The most that one of the processes had resident."""
        return max(self.peaks.values(), default=0) / 2**20

    @property
    def all_mb(self) -> float:
        """The peaks of all processes together, whether they were at the same time or not."""
        return sum(self.peaks.values()) / 2**20

    def client_cpu(self, begin: float, end: float) -> float:
        """Return the CPU seconds that the program took between two times; what came behind the last look is in."""
        used = [(sample.at, sample.client) for sample in self.samples]
        return _between([*used, (self.ended, self.cpu)], begin, end)

    def server_cpu(self, begin: float, end: float) -> float:
        """Return the CPU seconds that the server took for the program between two times."""
        return _between([(sample.at, sample.server) for sample in self.samples], begin, end)


def run(
    command: Sequence[str],
    *,
    server_cpu: Callable[[], float] = lambda: 0.0,
    environment: Mapping[str, str] | None = None,
    timeout: float = 1800.0,
) -> Usage:
    """Run a program to its end; raises SystemExit, with what it said last, where that is not success.

    `server_cpu` gives the CPU seconds that the server has used for this client so far.
    """
    with tempfile.TemporaryFile() as output:
        began = time.time()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        samples: list[Sample] = []
        peaks: dict[int, int] = {}
        try:
            cpu = _watch(process, began + timeout, server_cpu, samples, peaks)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode != 0:
        raise SystemExit(f"{Path(command[0]).name} ended with {process.returncode}: {said[-3000:]}")
    return Usage(began, time.time(), cpu, peaks, samples, said)


def _watch(
    process: subprocess.Popen[bytes],
    deadline: float,
    server_cpu: Callable[[], float],
    samples: list[Sample],
    peaks: dict[int, int],
) -> float:
    """Look at the process until it ends; return the CPU seconds that it took, children that it waited for included."""
    while time.time() < deadline:
        tree = list(_tree(process.pid))
        for pid in tree:
            peaks[pid] = max(peaks.get(pid, 0), _peak(pid))
        samples.append(Sample(time.time(), sum(cpu_seconds(pid) for pid in tree), server_cpu()))
        ended, status, resources = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return resources.ru_utime + resources.ru_stime
        time.sleep(INTERVAL)
    raise SystemExit(f"{process.args!r} did not end in time")


def _between(used: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """Return what was used from the last look before `begin` to the first after `end`."""
    before = [cpu for at, cpu in used if at <= begin]
    until = [cpu for at, cpu in used if at >= end]
    return (until[0] if until else used[-1][1]) - (before[-1] if before else 0.0)


def children(pid: int) -> Iterator[int]:
    """Give the children of a process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (thread / "children").read_text().split())


def command_line(pid: int) -> str:
    """Return what a process calls itself; empty when it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and the children that it waited for; 0 when it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        # The name in brackets may hold anything; behind it come the state and the numbers.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for child in children(pid):
        yield from _tree(child)


def _peak(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
