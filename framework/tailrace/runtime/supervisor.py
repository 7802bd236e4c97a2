"""The worker: one process per task, each restarted by itself; orderly stop; state for `tailrace status`.

One thread. One failed task never stops the others; the worker ends when it is asked to, or when nothing runs any more.
Which tasks are its own is not decided here: `membership.py` is where that comes from.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Self, TypeAlias

import structlog

from tailrace import __version__
from tailrace.runtime.backlog import measure_of
from tailrace.runtime.build import Plan, TaskSpec
from tailrace.runtime.companion import Companion
from tailrace.runtime.group import membership_of
from tailrace.runtime.housekeeping import Housekeeper
from tailrace.runtime.membership import Shift
from tailrace.runtime.spare import Spare
from tailrace.runtime.state import Phase, State, WorkerState
from tailrace.runtime.ward import Ward

log = structlog.get_logger()

_Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int | None"

DONE, UNDRAINED, FATAL = 0, 1, 3
"""Exit codes: in good order; a task had to be killed at the stop; stopped by a fatal task."""

_STEP = 0.2
_STATE_INTERVAL = 1.0
_REAP = 5.0


class Supervisor:
    """Runs the tasks of a plan.

    Either call `run`, which handles signals and returns the exit code; or, to do something else meanwhile, use it as a
    context manager (it joins the membership) and call `step` until `done`.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        until_current: bool = False,
        spare: Spare | None = None,
        companions: Sequence[Companion] = (),
    ) -> None:
        self._plan = plan
        self._until_current = until_current
        self._spare = spare
        self._companions = companions
        self._membership = membership_of(plan)
        self._wards = {spec.name: self._ward(spec) for spec in plan.tasks}
        self._mine: set[str] = set()
        self._leaving: set[str] = set()
        self._gone: list[Ward] = []
        """Killed, and not ended yet."""
        self._lease: float | None = None
        self._housekeeper = Housekeeper(plan)
        self._started = datetime.now(UTC)
        self._waiting: list[Ward] = []
        self._stop_requests = 0
        self._state_due = 0.0
        self._seen: list[tuple[State, Phase]] = []

    def __enter__(self) -> Self:
        self._membership.join()
        self._start_companions()
        log.info("worker started", pid=os.getpid(), tasks=len(self._wards), folder=str(self._plan.folder))
        self._share()
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
        self._membership.post(self.state())
        self._membership.leave()
        log.info("worker ended", pid=os.getpid())

    @property
    def wards(self) -> list[Ward]:
        """The tasks that are this worker's."""
        return [ward for name, ward in self._wards.items() if name in self._mine]

    @property
    def done(self) -> bool:
        """Whether nothing runs any more, and nothing will by itself."""
        stays = not self._membership.ends and not self._stop_requests
        return not stays and not self._waiting and all(ward.down for ward in self.wards)

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
        self._share()
        if self._waiting and all(ward.down for ward in self.wards if ward not in self._waiting):
            waiting, self._waiting = self._waiting, []
            for ward in waiting:
                ward.start(time.monotonic())
        if not self._until_current and not self._stop_requests:
            self._housekeeper.turn(time.monotonic())
        seen = [(ward.state, ward.phase) for ward in self.wards]
        if seen != self._seen or time.monotonic() >= self._state_due:
            self._seen = seen
            self._state_due = time.monotonic() + _STATE_INTERVAL
            self._membership.post(self.state())

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
            self._membership.leave()
            raise

    def _close_companions(self) -> None:
        for companion in self._companions:
            companion.close()

    def _share(self) -> None:
        """See to what is ours now, and to what no longer is."""
        now = time.monotonic()
        for shift in self._membership.turn(now):
            self._move(shift, now)
        for name in [name for name in self._leaving if self._wards[name].down]:
            self._forget(name)
            self._membership.released(name)
        if (lease := self._membership.lease) is not None and lease != self._lease:
            self._lease = lease
            for ward in self.wards:
                ward.renew(lease)

    def _move(self, shift: Shift, now: float) -> None:
        for name in shift.lost:
            self._wards[name].abandon(now)
            self._forget(name)
        for name in shift.leaving:
            self._wards[name].stop(now)
        self._leaving.update(shift.leaving)
        if shift.gained and not self._stop_requests:
            self._begin([name for name in self._wards if name in set(shift.gained)], now)

    def _begin(self, names: Sequence[str], now: float) -> None:
        """Start tasks that are ours from now on."""
        self._mine.update(names)
        new = [self._wards[name] for name in names]
        # What a sink has to catch up with is there only once the sources have: sinks begin after them.
        first = [ward for ward in new if ward.spec.kind == "source"] if self._until_current else new
        self._waiting = [ward for ward in new if ward not in first]
        for ward in first:
            ward.lease = self._membership.lease
            ward.start(now, self._spare.take() if self._spare and not self._membership.inherited else None)

    def _forget(self, name: str) -> None:
        """Begin anew, should the task be ours again."""
        self._mine.discard(name)
        self._leaving.discard(name)
        if not self._wards[name].down:
            self._gone.append(self._wards[name])
        self._wards[name] = self._ward(self._wards[name].spec)

    def _ward(self, spec: TaskSpec) -> Ward:
        return Ward(spec, self._plan.settings.worker, self._membership.inherited, measure_of(spec))

    def _stop_now(self) -> None:
        self._waiting = []
        now = time.monotonic()
        for ward in self.wards:
            ward.stop(now)
            if self._stop_requests > 1:
                ward.kill()

    def _turn(self, timeout: float) -> None:
        children = [ward.child.fileno() for ward in self.wards if ward.child is not None]
        _wait([*children, *self._membership.descriptors], timeout)
        now = time.monotonic()
        for ward in [*self.wards, *self._gone]:
            ward.turn(now)
        for companion in self._companions:
            companion.turn(now)
        self._gone = [ward for ward in self._gone if not ward.down]


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
