"""How several workers share tasks through a log: each has a seat in a group, and a seat says which tasks are its own.

The group itself is the log's: Kafka's consumer groups decide who has what. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class Occupant(Protocol):
    """Whoever has the seat. Called by the thread that polls it, from within `Seat.poll` and `Seat.leave`."""

    def gained(self, tasks: Collection[str]) -> None:
        """Take note that `tasks` are this worker's now; to be run once there is a lease."""

    def release(self, tasks: Collection[str]) -> None:
        """Return when none of `tasks` runs here any more: with the return others may have them."""

    def lost(self, tasks: Collection[str]) -> None:
        """Take note that `tasks` may be running elsewhere already."""


class Seat(Protocol):
    """One worker's place in a group. Called by one thread, in the order join, (poll, post)*, leave."""

    @property
    def lease(self) -> float:
        """Until when, by `time.monotonic()`, no other worker can have been given what is ours; 0 before the first.

        It moves on with every answer of the group, and stands still while there is none.
        """
        ...

    def join(self, tasks: Sequence[str], occupant: Occupant) -> None:
        """Become one of the group; raises `Retriable` or `Fatal` where the log does not let us."""

    def poll(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for news, tell them to the occupant, and renew the lease when due."""

    def renew(self) -> None:
        """Renew the lease from within `Occupant.release`, waiting for the answer; says nothing where there is none."""

    def post(self, state: bytes) -> None:
        """Show `state` to whoever asks for `posted`, in place of the one before. Does not wait."""

    def leave(self) -> None:
        """Give back what is still ours, and go, so that the others need not wait until we are missed; safe twice."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a seat is taken under: `session` is how long, in seconds, the group waits for a sign of life.

    `patience` is how long a worker may take to release tasks.
    """

    group: str
    worker: str
    session: float
    patience: float


@runtime_checkable
class Shared(Protocol):
    """A log that workers can share tasks through."""

    def seat(self, terms: Terms) -> Seat:
        """Return a seat that is not taken yet; does no I/O."""
        ...

    def posted(self, group: str) -> Mapping[str, bytes]:
        """Return what the workers of a group have posted last, by worker; workers that left are not in it."""
        ...

    def owner(self, group: str, task: str) -> str | None:
        """Return the worker of a group that has a task now; None where nobody has it."""
        ...
