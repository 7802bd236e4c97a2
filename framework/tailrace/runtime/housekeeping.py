"""Retention and compaction of the log, every few minutes, in a short-lived process of their own.

`python -m tailrace.runtime.housekeeping` is started by the worker; it makes one pass and ends. It is no task: it holds
no lock that a task needs, and where it fails the worker says so and tries again at the next turn.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Protocol, runtime_checkable

import structlog
from pydantic import BaseModel, ConfigDict

from tailrace.config.masking import Masker
from tailrace.runtime.build import Plan, build_log
from tailrace.runtime.child import Child, Message
from tailrace.runtime.lifeline import Lifeline
from tailrace.runtime.logs import LogSettings, configure_logs
from tailrace.runtime.process import Mouth, read_line
from tailrace.runtime.restart import failure_of

log = structlog.get_logger()

_MODULE = "tailrace.runtime.housekeeping"


@runtime_checkable
class Cleaning(Protocol):
    """A log that wants housekeeping by whoever runs it; Kafka does its own."""

    def clean(self) -> None:
        """Make one pass of retention and compaction; safe beside writers and readers."""


class HousekeepingSpec(BaseModel):
    """What the process has to know."""

    model_config = ConfigDict(frozen=True)

    log: dict[str, object]
    folder: Path
    secrets: frozenset[str] = frozenset()
    logging: LogSettings = LogSettings()


class Housekeeper:
    """The worker's side: starts a pass when one is due and the last has ended."""

    def __init__(self, plan: Plan) -> None:
        settings = plan.settings
        self._interval = settings.worker.cleanup_interval
        logging = plan.tasks[0].logging if plan.tasks else LogSettings()
        self._spec = HousekeepingSpec(
            log=dict(settings.log), folder=settings.folder, secrets=settings.secrets, logging=logging
        )
        self._due: float | None = None
        self._child: Child[Message] | None = None

    def turn(self, now: float) -> None:
        """Start a pass if it is time for one; note how the last one ended."""
        if self._due is None:
            self._due = now + self._interval
        if self._child is not None:
            self._reap(self._child)
        elif now >= self._due:
            self._due = now + self._interval
            self._child = Child(_MODULE, self._spec.model_dump_json(), Message)

    def close(self) -> None:
        """End a pass that still runs: the next one does its work again."""
        if self._child is not None:
            self._child.kill()
            self._child.close()
            self._child = None

    def _reap(self, child: Child[Message]) -> None:
        code = child.ended()
        if code is None:
            return
        failures = [message.failure for message in child.read() if message.failure is not None]
        child.close()
        self._child = None
        if code != 0:
            error = failures[0].message if failures else f"exit code {code}"
            log.warning("log housekeeping failed", error=error, hint=failures[0].hint if failures else "")


def main() -> int:
    """Make one pass; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line, _ = read_line(0)
    spec = HousekeepingSpec.model_validate_json(line)
    mouth = Mouth()
    Lifeline(0).follow(lambda: None, grace=0.0)
    configure_logs(spec.logging, spec.secrets)
    try:
        backend = build_log(spec.log, spec.folder, spec.secrets)
        if isinstance(backend, Cleaning):
            backend.clean()
    except Exception as error:  # noqa: BLE001 - the process boundary: whatever it was, the worker is told
        mouth.say(Message(failure=failure_of(error).masked(Masker(spec.secrets))))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
