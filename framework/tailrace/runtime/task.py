"""The loop that every task runs: poll, stage, write, commit, ack; one thread, nothing in between.

It knows nothing of databases, logs, processes or restarts. Delivery rests on three rules:

* What the source may discard (`ack`) is what the sink has made durable (`commit`), never more.
* A position is committed together with all that was handed out before it, and only then.
* There is one way out of any trouble: close both ends, and open them again at the sink's last commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from tailrace.errors import EndOfSource, Fatal
from tailrace.position import Position
from tailrace.sink import Sink
from tailrace.source import Batch, Reporting, Source

A = TypeVar("A")
B = TypeVar("B")


_ASK_EVERY = 0.1
"""Seconds."""
_PARTS = 4
"""Sleeps of one rest."""
_FIRST_STRIDE, _LEAST_STRIDE = 1024 * 1024, 64 * 1024
_SLOW_COMMIT = 10.0
"""Seconds after which what was read is late."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to commit while the input does not run dry; when it does, the commit follows at once if `when_dry`."""

    commit_interval: float = 0.5
    commit_bytes: int = 16 * 1024 * 1024
    when_dry: bool = True  # False: a commit is costly, or leaves something behind, and waits until it is due
    idle: float = 0.5  # the longest wait of one poll in seconds, and so how late a request to stop may be noticed
    rest: float = 0.0  # seconds that a dry input waits for after a commit: where each one is a load on others
    patience: float = 120.0  # seconds of silence after which the worker's watchdog takes the task for stuck
    caution: int = 0  # how many times in a row one step took too long for the task, and nothing was committed since

    @property
    def slow(self) -> float:
        """Seconds after which one step has taken too long."""
        return min(_SLOW_COMMIT, self.patience / 4)


@dataclass(slots=True)
class Progress:
    """The variables of the loop, open to whoever watches it."""

    durable: Position | None = None  # of the last commit
    ready: Position | None = None  # where to resume once all that was written is durable; None: that cannot be said
    records: int = 0  # written since the start; `bytes` likewise, by the source's figures
    bytes: int = 0
    commits: int = 0
    uncommitted_bytes: int = 0
    waiting_since: float | None = None  # when the oldest item came that is not committed, by the loop's clock
    ending: bool = False  # whether this is the last turn


