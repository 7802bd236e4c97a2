"""Which of a plan's tasks are this worker's to run: all of them, where there is one worker; a share, in a group.

`Alone` is the one worker of a folder, which it locks, and where it keeps its state. `runtime/group.py` has the other.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from tailrace.runtime.lock import WorkerLock
from tailrace.runtime.state import WorkerState, state_file, write_state

log = structlog.get_logger()

_COMPLAIN_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of what is ours, in names of tasks."""

    gained: Collection[str] = ()
    leaving: Collection[str] = ()
    """To be drained, and then reported as `released`: another worker waits for them."""
    lost: Collection[str] = ()
    """To be killed at once: another worker may be running them."""


class Membership(Protocol):
    """Called by the supervisor's one thread, in the order join, (turn, released, post)*, leave."""

    @property
    def ends(self) -> bool:
        """Whether a worker that runs nothing has nothing to wait for."""
        ...

    @property
    def lease(self) -> float | None:
        """Until when, by `time.monotonic()`, tasks may run; they end by themselves then. None: as long as they like."""
        ...

    @property
    def descriptors(self) -> Sequence[int]:
        """What becomes readable when `turn` has something to tell."""
        ...

    @property
    def inherited(self) -> Sequence[int]:
        """Descriptors that the processes of tasks have to hold open."""
        ...

    def join(self) -> None:
        """Begin; raises `TailraceError` where this worker cannot run."""

    def turn(self, now: float) -> Sequence[Shift]:
        """Return what has changed since the last turn, in this order; does not wait."""
        ...

    def released(self, task: str) -> None:
        """Take note that a task which was `leaving` runs no more."""

    def post(self, state: WorkerState) -> None:
        """Show the worker's state to others."""

    def leave(self) -> None:
        """End: nothing runs any more; safe twice."""


class StateFile:
    """The file that the worker's state lies in, for `tailrace status` and for probes."""

    def __init__(self, folder: Path) -> None:
        self.path = state_file(folder)
        self._complain_at = 0.0

    def write(self, state: WorkerState) -> None:
        """Replace it. A full disk stops the tasks' commits; it must not stop the worker that is to start them again."""
        try:
            write_state(self.path, state)
        except OSError as error:
            if time.monotonic() >= self._complain_at:
                self._complain_at = time.monotonic() + _COMPLAIN_EVERY
                log.warning("cannot write worker state", path=str(self.path.parent), error=error.strerror)


class Alone:
    """All tasks are ours, from the first turn to the last."""

    ends = True
    lease: float | None = None
    descriptors: Sequence[int] = ()
    inherited: Sequence[int] = ()

    def __init__(self, folder: Path, tasks: Collection[str]) -> None:
        self._lock = WorkerLock(folder)
        self._file = StateFile(folder)
        self._tasks = tasks

    def join(self) -> None:
        """Take the folder's lock."""
        self._lock.acquire()

    def turn(self, now: float) -> Sequence[Shift]:  # noqa: ARG002 - it is always the same
        """Return everything, once."""
        gained, self._tasks = self._tasks, ()
        return [Shift(gained=gained)] if gained else []

    def released(self, task: str) -> None:
        """Nobody waits for it."""

    def post(self, state: WorkerState) -> None:
        """Write it to the folder."""
        self._file.write(state)

    def leave(self) -> None:
        """Give the lock back."""
        self._lock.release()
