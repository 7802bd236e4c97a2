"""One task as the worker sees it: started, listened to, restarted, given up; and its state in one model."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import structlog

from tailrace.config.settings import WorkerSettings
from tailrace.log.backend import Backlog
from tailrace.runtime.backlog import Measure, unknown
from tailrace.runtime.build import TaskSpec
from tailrace.runtime.child import Child
from tailrace.runtime.restart import Failure, Restart, RestartPolicy, decide, failure_of_exit
from tailrace.runtime.spare import TASK_MODULE, Process
from tailrace.runtime.state import Phase, State, TaskMessage, TaskReport, TaskState

log = structlog.get_logger()

_Details: TypeAlias = dict[str, str | int | float | bool | None]

RATE_WINDOW = 5.0
"""Seconds that rates are averaged over."""
SILENT_SERVER = 60.0
"""Seconds without a word from a server after which a task is unhealthy; Postgres says something every 30 s."""
STUCK_COMMIT = 60.0
"""Seconds for which the commit of items may be overdue before the task is unhealthy."""
STALE_LAG = 5.0
"""Seconds after which a task's own word on its lag is worth nothing: the log has grown since."""
LONG_OPENING = 60.0
"""Seconds of connecting after which a task is unhealthy; creating a slot waits for every open transaction."""

_LONG_STEP = (
    "the other side does not answer, or is slow: it is tried again, with less at once; raise worker.watchdog if one "
    "step may take it so long, as changing a large table does"
)


