"""What else a worker keeps running beside its tasks; who starts the worker says what that is."""

from __future__ import annotations

from typing import Protocol


class Companion(Protocol):
    """A process that serves and captures nothing. Called by the supervisor's one thread; must not wait."""

    def start(self) -> None:
        """Begin, once the worker has its lock and before the first task; an error ends the worker."""

    def turn(self, now: float) -> None:
        """See to it; `now` is the time of `time.monotonic`."""

    def close(self) -> None:
        """End it; safe after a failed `start`. May wait for a moment."""
