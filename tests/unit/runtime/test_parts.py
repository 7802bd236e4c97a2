"""Lock, offsets, state file, plug-ins, housekeeping, reports: the parts of a worker, one by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from tailrace.config.settings import load_settings
from tailrace.errors import ConfigError, Fatal, Retriable, TailraceError
from tailrace.log.store.backend import BundledLog
from tailrace.runtime import housekeeping, plugins
from tailrace.runtime.build import Plan, TaskSpec, plan_worker
from tailrace.runtime.housekeeping import Cleaning, Housekeeper
from tailrace.runtime.lock import WorkerLock, worker_holding
from tailrace.runtime.logs import LogSettings, configure_logs, log_settings
from tailrace.runtime.meter import Meter
from tailrace.runtime.offsets import FileOffsets
from tailrace.runtime.plugins import find_plugin
from tailrace.runtime.restart import Failure
from tailrace.runtime.state import TaskMessage, TaskReport, WorkerState, read_state, write_state
from tailrace.runtime.task import Pace, Progress
from tailrace.source import Report, SnapshotProgress


def test_one_worker_for_one_folder(tmp_path: Path) -> None:
    first, second = WorkerLock(tmp_path / "log"), WorkerLock(tmp_path / "log")
    assert worker_holding(tmp_path / "log") is None
    first.acquire()
    assert worker_holding(tmp_path / "log") == os.getpid()
    with pytest.raises(TailraceError, match=f"pid {os.getpid()}"):
        second.acquire()
    first.release()
    first.release()
    assert worker_holding(tmp_path / "log") is None
    second.acquire()
    second.release()


def test_a_lock_falls_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tailrace.runtime.lock import WorkerLock\n"
        "WorkerLock(Path(sys.argv[1])).acquire(); print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert worker_holding(tmp_path) == process.pid
        process.kill()
    lock = WorkerLock(tmp_path)
    lock.acquire()
    lock.release()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TailraceError, match="cannot open worker lock"):
        WorkerLock(tmp_path / "file").acquire()


def test_offsets_of_sinks(tmp_path: Path) -> None:
    offsets = FileOffsets(tmp_path / "offsets")
    assert offsets.load("lake") is None
    assert offsets.tasks() == {}
    offsets.save("lake", {"a-0": 5})
    offsets.save("lake", {"a-0": 6})
    assert offsets.load("lake") == {"a-0": 6}
    assert offsets.tasks() == {"lake": {"a-0": 6}}
    (tmp_path / "offsets" / "lake.json").write_text("[]")
    with pytest.raises(Fatal, match="cannot read position of task lake"):
        offsets.load("lake")
    offsets.remove("lake")
    offsets.remove("lake")
    assert offsets.load("lake") is None
    (tmp_path / "file").touch()
    with pytest.raises(Retriable, match="cannot save position") as caught:
        FileOffsets(tmp_path / "file").save("lake", {})
    assert caught.value.patient


def test_the_state_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "worker" / "status.json"
    assert read_state(file) is None
    state = WorkerState.model_validate(
        {
            "pid": 1,
            "version": "1",
            "config": "c",
            "started": 0,
            "updated": 1,
            "tasks": [{"name": "a", "kind": "sink", "type": "t"}],
        }
    )
    write_state(file, state)
    assert read_state(file) == state
    assert [path.name for path in file.parent.iterdir()] == ["status.json"]


class Reporter:
    def __init__(self) -> None:
        self.asked = 0
        self.told = Report(position="0/1", lag_bytes=5)

    def report(self) -> Report:
        self.asked += 1
        return self.told


class Parts:
    """As much of a task as a meter looks at."""

    def __init__(self, source: object) -> None:
        self.source = source
        self.pace = Pace()
        self.warnings: Callable[[], list[str]] = lambda: ["w"]
        self.bad_records: Callable[[], int] = lambda: 3


def test_a_meter_reports_once_a_second_and_at_the_end() -> None:
    sent: list[TaskMessage] = []
    clock = iter([0.0, 0.1, 0.9, 1.05, 1.1, 1.2])
    reporter = Reporter()
    meter = Meter(Parts(reporter), sent.append, clock=lambda: next(clock))  # type: ignore[arg-type]
    meter.opening()
    progress = Progress(records=1)
    meter(progress)
    meter(progress)
    progress.commits, progress.records, progress.waiting_since = 1, 2, 0.5
    meter(progress)
    meter(progress)
    reporter.told = Report(position="0/2", snapshot=SnapshotProgress("t", 0, 1, 5, 10, 50.0, None))
    progress.commits, progress.ending = 2, True
    meter(progress)
    meter.last()
    reports = [message.report for message in sent if message.report]
    assert [report.phase for report in reports] == ["opening", "streaming", "streaming", "snapshot"]
    assert reports[2].records == 2
    told_at_once = [reports[2].commit_seconds, reports[2].waiting_seconds]
    assert told_at_once == pytest.approx([0.0, 0.4]), "the first commit, whatever may follow"
    assert (reports[3].position, reports[3].bad_records, reports[3].warnings) == ("0/2", 3, ["w"])
    assert reporter.asked == 3, "not at every turn, nor at every commit"


def test_a_meter_knows_how_long_the_loop_said_nothing() -> None:
    sent: list[TaskMessage] = []
    now = [100.0]
    parts = Parts(object())
    parts.pace = Pace(commit_interval=300.0, when_dry=False)
    meter = Meter(parts, sent.append, clock=lambda: now[0])  # type: ignore[arg-type]
    meter.alive()
    now[0] += 50
    assert (sent, meter.quiet(), meter.silence()) == ([], 0, 0), "opening is no step of the loop"
    meter(Progress(waiting_since=100.0))
    for seconds in (20, 30, 5):
        now[0] += seconds
        meter.alive()
    reports = [message.report for message in sent if message.report]
    assert [report.waiting_seconds for report in reports] == [50, 70, 100, 105]
    assert reports[0].may_wait_seconds == 300
    now[0] += 10
    assert (meter.quiet(), meter.silence()) == (10, 30)
    assert meter.silence() == 10, "since it was asked last"


def test_a_meter_makes_do_with_a_source_that_cannot_report() -> None:
    sent: list[TaskMessage] = []
    Meter(Parts(object()), sent.append)(Progress(records=7))  # type: ignore[arg-type]
    assert sent[0].report is not None
    assert sent[0].report.records == 7


def test_messages_survive_the_pipe() -> None:
    report = TaskReport(phase="snapshot", durable={"a": [1, {"b": None}]}, details={"x": 1.5, "y": True})
    for message in (
        TaskMessage(report=report),
        TaskMessage(failure=Failure(kind="bug", message="m\nn")),
        TaskMessage(ended="finished"),
    ):
        line = message.model_dump_json()
        assert "\n" not in line
        assert TaskMessage.model_validate_json(line) == message


def _installed(site: Path, name: str, entry: str, code: str = "") -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tailrace.sinks]\n{entry}\n")
    (site / f"{name.replace('-', '_')}.py").write_text(code)


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        ("lost = nowhere_at_all:Sink", "", "cannot be loaded from nowhere_at_all:Sink"),
        ("lost = lost_sink:Missing", "", "cannot be loaded from lost_sink:Missing"),
        ("lost = lost_sink:Sink", "class Sink: pass", "has no `Config` that extends tailrace.sink.SinkConfig"),
    ],
)
def test_a_plug_in_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, code: str, said: str
) -> None:
    _installed(tmp_path, "lost-sink", entry, code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lost_sink", raising=False)
    with pytest.raises(ConfigError, match=r"sinks\.a\.type") as caught:
        find_plugin("tailrace.sinks", {"type": "lost"}, "sinks.a")
    assert said in caught.value.message


def test_two_plug_ins_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(tmp_path, "one-sink", "twin = one_sink:Sink")
    _installed(tmp_path, "two-sink", "twin = two_sink:Sink")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="several packages install a sink"):
        find_plugin("tailrace.sinks", {"type": "twin"}, "sinks.a")


def test_a_block_without_a_type() -> None:
    with pytest.raises(ConfigError, match=r"connectors\.a\.type: missing") as caught:
        find_plugin("tailrace.sources", {}, "connectors.a")
    assert "postgres" in caught.value.hint
    assert plugins.installed("tailrace.log_backends") == ["bundled", "kafka"]


@pytest.fixture
def plan(tmp_path: Path, strangers: None) -> Plan:
    file = tmp_path / "worker.yaml"
    file.write_text(
        "log: {path: ./data, type: bundled}\nconnectors: {a: {type: lines, file: x}}\nworker: {cleanup_interval: 5}"
    )
    return plan_worker(load_settings(file))


def test_a_plan_holds_a_task_for_each_block(plan: Plan, tmp_path: Path) -> None:
    assert plan.folder == tmp_path / "data"
    assert [(spec.name, spec.kind, spec.type, spec.path) for spec in plan.tasks] == [
        ("a", "source", "lines", "connectors.a")
    ]
    assert TaskSpec.model_validate_json(plan.tasks[0].model_dump_json()) == plan.tasks[0]


def test_a_plan_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("")
    with pytest.raises(ConfigError, match="nothing to run"):
        plan_worker(load_settings(tmp_path / "c.yaml"))


def test_the_housekeeper_cleans_every_few_minutes(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(BundledLog.at(plan.folder), Cleaning)
    passes: list[Pass] = []

    class Pass:
        def __init__(self, module: str, payload: str, *_: object) -> None:
            passes.append(self)
            self.code: int | None = None

        def ended(self) -> int | None:
            return self.code

        def read(self) -> list[TaskMessage]:
            return [TaskMessage(failure=Failure(kind="fatal", message="no"))]

        def kill(self) -> None: ...
        def close(self) -> None: ...

    monkeypatch.setattr(housekeeping, "Child", Pass)
    keeper = Housekeeper(plan)
    for now in (0.0, 4.0, 5.0, 6.0, 20.0):
        keeper.turn(now)
    assert len(passes) == 1, "the first pass has not ended yet"
    passes[0].code = 1
    with structlog.testing.capture_logs() as logged:
        keeper.turn(21.0)
        keeper.turn(22.0)
    assert [event["error"] for event in logged if event["event"] == "log housekeeping failed"] == ["no"]
    assert len(passes) == 2
    keeper.close()


def test_a_pass_of_housekeeping_is_a_process_of_its_own(plan: Plan) -> None:
    keeper = Housekeeper(plan)
    keeper.turn(0.0)
    with structlog.testing.capture_logs() as logged:
        keeper.turn(6.0)
        deadline = time.monotonic() + 120
        while keeper._child is not None and time.monotonic() < deadline:
            time.sleep(0.05)
            keeper.turn(7.0)
    assert keeper._child is None
    assert logged == []


def test_logs_are_masked_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(format="json"), {"open-sesame"})
    try:
        structlog.get_logger().info("hello", url="postgresql://u:pw@h/d", said="open-sesame", password="x", rows=3)
        structlog.get_logger().debug("not shown")
    finally:
        structlog.reset_defaults()
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["rows"]) == ("hello", "info", 3)
    assert (told["url"], told["said"], told["password"]) == ("postgresql://u:***@h/d", "***", "***")


def test_log_words_that_mean_nothing() -> None:
    with pytest.raises(ConfigError, match="unknown log format"):
        log_settings("xml", "info")
    assert log_settings("json", "warning") == LogSettings(format="json", level="warning")