class Ward:
    """Keeps one task running. Called by the supervisor's one thread; times are of its clock."""

    def __init__(
        self, spec: TaskSpec, settings: WorkerSettings, inherited: Sequence[int] = (), measure: Measure = unknown
    ) -> None:
        self.spec = spec
        self._measure = measure
        self._inherited = inherited
        self.child: Child[TaskMessage] | None = None
        self.state: State = "UNASSIGNED"
        self.lease: float | None = None
        """What the next process begins with; the one that runs is told by `renew`."""
        self.drained = True
        """False after a stop in which the process had to be killed or failed."""
        self._settings = settings
        self._policy = RestartPolicy(
            delay=spec.restart_delay or settings.restart_delay,
            delay_max=spec.restart_delay_max or settings.restart_delay_max,
            limit=settings.restart_limit,
        )
        self._stopping_at: float | None = None
        self._abandoned = False
        self._finished = False
        self._next_at: float | None = None
        self._started_at = 0.0
        self._running_since: float | None = None
        self._heard_at = 0.0
        self._report = TaskReport(phase="")
        self._failure: Failure | None = None
        self._failed_at: datetime | None = None
        self._told: Failure | str = ""
        self._attempt = 0
        self._caution = 0
        self._restarts = 0
        self._before = (0, 0, 0)
        self._samples: deque[tuple[float, int, int]] = deque()

    @property
    def down(self) -> bool:
        """Whether nothing runs, and nothing will by itself."""
        return self.child is None and self._next_at is None

    @property
    def phase(self) -> Phase:
        """What the task is at."""
        if self._finished:
            return "ended"
        if self.child is None:
            return ""
        return "draining" if self._stopping_at is not None else self._report.phase

    def start(self, now: float, process: Process | None = None) -> None:
        """Start the process, or take the one that was started ahead."""
        payload = self.spec.model_copy(update={"lease": self.lease, "caution": self._caution}).model_dump_json()
        self.child = Child(TASK_MODULE, payload, TaskMessage, process, self._inherited)
        self._started_at = self._heard_at = now
        self._report = self._report.model_copy(update={"phase": "opening"})
        self._next_at = self._running_since = None
        self._told = ""
        if self.state != "RESTARTING":
            self.state = "UNASSIGNED"
        log.info("task started", task=self.spec.name, kind=self.spec.kind, type=self.spec.type, pid=self.child.pid)

    def stop(self, now: float) -> None:
        """Ask for the drain; a task that waits for its restart is not started again."""
        if self._stopping_at is not None:
            return
        self._stopping_at = now
        self._next_at = None
        if self.child is not None:
            self.child.stop()
        elif self.state == "RESTARTING":
            self.state = "UNASSIGNED"

    def renew(self, lease: float) -> None:
        """Let the process run until `lease`."""
        self.lease = lease
        if self.child is not None:
            self.child.say(str(lease))

    def abandon(self, now: float) -> None:
        """End the process at once, and do not start another: the task is no longer ours."""
        self._abandoned = True
        self._stopping_at = now
        self._next_at = None
        self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self.child is not None:
            self.child.kill()

    def turn(self, now: float) -> None:
        """Take in what has happened since the last turn, and do what is due."""
        if self.child is not None:
            self._listen(self.child, now)
            code = self.child.ended()
            if code is not None:
                self._listen(self.child, now)
                self._ended(code, now)
            else:
                self._watch(self.child, now)
        elif self._next_at is not None and now >= self._next_at:
            self.start(now)

    def _listen(self, child: Child[TaskMessage], now: float) -> None:
        for message in child.read():
            self._heard_at = now
            if message.report is not None:
                self._take(message.report, now)
            if message.failure is not None:
                self._told = message.failure
            elif message.ended:
                self._told = message.ended

    def _take(self, report: TaskReport, now: float) -> None:
        if report.phase == "opening":
            self._report = self._report.model_copy(update={"phase": "opening"})  # the rest is as it was left
            return
        self._report = report
        if self._running_since is None:
            self._running_since = now
            self.state = "RUNNING"
            log.info("task running", task=self.spec.name, position=report.position)
        if report.commits:
            self._caution = 0
        # Progress is a commit; an idle task that has kept running for long has done its best, too.
        if report.commits or now - self._running_since >= self._policy.delay_max:
            self._attempt = 0
        self._samples.append((now, report.records, report.bytes))
        while self._samples[0][0] < now - RATE_WINDOW and len(self._samples) > 2:
            self._samples.popleft()

    def _watch(self, child: Child[TaskMessage], now: float) -> None:
        """Kill what does not drain in time, and what has fallen silent while it ran."""
        if self._stopping_at is not None:
            if now - self._stopping_at >= self._settings.stop_timeout:
                log.warning("task killed", task=self.spec.name, reason="did not drain in time")
                child.kill()
        elif self.state == "RUNNING" and now - self._heard_at >= self._settings.watchdog:
            silent = now - self._heard_at
            told = f"task gave no sign of life for {silent:.0f} s and was killed"
            self._told = Failure(kind="stuck", message=told, hint=_LONG_STEP, slow=True)
            child.kill()

    def _ended(self, code: int, now: float) -> None:
        assert self.child is not None
        self.child.close()
        self.child = None
        self._keep_totals()
        told = self._told
        if code == 0 and (self._stopping_at is not None or told == "finished"):
            self._finished = True
            self.state = "UNASSIGNED"
            log.info("task ended", task=self.spec.name, records=self._before[0])
        elif self._stopping_at is not None:
            self._ended_in_drain(code, told)
        elif isinstance(told, Failure):
            self._failed(told, now)
        elif told == "stopped":
            self._failed(Failure(kind="killed", message="task process was asked to stop, but not by its worker"), now)
        else:
            self._failed(failure_of_exit(code), now)

    def _ended_in_drain(self, code: int, told: Failure | str) -> None:
        """Take note of a drain that failed. Nothing is lost: the next start resumes at the last commit."""
        self.state = "UNASSIGNED"
        if code == -signal.SIGTERM or self._abandoned:
            return  # it had not come as far as to have anything to drain, or was not asked to
        self.drained = False
        failure = told if isinstance(told, Failure) else failure_of_exit(code)
        self._note(failure)
        log.warning("task did not drain", task=self.spec.name, error=failure.message, hint=failure.hint)

    def _failed(self, failure: Failure, now: float) -> None:
        self._note(failure)
        self._caution += failure.slow
        verdict = decide(failure, self._attempt, self._policy)
        told = {"task": self.spec.name, "kind": failure.kind, "error": failure.message}
        if failure.hint:
            told["hint"] = failure.hint
        if isinstance(verdict, Restart):
            self.state = "RESTARTING"
            self._attempt += 1
            self._restarts += 1
            self._next_at = now + verdict.delay
            log.warning("task restarting", **told, attempt=self._attempt, delay=round(verdict.delay, 2))
            return
        self.state = "FAILED"
        if failure.trace:
            told["trace"] = failure.trace
        log.error("task failed", **told, reason=verdict.reason)

    def _note(self, failure: Failure) -> None:
        self._failure, self._failed_at = failure, datetime.now(UTC)

    def _keep_totals(self) -> None:
        """Add up what the process wrote: the next one counts from zero."""
        records, size, bad = self._before
        last = self._report
        self._before = (records + last.records, size + last.bytes, bad + last.bad_records)
        self._report = last.model_copy(update={"records": 0, "bytes": 0, "bad_records": 0})
        self._samples.clear()

    def describe(self, now: float) -> TaskState:
        """Return the task's state."""
        report, quiet = self._report, now - self._heard_at if self.child else 0.0
        rates = self._rates()
        backlog, details = self._lag(quiet)
        reason = self._unhealthy(now)
        waits = self._next_at is not None and self.state == "RESTARTING"
        return TaskState(
            name=self.spec.name,
            kind=self.spec.kind,
            type=self.spec.type,
            state=self.state,
            phase=self.phase,
            healthy=not reason,
            reason=reason,
            pid=self.child.pid if self.child else None,
            position=report.position,
            server_position=report.server_position,
            durable=report.durable,
            lag_bytes=backlog.bytes,
            lag_seconds=None if backlog.seconds is None else round(backlog.seconds, 3),
            caught_up=report.caught_up,
            heard_seconds=_older(report.heard_seconds, quiet),
            commit_seconds=_older(report.commit_seconds, quiet),
            waiting_seconds=_older(report.waiting_seconds, quiet),
            snapshot=report.snapshot,
            details=details,
            records=self._before[0] + report.records,
            bytes=self._before[1] + report.bytes,
            records_per_second=rates[0],
            bytes_per_second=rates[1],
            bad_records=self._before[2] + report.bad_records,
            restarts=self._restarts,
            next_attempt=datetime.now(UTC) + timedelta(seconds=(self._next_at or now) - now) if waits else None,
            error=self._failure,
            error_at=self._failed_at,
            warnings=report.warnings,
        )

    def _lag(self, quiet: float) -> tuple[Backlog, _Details]:
        """Return it, as the task says or of its last commit where it says nothing; and the details that go with it."""
        report, away = self._report, self.state in {"RESTARTING", "FAILED"}
        source = self.spec.kind == "source"
        if not away and (source or quiet < STALE_LAG):
            return Backlog(report.lag_bytes, report.lag_seconds), report.details
        found = None if source or report.durable is None else self._measure(report.durable)
        found, details = found or Backlog(None, None), dict(report.details)
        if "lag_records" in details:
            details["lag_records"] = found.records
        return found, details

    def _rates(self) -> tuple[float, float]:
        if len(self._samples) < 2:
            return 0.0, 0.0
        (start, records, size), (end, more_records, more_size) = self._samples[0], self._samples[-1]
        seconds = max(end - start, 1e-9)
        return round((more_records - records) / seconds, 1), round((more_size - size) / seconds, 1)

    def _unhealthy(self, now: float) -> str:
        """Return why the task is not healthy: health is progress, not a process that exists."""
        if self.state in {"FAILED", "RESTARTING"}:
            return f"{self.state.lower()}: {self._failure.message}" if self._failure else self.state.lower()
        if self.child is None:
            return ""
        report, quiet = self._report, now - self._heard_at
        if self._running_since is None:
            opening = now - self._started_at
            return f"opening for {opening:.0f} s" if opening >= LONG_OPENING else ""
        if (heard := _older(report.heard_seconds, quiet)) is not None and heard >= SILENT_SERVER:
            return f"nothing heard from the server for {heard:.0f} s"
        waiting = _older(report.waiting_seconds, quiet)
        if waiting is not None and waiting >= report.may_wait_seconds + STUCK_COMMIT:
            return f"nothing committed for {waiting:.0f} s although there is something to commit"
        return f"no sign of life for {quiet:.0f} s" if quiet >= SILENT_SERVER else ""


def _older(age: float | None, by: float) -> float | None:
    return None if age is None else round(age + by, 3)
