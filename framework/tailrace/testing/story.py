"""A source that tells a story: `[1, 2, ABORT, 3]`, and again from where it stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from tailrace.errors import EndOfSource, Fatal, Retriable
from tailrace.position import Position
from tailrace.source import Batch, Report

T = TypeVar("T")


class Twist(Enum):
    """What a story may hold beside items."""

    ABORT = "the connection breaks, once"
    FATAL = "something that only an operator can mend, once"
    DRY = "nothing is at hand for the moment, once"
    OPEN = "a transaction begins: no positions are given until CLOSE"
    CLOSE = "the transaction ends"


ABORT, FATAL, DRY, OPEN, CLOSE = Twist

Scene: TypeAlias = "T | Twist"


class StorySource(Generic[T]):
    """Hands out the items of `story`, at most `batch` at a time, and keeps what was acked in `acked`.

    At the end it raises `EndOfSource`, or waits for more (`endless`); `story` may be extended meanwhile.
    """

    def __init__(self, story: Sequence[Scene[T]], *, batch: int = 2, endless: bool = False) -> None:
        self.story = list(story)
        self.acked: list[Position | None] = []
        self.opened_at: list[Position | None] = []
        self.closed = 0
        self._batch = batch
        self._endless = endless
        self._spent: set[int] = set()
        self._at = 0
        self._open = False

    def open(self, resume_from: Position | None) -> None:
        """Go back to `resume_from`, an index into the story."""
        at = 0 if resume_from is None else resume_from["at"]
        assert isinstance(at, int)
        self._at = at
        self._open = True
        self.opened_at.append(resume_from)

    def poll(self, timeout: float) -> Batch[T]:
        """Return the next items, up to the next twist."""
        assert self._open, "poll of a source that is not open"
        items: list[T] = []
        while self._at < len(self.story) and len(items) < self._batch:
            scene = self.story[self._at]
            if not isinstance(scene, Twist):
                items.append(scene)
            elif scene in {ABORT, FATAL, DRY} and self._at not in self._spent:
                if items:
                    break
                return self._turn(scene, timeout)
            self._at += 1
        if items:
            return Batch(items, self._position(), size=len(items))
        if not self._endless:
            raise EndOfSource
        time.sleep(min(timeout, 0.01))
        return Batch()

    def ack(self, position: Position | None) -> None:
        """Take note."""
        self.acked.append(position)

    def close(self) -> None:
        """Take note."""
        self.closed += 1
        self._open = False

    def report(self) -> Report:
        """Say where in the story it is."""
        return Report(position=str(self._at), caught_up=self._at >= len(self.story))

    def _turn(self, twist: Twist, timeout: float) -> Batch[T]:
        self._spent.add(self._at)
        if twist is ABORT:
            raise Retriable("story: the connection broke")
        if twist is FATAL:
            raise Fatal("story: this cannot go on", hint="mend it")
        time.sleep(min(timeout, 0.01))
        return Batch()

    def _position(self) -> Position | None:
        told = self.story[: self._at]
        within = told.count(OPEN) > told.count(CLOSE)
        closing = within and self.story[self._at : self._at + 1] == [CLOSE]
        return {"at": self._at} if not within or closing else None
