"""Tells the worker, about once a second, how a task is doing; it sits in the task's process and watches the loop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import cast

from pydantic import JsonValue

from tailrace.position import Position
from tailrace.runtime.build import Task
from tailrace.runtime.state import Phase, TaskMessage, TaskReport
from tailrace.runtime.task import Progress
from tailrace.source import Report, Reporting

REPORT_INTERVAL = 1.0
"""Seconds between reports; also the grain of everything that `tailrace status` shows."""


class Meter:
    """Called by the loop once a turn; sends a report when one is due."""

    def __init__(
        self, task: Task, send: Callable[[TaskMessage], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._task = task
        self._reporting = task.source if isinstance(task.source, Reporting) else None
        self._send = send
        self._clock = clock
        self._due = float("-inf")
        self._spoke_at: float | None = None
        self._longest = 0.0
        self._commits = 0
        self._committed_at: float | None = None
        self._told = Report()
        self._progress = Progress()

    def opening(self) -> None:
        """Say that the task is about to connect."""
        self._send(TaskMessage(report=TaskReport(phase="opening")))

    def __call__(self, progress: Progress) -> None:
        """Take note of the loop's progress; `progress.waiting_since` is by the same clock as the meter's."""
        now = self._clock()
        if self._spoke_at is not None:
            self._longest = max(self._longest, now - self._spoke_at)
        self._spoke_at = now
        self._progress = progress
        # A first commit is told at once: without a durable position the worker cannot tell the lag of a long step.
        due = now >= self._due or (progress.commits > 0 and self._commits == 0)
        if progress.commits != self._commits:
            self._commits, self._committed_at = progress.commits, now
        if (due or progress.ending) and self._reporting is not None:
            self._told = self._reporting.report()
        if due:
            self._due = now + REPORT_INTERVAL
            self._send(TaskMessage(report=self._report(now)))

    def alive(self) -> None:
        """Say within a turn of the loop, and in its thread, that a step of it is done."""
        if self._spoke_at is not None:  # what a sink does while it is opened is no turn
            self(self._progress)

    def quiet(self) -> float:
        """Return for how many seconds the loop has said nothing; 0 before its first turn."""
        return 0.0 if self._spoke_at is None else self._clock() - self._spoke_at

    def silence(self) -> float:
        """Return for how many seconds the loop said nothing, at most, since this was asked last."""
        longest, self._longest = max(self._longest, self.quiet()), 0.0
        return longest

    def last(self) -> None:
        """Send what is known after both ends were closed."""
        self._send(TaskMessage(report=self._report(self._clock())))

    def _report(self, now: float) -> TaskReport:
        told, progress = self._told, self._progress
        phase: Phase = "snapshot" if told.snapshot is not None else "streaming"
        return TaskReport(
            phase=phase,
            position=told.position,
            server_position=told.server_position,
            durable=_plain(progress.durable),
            lag_bytes=told.lag_bytes,
            lag_seconds=told.lag_seconds,
            heard_seconds=told.heard_seconds,
            caught_up=told.caught_up,
            snapshot=told.snapshot,
            details=told.details,
            records=progress.records,
            bytes=progress.bytes,
            commits=progress.commits,
            bad_records=self._task.bad_records(),
            commit_seconds=None if self._committed_at is None else now - self._committed_at,
            waiting_seconds=None if progress.waiting_since is None else now - progress.waiting_since,
            may_wait_seconds=0.0 if self._task.pace.when_dry else self._task.pace.commit_interval,
            warnings=list(self._task.warnings()),
        )


def _plain(position: Position | None) -> dict[str, JsonValue] | None:
    """Return the position as JSON reads it back: a source may hold tuples where JSON has lists."""
    return cast("dict[str, JsonValue] | None", json.loads(json.dumps(position)))
