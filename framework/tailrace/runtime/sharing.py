"""Several tasks of one sink: each has partitions of its own, and keeps their offsets under a name of its own.

    task         lake            lake-1          lake-2           number 0, 1, 2
    position     offsets of the partitions in the task's share, and
        tasks    how many tasks the partitions are shared out among
        sharing  how often they have been shared out; a task at another count than the first one has nothing to write
        until    (of the first task, while it shares out) how many tasks there may have been before

Who has which partition is settled by numbers (`log/share.py`), so nothing moves when a task dies: the next process of
that name fences off the last one, and goes on from its position. Partitions move when `tasks` is changed. Then the
first task shares out anew, and the others wait for it:

    1. it commits a new count to its own position: whoever opens from now on at the old count does not go to work
    2. it opens every other place, which fences off whoever was at work there, and reads the offsets
    3. it commits all offsets to its own position
    4. it commits to each other place the offsets of its share, with the new count
    5. it commits those of its own share to its own position, which ends it

Wherever it dies, the next process goes through it again, and leaves alone who has the new count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Protocol, cast

import structlog

from tailrace.codec.delivery import Delivery
from tailrace.errors import Retriable
from tailrace.log.share import Share
from tailrace.position import Json, Position
from tailrace.sink import Sink

log = structlog.get_logger()

_MARKS = ("tasks", "sharing", "until")
"""No partition has such a name: theirs end with a number."""
_PATIENCE = 10.0
"""Seconds to wait for the first task within one `open`; then the worker starts the task again, and again."""
_LOOK_EVERY = 0.25


class Siblings(Protocol):
    """The places of all tasks of a sink, by number."""

    def name(self, number: int) -> str:
        """Return the name of a task."""
        ...

    def position(self, number: int) -> Position | None:
        """Return the position of a task's last commit, without opening its place."""
        ...

    def sink(self, number: int) -> Sink[Delivery]:
        """Return a sink that is to be opened under that task's name."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What a position says of the sharing; one that says nothing is that of a sink's only task."""

    tasks: int = 1
    sharing: int = 0
    until: int = 0

    @classmethod
    def of(cls, position: Position | None) -> Standing:
        """Return the standing in a position."""
        return cls(**{mark: cast("int", value) for mark, value in (position or {}).items() if mark in _MARKS})

    def told(self, offsets: Position) -> Position:
        """Return a position of `offsets` and this standing."""
        if self == Standing():
            return offsets
        marks: dict[str, Json] = {"tasks": self.tasks, "sharing": self.sharing}
        return {**offsets, **marks, **({"until": self.until} if self.until else {})}


def offsets_of(position: Position | None) -> dict[str, int]:
    """Return the offsets by partition in a position."""
    return {name: cast("int", offset) for name, offset in (position or {}).items() if name not in _MARKS}


class SharedSink:
    """A sink of one task among several, or of one that is alone now. Outside it, positions are offsets only."""

    def __init__(
        self, sink: Sink[Delivery], share: Share, siblings: Siblings, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._sink = sink
        self._share = share
        self._siblings = siblings
        self._sleep = sleep
        self._standing = Standing()

    def open(self, task: str) -> Position | None:
        """Become the writer of the share; raises `Retriable` while it is not shared out."""
        position = self._lead(task) if self._share.number == 0 else self._follow(task)
        self._standing = Standing.of(position)
        return offsets_of(position) or None

    def write(self, items: Sequence[Delivery]) -> None:
        """Pass `items` on."""
        self._sink.write(items)

    def commit(self, position: Position) -> None:
        """Commit, with the standing beside the offsets."""
        self._sink.commit(self._standing.told(position))

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()

    def _lead(self, task: str) -> Position | None:
        position = self._sink.open(task)
        standing = Standing.of(position)
        if standing.tasks == self._share.tasks and not standing.until:
            return position
        again = standing.tasks == self._share.tasks  # it died while it shared out for as many
        count = standing.sharing if again else standing.sharing + 1
        until = max(standing.until, standing.tasks, self._share.tasks)
        now = Standing(self._share.tasks, count, until)
        log.info("sharing out", tasks=now.tasks, before=standing.tasks)
        self._sink.commit(now.told(offsets_of(position)))
        return self._share_out(now, offsets_of(position))

    def _share_out(self, now: Standing, offsets: dict[str, int]) -> Position:
        settled = replace(now, until=0)
        with ExitStack() as stack:
            opened: dict[int, Sink[Delivery]] = {}
            for number in range(1, now.until):
                if Standing.of(self._siblings.position(number)) == settled:
                    continue
                opened[number] = stack.enter_context(closing(self._siblings.sink(number)))
                theirs = offsets_of(opened[number].open(self._siblings.name(number)))
                # An offset only grows, whoever has the partition: the largest is the last.
                offsets |= {name: max(offset, offsets.get(name, 0)) for name, offset in theirs.items()}
            self._sink.commit(now.told(offsets))
            for number, sink in opened.items():
                sink.commit(settled.told(_shared(offsets, Share(number, now.tasks))))
            position = settled.told(_shared(offsets, self._share))
            self._sink.commit(position)
        return position

    def _follow(self, task: str) -> Position | None:
        deadline = time.monotonic() + _PATIENCE
        while not self._settled(self._siblings.position(self._share.number)):
            if time.monotonic() >= deadline:
                raise self._unsettled()
            self._sleep(_LOOK_EVERY)
        position = self._sink.open(task)
        # Looked at again: from here on, who shares out anew has to open this place, and fences us off.
        if not self._settled(position):
            raise self._unsettled()
        return position

    def _settled(self, own: Position | None) -> bool:
        """Whether our place has been given its share, and the first task has not begun to share out anew."""
        mine, first = Standing.of(own), Standing.of(self._siblings.position(0))
        return mine.tasks == first.tasks == self._share.tasks and mine.sharing == first.sharing

    def _unsettled(self) -> Retriable:
        first = self._siblings.name(0)
        return Retriable(
            f"open share {self._share.number} of {self._share.tasks}: {first} has not shared out to so many tasks",
            hint=f"it goes on once task {first} runs, by a config that says tasks: {self._share.tasks} too",
            retry_after=1.0,
            patient=True,
        )


def _shared(offsets: Mapping[str, int], share: Share) -> Position:
    """Return the offsets of a share's partitions; none of a share that there is no more."""
    return {name: offset for name, offset in offsets.items() if share.has(*_place(name))}


def _place(name: str) -> tuple[str, int]:
    topic, _, partition = name.rpartition("-")
    return topic, int(partition)
