"""The worker: one process per task, each restarted by itself; orderly stop; state in a file for `tailrace status`.

One thread. One failed task never stops the others; the worker ends when it is asked to, or when nothing runs any more.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Self, TypeAlias

import structlog

from tailrace import __version__
from tailrace.runtime.build import Plan
from tailrace.runtime.companion import Companion
from tailrace.runtime.housekeeping import Housekeeper
from tailrace.runtime.lock import WorkerLock
from tailrace.runtime.spare import Spare
from tailrace.runtime.state import Phase, State, WorkerState, write_state
from tailrace.runtime.ward import Ward

log = structlog.get_logger()

_Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int | None"

DONE, UNDRAINED, FATAL = 0, 1, 3
"""Exit codes: in good order; a task had to be killed at the stop; stopped by a fatal task."""

_STEP = 0.2
_STATE_INTERVAL = 1.0
_COMPLAIN_EVERY = 60.0
_REAP = 5.0


def state_file(folder: Path) -> Path:
    """Return where the worker of `folder` keeps the state that others may read."""
    return folder / "worker" / "status.json"


class Supervisor:
    """Runs the tasks of a plan.

    Either call `run`, which handles signals and returns the exit code; or, to do something else meanwhile, use it as a
    context manager (it takes the worker's lock) and call `step` until `done`.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        until_current: bool = False,
        spare: Spare | None = None,
        companions: Sequence[Companion] = (),
    ) -> None:
        self.wards = [Ward(spec, plan.settings.worker) for spec in plan.tasks]
        self._plan = plan
        self._until_current = until_current
        self._spare = spare
        self._companions = companions
        self._lock = WorkerLock(plan.folder)
        self._housekeeper = Housekeeper(plan)
        self._started = datetime.now(UTC)
        self._waiting: list[Ward] = []
        self._stop_requests = 0
        self._state_due = 0.0
        self._seen: list[tuple[State, Phase]] = []
        self._complain_at = 0.0

    def __enter__(self) -> Self:
        self._lock.acquire()
        self._start_companions()
        log.info("worker started", pid=os.getpid(), tasks=len(self.wards), folder=str(self._plan.folder))
        # What a sink has to catch up with is there only once the sources have: sinks begin after them.
        first = [ward for ward in self.wards if ward.spec.kind == "source"] if self._until_current else self.wards
        self._waiting = [ward for ward in self.wards if ward not in first]
        now = time.monotonic()
        for ward in first:
            ward.start(now, self._spare.take() if self._spare else None)
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what still runs: safe, since whatever was not committed is done again."""
        self._stop_now()
        for ward in self.wards:
            ward.kill()
        deadline = time.monotonic() + _REAP
        while any(ward.child for ward in self.wards) and time.monotonic() < deadline:
            self._turn(0.05)
        self._housekeeper.close()
        self._close_companions()
        self._write_state()
        self._lock.release()
        log.info("worker ended", pid=os.getpid())

    @property
    def done(self) -> bool:
        """Whether nothing runs any more, and nothing will by itself."""
        return not self._waiting and all(ward.down for ward in self.wards)

    @property
    def exit_code(self) -> int:
        """What the process should exit with, once `done`."""
        if any(ward.state == "FAILED" for ward in self.wards) and not self._stop_requests:
            return FATAL
        return DONE if all(ward.drained for ward in self.wards) else UNDRAINED

    def state(self) -> WorkerState:
        """Return the state of the worker and its tasks."""
        now = time.monotonic()
        return WorkerState(
            pid=os.getpid(),
            version=__version__,
            config=str(self._plan.settings.file),
            started=self._started,
            updated=datetime.now(UTC),
            tasks=[ward.describe(now) for ward in self.wards],
        )

    def stop(self) -> None:
        """Ask all tasks to finish what they have, commit, and end; a second time kills them. Seen to by `step`.

        May be called from a signal handler: it only counts.
        """
        self._stop_requests += 1

    def step(self, timeout: float = _STEP) -> None:
        """Wait at most `timeout` seconds for something to happen, and see to it."""
        if self._stop_requests:
            self._stop_now()
        self._turn(timeout)
        if self._waiting and all(ward.down for ward in self.wards if ward not in self._waiting):
            waiting, self._waiting = self._waiting, []
            for ward in waiting:
                ward.start(time.monotonic())
        if not self._until_current and not self._stop_requests:
            self._housekeeper.turn(time.monotonic())
        seen = [(ward.state, ward.phase) for ward in self.wards]
        if seen != self._seen or time.monotonic() >= self._state_due:
            self._seen = seen
            self._write_state()

    def run(self) -> int:
        """Run to the end; SIGTERM and Ctrl-C drain, a second one kills. Returns the exit code."""
        with _Signals(self.stop), self:  # in this order: what has been started is never without somebody to stop it
            while not self.done:
                self.step()
            return self.exit_code

    def _start_companions(self) -> None:
        try:
            for companion in self._companions:
                companion.start()
        except BaseException:
            self._close_companions()
            self._lock.release()
            raise

    def _close_companions(self) -> None:
        for companion in self._companions:
            companion.close()

    def _stop_now(self) -> None:
        self._waiting = []
        now = time.monotonic()
        for ward in self.wards:
            ward.stop(now)
            if self._stop_requests > 1:
                ward.kill()

    def _turn(self, timeout: float) -> None:
        _wait([ward.child.fileno() for ward in self.wards if ward.child is not None], timeout)
        now = time.monotonic()
        for ward in self.wards:
            ward.turn(now)
        for companion in self._companions:
            companion.turn(now)

    def _write_state(self) -> None:
        self._state_due = time.monotonic() + _STATE_INTERVAL
        try:
            write_state(state_file(self._plan.folder), self.state())
        except OSError as error:
            # A full disk stops the tasks' commits; it must not stop the worker that is to start them again.
            if time.monotonic() >= self._complain_at:
                self._complain_at = time.monotonic() + _COMPLAIN_EVERY
                log.warning("cannot write worker state", path=str(self._plan.folder), error=error.strerror)


class _Signals:
    """Turns SIGTERM and SIGINT into calls of `stop` while entered."""

    _NUMBERS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._before: list[_Handler] = []

    def __enter__(self) -> None:
        self._before = [signal.signal(number, self._handle) for number in self._NUMBERS]

    def __exit__(self, *_: object) -> None:
        for number, before in zip(self._NUMBERS, self._before, strict=True):
            signal.signal(number, before)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        log.info("worker stopping", signal=signal.Signals(number).name)
        self._stop()


def _wait(descriptors: Sequence[int], timeout: float) -> None:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(timeout * 1000)
