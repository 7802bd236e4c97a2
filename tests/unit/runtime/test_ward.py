"""One task as the worker sees it, with a process that does as it is told and a clock that is turned by hand."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tailrace.config.settings import WorkerSettings
from tailrace.log.backend import Backlog
from tailrace.runtime import ward as ward_module
from tailrace.runtime.build import TaskSpec
from tailrace.runtime.restart import Failure
from tailrace.runtime.spare import Spare
from tailrace.runtime.state import Kind, TaskMessage, TaskReport, TaskState
from tailrace.runtime.ward import Ward

SETTINGS = WorkerSettings(restart_delay=1.0, restart_delay_max=60.0, restart_limit=3, watchdog=120.0, stop_timeout=30.0)


class Puppet:
    """Stands for a process."""

    def __init__(self, _module: str, payload: str, *_: object) -> None:
        self.payload = payload
        self.pid = 4711
        self.messages: list[TaskMessage] = []
        self.code: int | None = None
        self.signals: list[str] = []

    def read(self) -> list[TaskMessage]:
        messages, self.messages = self.messages, []
        return messages

    def ended(self) -> int | None:
        return self.code

    def stop(self) -> None:
        self.signals.append("stop")

    def kill(self) -> None:
        self.signals.append("kill")
        self.code = -9

    def close(self) -> None: ...


class Theatre:
    def __init__(self, kind: Kind = "source") -> None:
        spec = TaskSpec(
            name="shop", kind=kind, block_name="shop", block={"type": "x"}, log={}, folder=Path("/"),
            worker_folder=Path("/"),
        )  # fmt: skip
        self.ward = Ward(spec, SETTINGS, measure=lambda position: Backlog(1000 - int(str(position["at"])), 60.0, 7))
        self.now = 1000.0
        self.ward.start(self.now)

    @property
    def puppet(self) -> Puppet:
        return cast("Puppet", self.ward.child)

    def says(self, **report: object) -> None:
        told = TaskReport.model_validate({"phase": "streaming", **report})
        self.puppet.messages.append(TaskMessage(report=told))
        self.passes(0)

    def dies(self, code: int, failure: Failure | None = None) -> None:
        if failure:
            self.puppet.messages.append(TaskMessage(failure=failure))
        self.puppet.code = code
        self.passes(0)

    def passes(self, seconds: float) -> TaskState:
        self.now += seconds
        self.ward.turn(self.now)
        return self.ward.describe(self.now)


@pytest.fixture
def theatre(monkeypatch: pytest.MonkeyPatch) -> Theatre:
    monkeypatch.setattr(ward_module, "Child", Puppet)
    return Theatre()


CUT = Failure(kind="retriable", message="cut")


def test_a_task_s_life(theatre: Theatre) -> None:
    state = theatre.passes(0)
    assert (state.state, state.phase, state.healthy, state.pid) == ("UNASSIGNED", "opening", True, 4711)
    theatre.says(phase="snapshot", position="0/1", records=10, lag_bytes=5)
    state = theatre.passes(0)
    assert (state.state, state.phase, state.position, state.records, state.lag_bytes) == (
        "RUNNING",
        "snapshot",
        "0/1",
        10,
        5,
    )
    theatre.ward.stop(theatre.now)
    assert theatre.puppet.signals == ["stop"]
    assert theatre.passes(0).phase == "draining"
    theatre.dies(0)
    state = theatre.passes(0)
    assert (state.state, state.phase, state.pid, theatre.ward.down) == ("UNASSIGNED", "ended", None, True)
    assert theatre.ward.drained


def test_the_lag_of_a_sink_that_does_not_answer_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ward_module, "Child", Puppet)
    theatre = Theatre("sink")
    theatre.says(lag_bytes=0, lag_seconds=0.0, durable={"at": 10}, commits=1, details={"lag_records": 0})
    state = theatre.passes(4)
    assert (state.lag_bytes, state.details) == (0, {"lag_records": 0})
    state = theatre.passes(4)
    assert (state.state, state.lag_bytes, state.lag_seconds) == ("RUNNING", 990, 60.0)
    assert state.details == {"lag_records": 7}
    theatre.dies(1, CUT)
    assert (theatre.passes(0).lag_bytes, theatre.passes(0).lag_seconds) == (990, 60.0)
    theatre.passes(100)
    state = theatre.passes(0)
    assert (state.state, state.phase, state.lag_bytes) == ("RESTARTING", "opening", 990)
    theatre.says(lag_bytes=7, lag_seconds=1.0, durable={"at": 20}, commits=1)
    assert theatre.passes(0).lag_bytes == 7


def test_the_lag_of_a_source_that_is_away_is_not_known(theatre: Theatre) -> None:
    theatre.says(lag_bytes=0, lag_seconds=0.0, durable={"at": 10})
    assert theatre.passes(60).lag_bytes == 0
    theatre.dies(1, CUT)
    assert (theatre.passes(0).lag_bytes, theatre.passes(0).lag_seconds) == (None, None)


def test_restarts_wait_longer_and_longer_and_then_end(theatre: Theatre) -> None:
    for attempt in range(3):
        theatre.dies(1, CUT)
        state = theatre.passes(0)
        assert (state.state, state.restarts, state.healthy) == ("RESTARTING", attempt + 1, False)
        assert state.next_attempt is not None
        theatre.passes(0.7 * 2**attempt)
        assert theatre.ward.child is None
        theatre.passes(0.6 * 2**attempt)
        assert theatre.ward.child is not None
    theatre.dies(1, CUT)
    state = theatre.passes(10_000)
    assert (state.state, state.reason, theatre.ward.down) == ("FAILED", "failed: cut", True)


@pytest.mark.parametrize("by", ["a commit", "a long run"])
def test_progress_makes_up_for_restarts(theatre: Theatre, by: str) -> None:
    for _ in range(10):
        theatre.says(commits=1 if by == "a commit" else 0)
        if by == "a long run":
            theatre.passes(61)
            theatre.says()
        theatre.dies(1, CUT)
        assert theatre.passes(2.0).state == "RESTARTING"
        assert theatre.ward.child is not None


def test_totals_outlive_processes_and_rates_do_not(theatre: Theatre) -> None:
    theatre.says(records=0, bytes=0)
    theatre.passes(2)
    theatre.says(records=100, bytes=5000, commits=1, bad_records=2, position="0/7")
    state = theatre.passes(0)
    assert (state.records_per_second, state.bytes_per_second) == (50.0, 2500.0)
    theatre.dies(-9)
    state = theatre.passes(0)
    assert (state.records, state.bytes, state.records_per_second, state.position) == (100, 5000, 0.0, "0/7")
    theatre.passes(2)
    theatre.says(phase="opening")
    assert theatre.passes(0).position == "0/7", "what was known is still shown"
    theatre.says(records=7, bytes=70, position="0/8")
    state = theatre.passes(0)
    assert (state.records, state.bytes, state.bad_records, state.position) == (107, 5070, 2, "0/8")
    assert state.error is not None
    assert state.error.message == "process was killed by SIGKILL"


def test_the_watchdog_kills_what_has_fallen_silent(theatre: Theatre) -> None:
    theatre.says(position="0/1")
    theatre.passes(119)
    assert theatre.puppet.signals == []
    theatre.passes(1)
    assert theatre.puppet.signals == ["kill"]
    state = theatre.passes(0)
    assert (state.state, state.error and state.error.kind) == ("RESTARTING", "stuck")


def test_a_task_that_took_too_long_is_told_to_do_less_until_it_commits(theatre: Theatre) -> None:
    def caution() -> int:
        return TaskSpec.model_validate_json(theatre.puppet.payload).caution

    assert caution() == 0
    theatre.says()
    theatre.passes(120)
    theatre.passes(1)
    theatre.passes(100)
    assert caution() == 1
    theatre.says()
    theatre.dies(1, Failure(kind="retriable", message="timed out", slow=True))
    theatre.passes(100)
    assert caution() == 2
    theatre.says()
    theatre.dies(1, Failure(kind="retriable", message="connection refused"))
    theatre.passes(100)
    assert caution() == 2, "that it failed for another reason says nothing"
    theatre.says(commits=1)
    theatre.dies(1, Failure(kind="retriable", message="connection refused"))
    theatre.passes(100)
    assert caution() == 0


def test_the_watchdog_leaves_a_task_alone_that_is_still_opening(theatre: Theatre) -> None:
    theatre.says(phase="opening")
    state = theatre.passes(3600)
    assert theatre.puppet.signals == []
    assert (state.healthy, state.reason) == (False, "opening for 3600 s")


@pytest.mark.parametrize(
    ("report", "seconds", "reason"),
    [
        ({"heard_seconds": 3.0}, 10, ""),
        ({"heard_seconds": 55.0}, 10, "nothing heard from the server for 65 s"),
        ({"waiting_seconds": 55.0}, 10, "nothing committed for 65 s although there is something to commit"),
        ({"waiting_seconds": 350.0, "may_wait_seconds": 300.0}, 9, ""),
        (
            {"waiting_seconds": 350.0, "may_wait_seconds": 300.0},
            10,
            "nothing committed for 360 s although there is something to commit",
        ),
        ({}, 61, "no sign of life for 61 s"),
    ],
)
def test_health_is_progress(theatre: Theatre, report: dict[str, object], seconds: float, reason: str) -> None:
    theatre.says(**report)
    state = theatre.passes(seconds)
    assert (state.state, state.healthy, state.reason) == ("RUNNING", not reason, reason)


@pytest.mark.parametrize("kind", ["fatal", "bad_record", "config", "bug"])
def test_only_an_operator_can_help(theatre: Theatre, kind: str) -> None:
    theatre.dies(1, Failure.model_validate({"kind": kind, "message": "m", "hint": "h"}))
    state = theatre.passes(10_000)
    assert (state.state, theatre.ward.down) == ("FAILED", True)


def test_a_drain_that_takes_too_long_ends_by_force(theatre: Theatre) -> None:
    theatre.says()
    theatre.ward.stop(theatre.now)
    theatre.passes(29)
    assert "kill" not in theatre.puppet.signals
    theatre.passes(1)
    theatre.passes(0)
    assert theatre.ward.down
    assert not theatre.ward.drained


def test_a_process_that_was_stopped_before_it_began_has_drained(theatre: Theatre) -> None:
    theatre.ward.stop(theatre.now)
    theatre.dies(-15)
    assert (theatre.ward.down, theatre.ward.drained) == (True, True)


def test_a_stop_ends_the_wait_for_a_restart(theatre: Theatre) -> None:
    theatre.dies(1, CUT)
    theatre.ward.stop(theatre.now)
    state = theatre.passes(10_000)
    assert (state.state, theatre.ward.down) == ("UNASSIGNED", True)


def test_a_stop_that_the_worker_did_not_ask_for_is_made_good(theatre: Theatre) -> None:
    theatre.says()
    theatre.puppet.messages.append(TaskMessage(ended="stopped"))
    theatre.dies(0)
    assert theatre.passes(0).state == "RESTARTING"


def test_a_process_that_was_started_ahead_is_used_once_or_ended() -> None:
    with Spare() as spare:
        process = spare.take()
        assert process is not None
        assert spare.take() is None
    assert process.communicate(b"", timeout=60)[0] == b""
    assert process.returncode == 0, "nobody told it what to do"
    with Spare() as unused:
        kept = unused._process
    assert kept is not None
    assert kept.returncode is not None
