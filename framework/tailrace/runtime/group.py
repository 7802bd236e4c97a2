"""A worker that is one of a group: its side of the keeper, the process that holds its seat (`keeper.py`).

What the keeper says is done as it comes. What it does not say counts, too: without a new lease the tasks end.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
from collections.abc import Sequence

import structlog

from tailrace.config.masking import Masker
from tailrace.config.settings import Settings
from tailrace.errors import TailraceError
from tailrace.log.seat import Shared, Terms
from tailrace.runtime.build import Plan, TaskSpec, build_log
from tailrace.runtime.child import Child
from tailrace.runtime.keeper import MODULE, KeeperMessage, KeeperOrder, KeeperSpec, states
from tailrace.runtime.membership import Alone, Membership, Shift, StateFile
from tailrace.runtime.restart import Failure, Restart, RestartPolicy, decide, failure_of_exit
from tailrace.runtime.state import WorkerState

log = structlog.get_logger()

_SIGN_EVERY = 0.5
"""Seconds between two signs of life to the keeper."""
_POST_EVERY = 2.0
"""Seconds between two posts of the worker's state while no task comes to another."""
_LATE = 1.0
"""Seconds after the end of a lease that the keeper may take to say so."""
_LEAVE = 10.0
"""Seconds that it may take to leave; the others miss it after the session's time anyway."""


def membership_of(plan: Plan) -> Membership:
    """Return how the worker of `plan` comes to its tasks."""
    worker = plan.settings.worker
    if not worker.group:
        return Alone(plan.folder, [spec.name for spec in plan.tasks])
    name = f"{socket.gethostname()}-{secrets.token_hex(3)}"
    return Group(plan, Terms(worker.group, name, worker.session_timeout, worker.stop_timeout))


class Group:
    """A `Membership` whose keeper is a process beside those of the tasks."""

    ends = False

    def __init__(self, plan: Plan, terms: Terms) -> None:
        self.lease: float | None = 0.0
        self._plan = plan
        self._terms = terms
        self._digests = {spec.name: digest(spec) for spec in plan.tasks}
        self._file = StateFile(plan.folder) if plan.settings.worker.path is not None else None
        self._keeper: Child[KeeperMessage] | None = None
        self._pipe: tuple[int, int] | None = None
        self._mine: set[str] = set()
        self._warnings: list[str] = []
        self._failure: Failure | None = None
        self._attempt = 0
        self._start_at = self._sign_at = self._post_at = 0.0
        self._posted: object = None

    @property
    def descriptors(self) -> Sequence[int]:
        """The keeper's messages."""
        return [self._keeper.fileno()] if self._keeper else []

    @property
    def inherited(self) -> Sequence[int]:
        """The writing end of a pipe: a keeper whose worker died sees by it when the last of its tasks has ended."""
        return [self._tasks[1]]

    @property
    def _tasks(self) -> tuple[int, int]:
        self._pipe = self._pipe or os.pipe()
        return self._pipe

    def join(self) -> None:
        """Start the keeper."""
        log.info("joining group", group=self._terms.group, worker=self._terms.worker)
        self._start()

    def turn(self, now: float) -> Sequence[Shift]:
        """Return what the keeper says; without a keeper nothing is ours. Raises what only an operator can mend."""
        if self._keeper is None:
            if now >= self._start_at:
                self._start()
            return []
        shifts = self._listen(self._keeper)
        if (code := self._keeper.ended()) is not None:
            shifts += self._listen(self._keeper)
            self._ended(self._keeper, code, now)
            shifts.append(Shift(lost=sorted(self._mine)))
            self._mine.clear()
        elif self._mine and self.lease is not None and now > self.lease + _LATE:
            self._keeper.kill()
        elif now >= self._sign_at:
            self._sign_at = now + _SIGN_EVERY
            self._order(KeeperOrder(sign=now))
        return shifts

    def released(self, task: str) -> None:
        """Tell the keeper."""
        self._mine.discard(task)
        self._order(KeeperOrder(released=task))

    def post(self, state: WorkerState) -> None:
        """Have the keeper post it: now and then, and whenever a task has come to another state."""
        told = state.model_copy(
            update={
                "group": self._terms.group,
                "worker": self._terms.worker,
                "digests": self._digests,
                "warnings": self._warnings,
            }
        )
        if self._file is not None:
            self._file.write(told)
        seen = [(task.name, task.state, task.phase) for task in state.tasks]
        now = state.updated.timestamp()
        if seen != self._posted or now >= self._post_at:
            self._posted, self._post_at = seen, now + _POST_EVERY
            self._order(KeeperOrder(state=told.model_dump_json()))

    def leave(self) -> None:
        """Have the keeper leave, so that the others have the tasks at once, and wait for it."""
        if self._keeper is not None:
            self._order(KeeperOrder(leave=True))
            self._keeper.wait(_LEAVE)
            self._keeper.close()
            self._keeper = None
        for descriptor in self._pipe or ():
            os.close(descriptor)
        self._pipe = None

    def _start(self) -> None:
        settings = self._plan.settings
        spec = KeeperSpec(
            log=dict(settings.log),
            folder=settings.folder,
            secrets=settings.secrets,
            group=self._terms.group,
            worker=self._terms.worker,
            session=self._terms.session,
            patience=self._terms.patience,
            digests=self._digests,
            tasks=self._tasks[0],
            logging=self._plan.tasks[0].logging,
        )
        self._keeper = Child(MODULE, spec.model_dump_json(), KeeperMessage, inherited=[self._tasks[0]])
        self._failure = None
        self._sign_at = 0.0

    def _order(self, order: KeeperOrder) -> None:
        if self._keeper is not None:
            self._keeper.say(order.model_dump_json(exclude_defaults=True))

    def _listen(self, keeper: Child[KeeperMessage]) -> list[Shift]:
        shifts = []
        for message in keeper.read():
            self._failure = message.failure or self._failure
            self._warnings += message.warnings
            if message.lease is not None:
                self.lease, self._attempt = message.lease, 0
            self._mine = (self._mine | set(message.gained)) - set(message.lost)
            if message.gained or message.leaving or message.lost:
                log.info("tasks shared out", gained=message.gained, leaving=message.leaving, lost=message.lost)
                shifts.append(Shift(message.gained, message.leaving, message.lost))
        return shifts

    def _ended(self, keeper: Child[KeeperMessage], code: int, now: float) -> None:
        """Start another, or give up where that cannot help."""
        keeper.close()
        self._keeper = None
        failure = self._failure or failure_of_exit(code)
        verdict = decide(failure, self._attempt, RestartPolicy(delay_max=self._terms.session))
        if not isinstance(verdict, Restart):
            raise TailraceError(
                f"worker cannot stay in group {self._terms.group}: {failure.message}", hint=failure.hint
            )
        self._attempt += 1
        self._start_at = now + verdict.delay
        log.warning("out of the group", error=failure.message, hint=failure.hint, delay=round(verdict.delay, 2))


def group_states(settings: Settings) -> dict[str, WorkerState]:
    """Return what the workers of a config file's group have posted last, by name; those that left are not in it."""
    backend = build_log(settings.log, settings.folder, settings.secrets)
    return states(backend.posted(settings.worker.group)) if isinstance(backend, Shared) else {}


def digest(spec: TaskSpec) -> str:
    """Return a digest of a task's settings, without its secrets: a new password is no difference."""
    told = json.dumps([spec.kind, Masker(spec.secrets).tree(spec.block)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
