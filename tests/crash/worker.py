"""The worker as its users know it: a config file, the command `tailrace run`, signals, an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from tailrace.config.settings import load_settings
from tailrace.runtime.build import worker_folder
from tailrace.runtime.lock import worker_holding
from tailrace.runtime.state import read_state, state_file

TAILRACE = Path(sys.executable).parent / "tailrace"

CONNECTOR = "crash"


@dataclass(slots=True)
class Worker:
    """A worker on `folder`, where its config, its log and its output are; started and killed at will.

    `options` are added to the connector's settings; `sinks` are as in the config file.
    """

    folder: Path
    url: str
    tables: tuple[str, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    worker_options: Mapping[str, object] = field(default_factory=dict)
    log_options: Mapping[str, object] = field(default_factory=dict)
    sinks: Mapping[str, object] = field(default_factory=dict)
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / "tailrace.yaml"

    @property
    def log_path(self) -> Path:
        """Where the bundled log is."""
        return self.folder / "data"

    @property
    def output(self) -> Path:
        """What the worker wrote to stderr and stdout, over all its starts."""
        return self.folder / "worker.log"

    @property
    def running(self) -> bool:
        """Whether the worker's process is there."""
        return self._process is not None and self._process.poll() is None

    def write_config(self) -> None:
        """Write the config file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        connector = {"type": "postgres", "url": self.url, "tables": list(self.tables), **self.options}
        document = {
            "log": {
                **({} if "type" in self.log_options else {"type": "bundled", "path": "./data"}),
                **self.log_options,
            },
            "worker": dict(self.worker_options),
            "connectors": {CONNECTOR: connector},
            "sinks": dict(self.sinks),
        }
        self.config.write_text(yaml.safe_dump(document))

    def start(self, *arguments: str) -> None:
        """Start `tailrace run`."""
        assert not self.running, "one worker at a time"
        with self.output.open("ab") as output:
            # A session of its own: Ctrl-C on the harness ends the worker in order, by `stop`.
            self._process = subprocess.Popen(
                [str(TAILRACE), "run", str(self.config), *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.starts += 1

    def task_pids(self) -> list[int]:
        """The processes that the worker started."""
        if self._process is None:
            return []
        try:
            return [child.pid for child in psutil.Process(self._process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def wait_for_task(self, *, timeout: float) -> list[int]:
        """Wait until a task's process is there; return the processes, none when the time is over."""
        deadline = time.monotonic() + timeout
        while not (pids := self.task_pids()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return pids

    def wait_until_running(self, *, timeout: float) -> None:
        """Wait until each task runs by what the worker says, or the time is over: the rest is the caller's to judge.

        A task that is asked to stop while it still reaches out for a server that comes back may fail to drain.
        """
        deadline = time.monotonic() + timeout
        while self.states() != {"RUNNING"} and time.monotonic() < deadline:
            time.sleep(0.2)

    def states(self) -> set[str]:
        """Return the states of the tasks as the worker last wrote them; none while no worker runs."""
        folder = worker_folder(load_settings(self.config, only_log=True))
        state = read_state(state_file(folder))
        return {task.state for task in state.tasks} if state and worker_holding(folder) is not None else set()

    def kill(self, *, with_tasks: bool) -> None:
        """Kill the worker with signal 9, and its tasks too, or leave these to notice by themselves."""
        pids = self.task_pids() if with_tasks else []
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for pid in pids:
            send_signal(pid, signal.SIGKILL)

    def stop(self, *, timeout: float = 120.0) -> int:
        """Ask the worker to drain and end; return its exit code. Raises `TimeoutExpired`, and kills it then."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait(timeout=timeout)

    def wait(self, *, timeout: float) -> int:
        """Wait for the worker to end by itself; return its exit code. Raises `TimeoutExpired`, and kills it then."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill(with_tasks=True)
            raise

    def given_up(self) -> list[str]:
        """Return what the worker wrote of tasks that it did not start again."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return [line for line in text.splitlines() if " task failed " in line]

    def last_words(self, lines: int = 30) -> str:
        """Return the end of what the worker wrote."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Signal a process; return whether it was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
