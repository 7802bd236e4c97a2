"""A whole worker with a stranger's plug-ins: real processes, a real log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
import structlog

from tailrace.config.settings import load_settings
from tailrace.errors import TailraceError
from tailrace.runtime.build import build_log, plan_worker
from tailrace.runtime.logs import configure_logs, log_settings
from tailrace.runtime.state import TaskState, read_state, state_file
from tailrace.runtime.supervisor import Supervisor

pytestmark = pytest.mark.usefixtures("strangers")

CONFIG = """\
log: {type: bundled, path: ./log}
worker: {restart_delay: 0.05, restart_delay_max: 0.1, restart_limit: 3, watchdog: 120, stop_timeout: 60}
connectors:
  shop: {type: lines, file: ./shop.txt, heartbeat_interval: 0, password: "${env:LINES_PASSWORD}"}
"""

OTHER = "  other: {type: lines, file: ./other.txt}\n"
SINKS = """\
sinks:
  lake: {type: copy, topics: ["shop.*"], file: ./lake.txt}
  pond: {type: atomic, topics: ["shop.*", "other.*"], file: ./pond.txt}
"""
WATCHFUL = CONFIG.replace("watchdog: 120", "watchdog: 4")


class Workshop:
    """A folder with a config file, and workers that run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "worker.yaml"
        self.config.write_text(CONFIG)
        self.lines("shop", "a", "b", "c")
        self.started: list[subprocess.Popen[bytes]] = []

    def lines(self, name: str, *lines: str) -> None:
        with (self.folder / f"{name}.txt").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def run(self, *only: str, until_current: bool = True, log_format: str = "console") -> tuple[int, str]:
        """Run a worker in this process to its end."""
        logging = log_settings(log_format, "info")
        settings = load_settings(self.config)
        plan = plan_worker(settings, only=only, logging=logging, until_current=until_current)
        with self.stderr():
            configure_logs(logging, settings.secrets)
            deadline = time.monotonic() + 60
            with Supervisor(plan, until_current=until_current) as supervisor:
                while not supervisor.done:
                    assert time.monotonic() < deadline, self.logged()
                    supervisor.step(0.05)
            structlog.reset_defaults()
        return supervisor.exit_code, self.logged()

    @contextmanager
    def stderr(self) -> Iterator[None]:
        """Send what this process and its children write to stderr to the workshop's file."""
        before, kept = sys.stderr, os.dup(2)
        with (self.folder / "stderr.txt").open("a") as output:
            os.dup2(output.fileno(), 2)
            sys.stderr = output
            try:
                yield
            finally:
                sys.stderr = before
                os.dup2(kept, 2)
                os.close(kept)

    def restarted(self, times: int) -> bool:
        task = self.task()
        return task is not None and task.restarts == times

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / "stderr.txt").open("ab") as output:
            command = [sys.executable, "-c", "from tailrace.cli.main import main; main()", "run", str(self.config)]
            process = subprocess.Popen([*command, *options], stdout=output, stderr=output, cwd="/")
        self.started.append(process)
        return process

    def logged(self) -> str:
        return (self.folder / "stderr.txt").read_text()

    def texts(self, topic: str = "shop.lines") -> list[str]:
        log = build_log({"type": "bundled", "path": str(self.folder / "log")}, self.folder)
        registry = log.registry()
        from tailrace.codec.decoder import Decoder

        decoder = Decoder(registry)
        return [
            json.loads(json.dumps(decoder.plain(record.value)))["text"]
            for info in log.partitions()
            if info.topic == topic
            for record in log.records(topic, info.partition, info.first_offset)
        ]

    def task(self, name: str = "shop") -> TaskState | None:
        state = read_state(state_file(self.folder / "log"))
        return next((task for task in state.tasks if task.name == name), None) if state else None

    def wait(self, holds: Callable[[], object], seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"did not come to hold; the worker logged:\n{self.logged()}"
            time.sleep(0.05)

    def task_pid(self, name: str = "shop") -> int:
        self.wait(lambda: (task := self.task(name)) is not None and task.state == "RUNNING" and task.pid)
        task = self.task(name)
        assert task is not None
        assert task.pid is not None
        return task.pid


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setenv("LINES_PASSWORD", "Sesame-1234")
    monkeypatch.delenv("TAILRACE_LOG", raising=False)
    shop = Workshop(tmp_path)
    yield shop
    for process in shop.started:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_until_current_captures_what_is_there_and_ends(workshop: Workshop) -> None:
    assert workshop.start("--until-current").wait(120) == 0, workshop.logged()
    assert workshop.texts() == ["a", "b", "c"]
    workshop.lines("shop", "d")
    assert workshop.run()[0] == 0
    assert workshop.texts() == ["a", "b", "c", "d"]


def test_sinks_load_all_that_the_sources_captured(workshop: Workshop) -> None:
    workshop.lines("other", "x", "y")
    workshop.config.write_text(CONFIG + OTHER + SINKS)
    assert workshop.run()[0] == 0, workshop.logged()
    assert (workshop.folder / "lake.txt").read_text().splitlines() == [f"shop.lines {offset}" for offset in range(3)]
    *pond, position = (workshop.folder / "pond.txt").read_text().splitlines()
    assert sorted(pond) == ["other.lines 0", "other.lines 1", "shop.lines 0", "shop.lines 1", "shop.lines 2"]
    assert json.loads(position) == {"other.lines-0": 2, "shop.lines-0": 3}
    workshop.lines("shop", "d")
    assert workshop.run()[0] == 0, workshop.logged()
    assert (workshop.folder / "lake.txt").read_text().splitlines() == [f"shop.lines {offset}" for offset in range(4)]


def test_a_destination_that_is_stuck_holds_no_other_up(workshop: Workshop) -> None:
    """Opening a FIFO that nobody reads does not return; what is stuck is killed and begins again, alone."""
    os.mkfifo(workshop.folder / "pipe")
    workshop.config.write_text(WATCHFUL + SINKS + '  stuck: {type: copy, topics: ["shop.*"], file: ./pipe}\n')
    workshop.start()
    workshop.wait(lambda: (task := workshop.task("stuck")) is not None and task.restarts > 0)
    workshop.lines("shop", "d")
    lake = workshop.folder / "lake.txt"
    workshop.wait(lambda: lake.exists() and len(lake.read_text().splitlines()) == 4)
    workshop.wait(lambda: (task := workshop.task("lake")) is not None and (task.records, task.lag_bytes) == (4, 0))
    other = workshop.task("stuck")
    assert other is not None
    assert other.error is not None
    assert other.error.kind == "stuck"


def test_sigterm_drains_and_commits(workshop: Workshop) -> None:
    process = workshop.start()
    workshop.wait(lambda: "task running" in workshop.logged())
    workshop.lines("shop", "d")
    workshop.wait(lambda: workshop.texts() == ["a", "b", "c", "d"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0, workshop.logged()
    task = workshop.task()
    assert task is not None
    assert (task.state, task.phase, task.pid) == ("UNASSIGNED", "ended", None)
    assert "Traceback" not in workshop.logged()


def test_a_killed_task_comes_back_where_it_was(workshop: Workshop) -> None:
    process = workshop.start()
    for number in range(3):
        os.kill(workshop.task_pid(), signal.SIGKILL)
        workshop.wait(partial(workshop.restarted, number + 1))
        workshop.lines("shop", f"after {number}")
    expected = ["a", "b", "c", "after 0", "after 1", "after 2"]
    workshop.wait(lambda: workshop.texts() == expected)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0, workshop.logged()
    assert workshop.texts() == expected


def test_a_passing_fault_is_retried(workshop: Workshop) -> None:
    workshop.lines("shop", "!abort", "d", "!exit", "e")
    code, logged = workshop.run()
    # The process that exits with a code of its own and without a word is a bug: FAILED, not restarted.
    assert code == 3, logged
    assert "the line is cut" in logged
    assert workshop.run()[0] == 0
    assert workshop.texts() == ["a", "b", "c", "d", "e"]


def test_restarts_without_progress_come_to_an_end(workshop: Workshop) -> None:
    workshop.lines("shop", "!abort always")
    code, logged = workshop.run(until_current=False)
    assert code == 3, logged
    assert "no progress after 3 restarts" in logged
    task = workshop.task()
    assert task is not None
    assert (task.state, task.restarts, task.healthy) == ("FAILED", 3, False)
    assert task.error is not None
    assert (task.error.message, task.error.hint) == ("the line is cut", "wait")


def test_one_failed_task_does_not_stop_the_others(workshop: Workshop) -> None:
    workshop.config.write_text(CONFIG + OTHER)
    workshop.lines("other", "!fatal", "x")
    process = workshop.start()
    workshop.wait(lambda: (task := workshop.task("other")) is not None and task.state == "FAILED")
    workshop.lines("shop", "d")
    workshop.wait(lambda: workshop.texts() == ["a", "b", "c", "d"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert "call somebody" in workshop.logged()


def test_until_current_says_so_when_a_task_failed(workshop: Workshop) -> None:
    workshop.config.write_text(CONFIG + OTHER)
    workshop.lines("other", "!fatal")
    assert workshop.run()[0] == 3
    assert workshop.texts() == ["a", "b", "c"]


def test_a_task_that_falls_silent_is_restarted(workshop: Workshop) -> None:
    workshop.config.write_text(WATCHFUL)
    workshop.lines("shop", "!hang", "d")
    process = workshop.start()
    workshop.wait(lambda: workshop.texts() == ["a", "b", "c", "d"])
    assert "no sign of life" in workshop.logged()
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


def test_a_task_that_does_not_drain_is_killed(workshop: Workshop) -> None:
    workshop.config.write_text(CONFIG.replace("stop_timeout: 60", "stop_timeout: 0.5"))
    workshop.lines("shop", "!hang")
    process = workshop.start()
    workshop.wait((workshop.folder / "shop.3").exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 1
    assert "did not drain in time" in workshop.logged()


def test_tasks_do_not_outlive_their_worker(workshop: Workshop) -> None:
    process = workshop.start()
    task = psutil.Process(workshop.task_pid())
    process.kill()
    process.wait()
    task.wait(120)
    workshop.lines("shop", "d")
    assert workshop.run()[0] == 0
    assert workshop.texts() == ["a", "b", "c", "d"]


def test_two_workers_on_one_log_refuse(workshop: Workshop) -> None:
    process = workshop.start()
    workshop.task_pid()
    with pytest.raises(TailraceError, match=f"another worker \\(pid {process.pid}\\) is running on"):
        workshop.run()
    assert workshop.start().wait(120) == 1
    assert f"error: another worker (pid {process.pid}) is running on {workshop.folder / 'log'}" in workshop.logged()
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


def test_secrets_are_nowhere_to_be_seen(workshop: Workshop) -> None:
    process = workshop.start()
    task = psutil.Process(workshop.task_pid())
    assert "Sesame" not in " ".join(task.cmdline())
    workshop.lines("shop", "!leak")
    assert process.wait(120) == 3
    assert "cannot log in with ***" in workshop.logged()
    assert "Sesame-1234" not in workshop.logged()
    for file in (workshop.folder / "log").rglob("*"):
        assert not file.is_file() or b"Sesame-1234" not in file.read_bytes()


def test_a_bug_is_told_with_its_traceback_but_without_values(workshop: Workshop) -> None:
    workshop.lines("shop", "!bug")
    code, logged = workshop.run(log_format="json")
    assert code == 3, logged
    failed = next(line for line in map(json.loads, logged.splitlines()) if line["event"] == "task failed")
    assert failed["error"] == "unexpected ValueError"
    assert "stranger_plugins.py" in failed["trace"]
    assert "Sesame" not in logged


def test_the_worker_ends_when_every_source_has(workshop: Workshop) -> None:
    workshop.lines("shop", "!end")
    assert workshop.run(until_current=False)[0] == 0
    assert workshop.texts() == ["a", "b", "c"]


def test_only_the_named_connector_runs(workshop: Workshop) -> None:
    workshop.lines("other", "x")
    workshop.config.write_text(CONFIG + OTHER)
    assert workshop.run("other")[0] == 0
    assert (workshop.texts("other.lines"), workshop.texts()) == (["x"], [])


def test_a_supervisor_can_be_stepped(workshop: Workshop) -> None:
    plan = plan_worker(load_settings(workshop.config))
    with Supervisor(plan) as supervisor:
        while workshop.texts() != ["a", "b", "c"]:
            supervisor.step(0.05)
        while not supervisor.state().tasks[0].records:
            supervisor.step(0.05)
        supervisor.stop()
        while not supervisor.done:
            supervisor.step(0.05)
        assert supervisor.exit_code == 0