def run_task(  # noqa: PLR0913 - two ends, what lies between, and what steers it
    name: str,
    source: Source[A],
    stage: Callable[[Sequence[A]], Sequence[B]],
    sink: Sink[B],
    *,
    pace: Pace = Pace(),
    stopping: Callable[[], bool] = lambda: False,
    until_current: bool = False,
    watch: Callable[[Progress], None] = lambda _: None,
    silence: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Move items from `source` through `stage` into `sink`, until stopped, at the end, or current.

    `stopping` and `watch` are called once a turn. `silence` tells for how many seconds the task said nothing, at most,
    since it was asked last. `until_current` ends the task once the source has caught up with
    where its other side stood when it was opened, and all of that is committed. Raises whatever a plug-in raises.
    """
    now = Progress()
    with closing(sink), closing(source):
        now.durable = now.ready = sink.open(name)
        source.open(now.durable)
        watch(now)
        timeout, current, rest = 0.0, _CaughtUp(source, clock), _Rest(pace.rest, clock, sleep)
        stride = Stride(pace, silence)
        while True:
            stop = stopping()
            batch, ended = _poll(source, timeout, stop=stop)
            if batch.items:
                now.waiting_since = clock() if now.waiting_since is None else now.waiting_since
                if staged := stage(batch.items):
                    sink.write(staged)
                now.ready = batch.position  # also where it is None: the sink is now ahead of any older position
                now.records += len(staged)
                now.bytes += batch.size
                now.uncommitted_bytes += batch.size
            elif batch.position is not None:
                now.ready = batch.position
            silent = timeout > 0 and not batch.items
            end = stop or ended or (until_current and current(empty=not batch.items, silent=silent))
            at_once = end or (pace.when_dry and not batch.items and rest.over())
            if (position := _due(now, stride, clock, at_once=at_once)) is not None:
                sink.commit(position)
                rest.begin()
                stride.took(now.uncommitted_bytes, 0.0 if now.waiting_since is None else clock() - now.waiting_since)
                now.durable, now.uncommitted_bytes, now.waiting_since = position, 0, None
                now.commits += 1
            source.ack(now.durable)
            now.ending = stop or (end and now.waiting_since is None)
            watch(now)
            if ended and now.waiting_since is not None:
                raise Fatal(f"task {name}: the source ended without a position for its last items")
            if now.ending:
                return
            # Straight after a batch only look whether there is more: if there is not, commit rather than wait.
            timeout = 0.0 if batch.items or rest.taken() else pace.idle


def _poll(source: Source[A], timeout: float, *, stop: bool) -> tuple[Batch[A], bool]:
    try:
        return Batch() if stop else source.poll(timeout), False
    except EndOfSource:
        return Batch(), True


def _due(now: Progress, stride: Stride, clock: Callable[[], float], *, at_once: bool) -> Position | None:
    """Return the position to commit now, if there is one, and something that it would make durable."""
    if now.waiting_since is None:
        return now.ready if now.ready != now.durable else None  # moved on without items: let the source discard them
    full = now.uncommitted_bytes >= stride.bytes or clock() - now.waiting_since >= stride.interval
    return now.ready if at_once or full else None


class Stride:
    """How many bytes to commit at once: few to begin with, twice as many after a quick commit, half after a slow one.

    Behind a slow line a commit of the usual size may take minutes: all the while the task would say nothing, be taken
    for stuck, and try the same again in its next life. Where each commit leaves something behind, it begins with all,
    since few files are wanted; only after a life that ended so, with little.

    Slow is what took a fourth of the watchdog's patience in silence. Where a commit follows as soon as it can, it is
    also what came too late: ten seconds after its first item. Where items wait on purpose, that says nothing.
    """

    def __init__(self, pace: Pace, silence: Callable[[], float] = lambda: 0.0) -> None:
        self.interval = pace.commit_interval
        self._silence = silence
        self._when_dry = pace.when_dry
        self._slow = pace.slow if pace.when_dry else pace.patience / 4
        self._most = pace.commit_bytes
        first = [*([] if pace.when_dry else [self._most]), _FIRST_STRIDE, _LEAST_STRIDE]
        self.bytes = min(self._most, first[min(pace.caution, len(first) - 1)])
        self._least = min(_LEAST_STRIDE, self.bytes)

    def took(self, size: int, waited: float) -> None:
        """Take note of a commit of `size` bytes, and how long in seconds the first of them waited for it."""
        silence = self._silence()
        seconds = max(silence, waited) if self._when_dry else silence
        if seconds > self._slow:
            self.bytes = max(self._least, min(size, self.bytes) // 2)
        elif size >= self.bytes and seconds < self._slow / 2:
            self.bytes = min(self._most, self.bytes * 2)


class _Rest:
    """Keeps commits apart while the input is dry; what comes meanwhile gathers, and is read in few batches."""

    def __init__(self, seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._until: float | None = None

    def begin(self) -> None:
        """Rest from now on."""
        self._until = self._clock() + self._seconds if self._seconds else None

    def over(self) -> bool:
        """Whether the next commit may come."""
        return self._left() <= 0

    def taken(self) -> bool:
        """Sleep for a part of the rest: no longer, since a database waits once the connection is full."""
        left = self._left()
        if left > 0:
            self._sleep(min(left, self._seconds / _PARTS))
        return left > 0

    def _left(self) -> float:
        return 0.0 if self._until is None else self._until - self._clock()


class _CaughtUp:
    """Whether a source has caught up. While items come it is asked now and then only: that costs as much as a batch."""

    def __init__(self, source: Source[A], clock: Callable[[], float]) -> None:
        self._reporting = source if isinstance(source, Reporting) else None
        self._clock = clock
        self._asked = clock()

    def __call__(self, *, empty: bool, silent: bool) -> bool:
        """Tell; a source that cannot say has caught up once it was silent for a whole poll."""
        if self._reporting is None:
            return silent
        if not empty and self._clock() - self._asked < _ASK_EVERY:
            return False
        self._asked = self._clock()
        return self._reporting.report().caught_up
