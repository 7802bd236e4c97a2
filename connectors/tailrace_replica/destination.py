"""What a database has to do for the sink: one transaction holds the changes of a commit and the position.

Bookkeeping lies in the destination itself, in the table `tailrace_replica`: a row for each task, with the position and
an epoch that each `open` counts up. A commit that does not find its own epoch fails: a process that was thought dead
cannot commit behind its successor's back. A lock besides refuses a second writer at once, unless that one is to take
over (`seize`): what a worker holds that stands still, or whose machine is gone, it may hold for hours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Retriable
from tailrace.position import Position
from tailrace.source import Finding
from tailrace_replica.target import Changes, RowWriter, Target

BOOKS = "tailrace_replica"
MOVES = "tailrace_replica_moves"
"""Marks of changed keys of which one half has been here and the other has not."""

Reject: TypeAlias = Callable[[Delivery, BadRecord], None]


class Destination(Protocol):
    """Called by one thread: open, (prepare, apply)*, commit, …, close."""

    template: str
    """Of a table's name, where the settings have none."""
    ddl_commits: bool
    """Whether changing a table ends the transaction, so that it must come before any change of a row."""
    held_rows: int
    """Rows to hold before they are applied: enough for the destination to be quick, and some megabytes."""

    def open(self, task: str, *, seize: bool = False) -> Position | None:
        """Connect, become the only writer, return the position; raises `Retriable` while there is another.

        `seize` ends the other one's connection, where the destination has connections.
        """
        ...

    def writer(self, target: Target) -> RowWriter:
        """Return what makes rows of a target."""
        ...

    def prepare(self, target: Target) -> None:
        """Have the table take rows of this target: make or alter it; raises `Fatal` where its types are at odds."""

    def apply(self, changes: Changes, reject: Reject) -> None:
        """Make the changes, in the transaction that is open; hand back those that the database refuses."""

    def commit(self, position: Position) -> None:
        """Commit the transaction, with the position in it."""

    def close(self) -> None:
        """Roll back and disconnect; safe at any time."""

    def position(self, task: str) -> Position | None:
        """Connect, return the position, disconnect."""
        ...

    def set_position(self, task: str, position: Position | None) -> None:
        """Connect, replace the position, disconnect; raises `Retriable` while there is a writer."""

    def check(self) -> Sequence[Finding]:
        """Connect, look whether tables can be made, disconnect."""
        ...


def fenced(task: str) -> Retriable:
    """Return the error of a writer that another one has replaced."""
    return Retriable(
        f"replica of {task} has another writer by now", hint="this one goes; if both start again, stop one"
    )


def held(task: str) -> Retriable:
    """Return the error of a writer that comes while another is at work."""
    return Retriable(
        f"replica of {task} is being written by another process",
        hint="stop the other worker; the database lets go of a dead one's lock shortly",
    )
