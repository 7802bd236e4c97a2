"""The process that holds a worker's seat in its group: `python -m tailrace.runtime.keeper`, started by `group.py`.

    stdin    one line, the `KeeperSpec` as JSON; then `KeeperOrder`s; its end says that the worker is gone
    stdout   `KeeperMessage`s: what is ours, until when, and what no longer is
    stderr   logs

A process of its own, for two reasons. It outlives a worker that is killed, for as long as the worker's tasks take to
end, and then leaves: the others need not wait until the worker is missed. And it may wait for a release inside of the
client library's callback, while the worker goes on with its other tasks.

A lease ends before the group can have given the worker's tasks to another (the seat sees to that), and some time after
the worker's last sign of life. Who does not hear of a new one ends: the tasks by themselves, or killed by the worker.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tailrace.config.masking import Masker
from tailrace.errors import Retriable
from tailrace.log.seat import Seat, Shared, Terms
from tailrace.runtime.build import build_log
from tailrace.runtime.child import Message
from tailrace.runtime.logs import LogSettings, configure_logs
from tailrace.runtime.process import Mouth, read_line
from tailrace.runtime.restart import Failure, failure_of
from tailrace.runtime.state import WorkerState

log = structlog.get_logger()

MODULE = "tailrace.runtime.keeper"

_STEP = 0.05
"""Seconds between two looks at what the worker says."""
_SIGN_OF_LIFE = 0.5
"""Part of the session's time that the worker may be silent: it stops then, and leaves before it would be missed."""
_OVERTIME = 5.0
"""Seconds beyond the drain that a worker may take to release a task, killing included."""
_RENEW_EVERY = 0.5
"""Seconds between two renewals while tasks are released."""


class KeeperSpec(BaseModel):
    """What the process has to know."""

    model_config = ConfigDict(frozen=True)

    log: dict[str, object]
    folder: Path
    secrets: frozenset[str] = frozenset()
    group: str
    worker: str
    session: float
    patience: float
    digests: dict[str, str]
    """By task: which there are, and what their settings are."""
    tasks: int
    """A descriptor that comes to its end once no task of the worker runs any more."""
    logging: LogSettings = LogSettings()


class KeeperOrder(BaseModel):
    """One line from the worker."""

    model_config = ConfigDict(frozen=True)

    sign: float | None = None
    """A sign of life, and when it was given."""
    released: str = ""
    state: str = ""
    """To be posted."""
    leave: bool = False


class KeeperMessage(Message):
    """One line to the worker."""

    model_config = ConfigDict(frozen=True)

    gained: list[str] = Field(default_factory=list)
    leaving: list[str] = Field(default_factory=list)
    lost: list[str] = Field(default_factory=list)
    lease: float | None = None
    warnings: list[str] = Field(default_factory=list)


class Keeper:
    """Joins a seat to a worker, as the seat's `Occupant`."""

    def __init__(self, spec: KeeperSpec, seat: Seat, say: Callable[[KeeperMessage], None], orders: Orders) -> None:
        self._spec = spec
        self._seat = seat
        self._say = say
        self._orders = orders
        self._ours: set[str] = set()
        """What the group gives us."""
        self._told: set[str] = set()
        """What the worker knows to be its own."""
        self._releasing: set[str] = set()
        self._sign = time.monotonic()
        self._lease = 0.0
        self._leaving = False

    def run(self) -> None:
        """Hold the seat until the worker leaves, dies or is silent for too long."""
        self._seat.join(sorted(self._spec.digests), self)
        while not self._leaving and not self._worker_gone:
            self._seat.poll(_STEP)
            self._obey()
            self._tell()
        if not self._leaving:
            self._outlive()
        self._leaving = True
        self._seat.leave()

    def gained(self, tasks: Collection[str]) -> None:
        """Note it; the worker is told with the next lease."""
        self._ours.update(tasks)

    def lost(self, tasks: Collection[str]) -> None:
        """Have the worker kill them."""
        self._ours.difference_update(tasks)
        self._take_back(set(tasks))

    def release(self, tasks: Collection[str]) -> None:
        """Have the worker drain them, and wait for it; the lease of the other tasks goes on meanwhile."""
        self._ours.difference_update(tasks)
        self._releasing = self._told & set(tasks)
        if self._leaving or not self._releasing:
            return
        self._told -= self._releasing
        self._say(KeeperMessage(leaving=sorted(self._releasing)))
        deadline = time.monotonic() + self._spec.patience + _OVERTIME
        renew_at = 0.0
        while self._releasing and not self._worker_gone:
            now = time.monotonic()
            if now >= deadline:
                raise Retriable(f"worker did not release {', '.join(sorted(self._releasing))} in time")
            if now >= renew_at:
                renew_at = now + _RENEW_EVERY
                self._seat.renew()
            self._tell()
            self._obey(_STEP)
        if self._releasing:
            self._outlive()

    def _obey(self, timeout: float = 0.0) -> None:
        for order in self._orders.read(timeout):
            if order.sign is not None:
                self._sign = order.sign
            self._releasing.discard(order.released)
            if order.state:
                self._seat.post(order.state.encode())
            self._leaving |= order.leave

    def _tell(self) -> None:
        """Tell the worker of the lease, and of what it means for the tasks."""
        now = time.monotonic()
        lease = min(self._seat.lease, self._silent_from)
        if now >= lease:
            self._take_back(self._told)
            return
        gained = sorted(self._ours - self._told)
        if lease > self._lease or gained:
            self._lease = max(lease, self._lease)
            self._told.update(gained)
            self._say(KeeperMessage(lease=self._lease, gained=gained))

    def _take_back(self, tasks: set[str]) -> None:
        lost = (self._told | self._releasing) & tasks
        self._told -= lost
        self._releasing -= lost
        if lost:
            self._say(KeeperMessage(lost=sorted(lost)))

    @property
    def _silent_from(self) -> float:
        return self._sign + self._spec.session * _SIGN_OF_LIFE

    @property
    def _worker_gone(self) -> bool:
        return self._orders.ended or time.monotonic() >= self._silent_from

    def _outlive(self) -> None:
        """Wait until the tasks of a worker that is gone have ended, by themselves or with their lease."""
        reason = (
            "has ended" if self._orders.ended else f"gave no sign of life for {time.monotonic() - self._sign:.1f} s"
        )
        log.warning("leaving the group in the worker's place", worker=self._spec.worker, reason=reason)
        self._say(KeeperMessage(failure=Failure(kind="stuck", message=f"worker {reason}")))
        select.select([self._spec.tasks], [], [], max(0.0, self._lease - time.monotonic()))


