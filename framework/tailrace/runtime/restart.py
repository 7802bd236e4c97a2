"""What follows when a task has failed: the one place that decides, and its default is to stop."""

from __future__ import annotations

import random
import signal
import traceback
from collections.abc import Callable
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from tailrace.config.masking import Masker
from tailrace.errors import BadRecord, ConfigError, Retriable, TailraceError

FailureKind: TypeAlias = Literal["retriable", "fatal", "bad_record", "config", "bug", "killed", "stuck"]

_JITTER = 0.25
"""Tasks that lost the same database must not come back in step."""


class Failure(BaseModel):
    """Why a task ended, as its process tells it; no row value, no secret."""

    model_config = ConfigDict(frozen=True)

    kind: FailureKind
    message: str
    hint: str = ""
    trace: str = ""
    """For a bug: where."""
    retry_after: float | None = None
    patient: bool = False
    slow: bool = False
    """Whether it came after a step that took so long that less should be done at once."""

    def masked(self, masker: Masker) -> Failure:
        """Return this failure with secrets masked: a driver's message may repeat its connection string."""
        update = {name: masker.text(getattr(self, name)) for name in ("message", "hint", "trace")}
        return self.model_copy(update=update)


class Restart(BaseModel):
    """Start again after `delay` seconds."""

    delay: float


class Stop(BaseModel):
    """Leave the task FAILED; `reason` says why it is not started again."""

    reason: str


class RestartPolicy(BaseModel):
    """Delays in seconds: the first, doubled for each further restart without progress, up to the longest."""

    model_config = ConfigDict(frozen=True)

    delay: float = 0.5
    delay_max: float = 60.0
    limit: int = 10


def decide(
    failure: Failure, attempt: int, policy: RestartPolicy, *, jitter: Callable[[], float] = random.random
) -> Restart | Stop:
    """Say what follows `failure`; `attempt` counts the restarts since the task last made progress (a commit).

    Started again are only: faults that the plug-in calls passing, processes that were killed from outside, and
    processes that fell silent. A patient fault (the other side is away, the disk is full) has no limit of attempts.
    """
    if failure.kind not in {"retriable", "killed", "stuck"}:
        return Stop(reason=failure.kind)
    if attempt >= policy.limit and not failure.patient:
        return Stop(reason=f"no progress after {attempt} restarts")
    delay = min(policy.delay * 2.0 ** min(attempt, 30), policy.delay_max)
    delay *= 1.0 + _JITTER * (2.0 * jitter() - 1.0)
    return Restart(delay=max(delay, failure.retry_after or 0.0))


def failure_of(error: BaseException) -> Failure:
    """Describe what a plug-in raised."""
    if not isinstance(error, TailraceError):
        return Failure(
            kind="bug",
            message=f"unexpected {_told(error)}",
            hint="this is a bug of the plug-in or of Tailrace: please report it with the traceback",
            trace=_trace(error),
        )
    if isinstance(error, Retriable):
        return Failure(
            kind="retriable",
            message=error.message,
            hint=error.hint,
            retry_after=error.retry_after,
            patient=error.patient,
        )
    if isinstance(error, BadRecord):
        return Failure(kind="bad_record", message=error.message, hint=error.hint)
    if isinstance(error, ConfigError):
        return Failure(kind="config", message=error.message, hint=error.hint)
    return Failure(kind="fatal", message=error.message, hint=error.hint)


_TELLS_NO_VALUES = (AssertionError, AttributeError, ImportError, IndexError, NameError, OSError, TypeError)
"""Errors whose text speaks of code and files. That of others (ValueError, UnicodeDecodeError) may quote a row."""


def _told(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, (TailraceError, *_TELLS_NO_VALUES)) else name


def _trace(error: BaseException) -> str:
    """Return the tracebacks of `error` and of what led to it, newest first, without texts that may quote a row."""
    parts: list[str] = []
    reached: BaseException | None = error
    while reached is not None:
        parts.append("".join(traceback.format_tb(reached.__traceback__)) + _told(reached))
        reached = reached.__cause__ or (None if reached.__suppress_context__ else reached.__context__)
    return "\ncaused by\n".join(parts)


def failure_of_exit(code: int) -> Failure:
    """Describe the end of a process that did not say why it ended; `code` as `Popen.returncode` has it."""
    if code >= 0:
        return Failure(
            kind="bug",
            message=f"process ended with exit code {code} and gave no reason",
            hint="look at what it wrote to stderr",
        )
    name = signal.Signals(-code).name if -code in {member.value for member in signal.Signals} else str(-code)
    hint = "the kernel kills so when memory runs out: see dmesg" if -code == signal.SIGKILL else ""
    return Failure(kind="killed", message=f"process was killed by {name}", hint=hint)
