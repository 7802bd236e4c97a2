"""What can go wrong, as plug-ins say it; which of these means what is decided in one place, `runtime/restart.py`.

    TailraceError
    ├── ConfigError          the configuration is wrong: nothing was started (exit code 2)
    ├── Retriable            close everything, wait, start again from the last commit
    ├── Fatal                stop the task; only an operator can help
    └── BadRecord            this one event cannot be transformed, encoded or written

Anything else that a plug-in raises is a bug, and is treated as `Fatal` with its traceback.
"""

from __future__ import annotations


class TailraceError(Exception):
    """Base of all errors raised on purpose.

    `message` is the operation, then the values: lowercase, no full stop, never a row value or a secret.
    `hint` tells an operator what to do about it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class ConfigError(TailraceError):
    """The configuration cannot be used; raised before anything is started."""


class Retriable(TailraceError):
    """A passing fault: close everything, wait, and start again from the last commit.

    `retry_after` is the shortest wait in seconds that makes sense (None: the usual back-off).
    `patient` says that the other side is away or full, and that waiting without limit is right; without it
    the supervisor gives up after a number of restarts that brought no progress.
    """

    def __init__(
        self, message: str, *, hint: str = "", retry_after: float | None = None, patient: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.patient = patient


class Fatal(TailraceError):
    """Stop the task: going on would lose, invent or reorder something, or cannot work."""


class BadRecord(TailraceError):
    """One event cannot be transformed, encoded or written; the connector's `errors` policy decides what follows."""


class EndOfSource(Exception):
    """Raised by `Source.poll`: the source has nothing more and never will."""