class Orders:
    """Reads what the worker says, without waiting for more of it than there is; `rest` was read already."""

    def __init__(self, descriptor: int, rest: bytes = b"") -> None:
        self._descriptor = descriptor
        self.ended = False
        self._rest = rest

    def read(self, timeout: float) -> list[KeeperOrder]:
        """Return the orders that have come after at most `timeout` seconds."""
        while not self.ended and select.select([self._descriptor], [], [], timeout)[0]:
            data = os.read(self._descriptor, 65536)
            self._rest += data
            self.ended = not data
            timeout = 0.0
        *lines, self._rest = self._rest.split(b"\n")
        return [KeeperOrder.model_validate_json(line) for line in lines if line]


def differences(mine: Mapping[str, str], posted: Mapping[str, WorkerState]) -> list[str]:
    """Return a warning for every task that other workers of the group have with other settings."""
    warnings = []
    for worker, state in sorted(posted.items()):
        names = sorted(name for name, told in mine.items() if state.digests.get(name, told) != told)
        if names:
            warnings.append(
                f"worker {worker} has other settings for {', '.join(names)}: give both the same config file"
            )
    return warnings


def alive(found: Mapping[str, WorkerState], session: float) -> dict[str, WorkerState]:
    """Return the states of workers that have posted lately; one that died without a word is in Kafka for a day."""
    now = datetime.now(UTC)
    return {name: state for name, state in found.items() if (now - state.updated).total_seconds() < session}


def states(posted: Mapping[str, bytes]) -> dict[str, WorkerState]:
    """Return what workers have posted; what another version wrote and we cannot read is left out."""
    found = {}
    for worker, text in posted.items():
        try:
            found[worker] = WorkerState.model_validate_json(text)
        except ValidationError:
            log.warning("cannot read the state of a worker", worker=worker)
    return found


def main() -> int:
    """Hold the seat that stdin describes; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager may send it to all: the worker says when to leave
    line, rest = read_line(0)
    spec = KeeperSpec.model_validate_json(line)
    mouth = Mouth()
    configure_logs(spec.logging, spec.secrets)
    try:
        backend = build_log(spec.log, spec.folder, spec.secrets)
        assert isinstance(backend, Shared), "the worker has seen to that"
        warnings = differences(spec.digests, alive(states(backend.posted(spec.group)), spec.session))
        for warning in warnings:
            log.warning("workers differ", reason=warning)
        mouth.say(KeeperMessage(warnings=warnings))
        seat = backend.seat(Terms(spec.group, spec.worker, spec.session, spec.patience))
        Keeper(spec, seat, mouth.say, Orders(0, rest)).run()
    except Exception as error:  # noqa: BLE001 - the process boundary: whatever it was, the worker is told
        mouth.say(KeeperMessage(failure=failure_of(error).masked(Masker(spec.secrets))))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
