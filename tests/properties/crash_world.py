"""A world in which every plug-in call may fail before or after it took effect: what the crash schedules run in.

A *story* is a database (transactions whose rows interleave), a way of cutting it into batches, a pace of commits, and
a script of faults. Nothing here knows how the loop works; what it must guarantee is checked in `outcome`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from tailrace.errors import EndOfSource, Retriable
from tailrace.position import Position
from tailrace.runtime.task import Pace
from tailrace.source import Batch


class Crash(Retriable):
    """Stands for a process that died, a connection that broke, an answer that was lost."""


class Broken(Exception):
    """What no crash may ever bring about."""


@dataclass(frozen=True)
class Row:
    """One change; `commit` numbers its transaction in commit order, `lsn` its place in the interleaved stream."""

    commit: int
    ordinal: int
    lsn: int


@dataclass(frozen=True)
class Story:
    # the order in which transactions write their rows: numbers of transactions, each as often as it has rows
    writes: tuple[int, ...]
    batch_rows: int
    across: bool  # batches may span transactions
    inside: bool  # positions are given inside transactions too
    idle_every: int  # every n-th poll is empty, moved on or not
    partitions: int
    commit_turns: int
    commit_bytes: int
    faults: tuple[str, ...]
    stop_after: int = 0  # turns after which the first run is asked to stop; 0: never

    def transactions(self) -> list[list[Row]]:
        """Transactions in commit order: the order of their last rows."""
        last = {txn: at for at, txn in enumerate(self.writes)}
        order = {txn: commit for commit, txn in enumerate(sorted(last, key=lambda txn: last[txn]))}
        found: list[list[Row]] = [[] for _ in order]
        for lsn, txn in enumerate(self.writes, start=1):
            rows = found[order[txn]]
            rows.append(Row(order[txn], len(rows), lsn))
        return found

    def rows(self) -> list[Row]:
        return [row for transaction in self.transactions() for row in transaction]


@dataclass
class Faults:
    """Outcomes of calls, one each: ok, fail before, fail after (the lost answer); ok when the script is over."""

    script: Sequence[str]
    calls: int = 0

    def around(self, effect: Callable[[], None]) -> None:
        fault = self.script[self.calls] if self.calls < len(self.script) else "ok"
        self.calls += 1
        if fault == "before":
            raise Crash("before")
        effect()
        if fault == "after":
            raise Crash("after")


class Database:
    """A source with a slot: transactions come in commit order, and what is acked is discarded for ever."""

    def __init__(self, story: Story, faults: Faults) -> None:
        self.story = story
        self.faults = faults
        self.transactions = story.transactions()
        self.discarded = 0  # transactions
        self.polls = 0
        self.at = (0, 0)
        self.opened = False

    def open(self, resume_from: Position | None) -> None:
        def effect() -> None:
            self.at = self.place(resume_from)
            if self.at[0] < self.discarded:
                raise Broken(f"asked for transaction {self.at[0]}, but an ack let {self.discarded} go")
            self.opened = True

        self.faults.around(effect)

    def place(self, position: Position | None) -> tuple[int, int]:
        return (0, 0) if position is None else (_int(position, "commit"), _int(position, "ordinal"))

    def poll(self, timeout: float) -> Batch[Row]:
        assert self.opened
        batches: list[Batch[Row]] = []
        self.faults.around(lambda: batches.append(self.take()))
        return batches[0]

    def take(self) -> Batch[Row]:
        self.polls += 1
        if self.story.idle_every and self.polls % self.story.idle_every == 0:
            return Batch((), self.position() if self.polls % 2 else None)
        items: list[Row] = []
        commit, ordinal = self.at
        while commit < len(self.transactions) and len(items) < self.story.batch_rows:
            items.append(self.transactions[commit][ordinal])
            ordinal += 1
            if ordinal == len(self.transactions[commit]):
                commit, ordinal = commit + 1, 0
                if not self.story.across:
                    break
        if not items:
            raise EndOfSource
        self.at = (commit, ordinal)
        return Batch(items, self.position(), size=len(items))

    def position(self) -> Position | None:
        commit, ordinal = self.at
        return {"commit": commit, "ordinal": ordinal} if ordinal == 0 or self.story.inside else None

    def ack(self, position: Position | None) -> None:
        def effect() -> None:
            if position is not None:
                self.discarded = max(self.discarded, _int(position, "commit"))

        self.faults.around(effect)

    def close(self) -> None:
        self.opened = False


class ByRowLsn(Database):
    """The tempting wrong way: the position is the LSN of the last row, and older rows count as seen."""

    skip = highest = 0

    def take(self) -> Batch[Row]:
        while True:
            batch = super().take()
            items = [row for row in batch.items if row.lsn > self.skip]
            if items:
                self.highest = items[-1].lsn
            if items or not batch.items:
                return Batch(items, {**batch.position, "lsn": self.highest} if batch.position else None, len(items))

    def place(self, position: Position | None) -> tuple[int, int]:
        self.skip = self.highest = 0 if position is None else _int(position, "lsn")
        return (0, 0) if position is None else (_int(position, "commit"), 0)


class PartitionedLog:
    """A log of several partitions: flush each, then one record in a journal, and that is the commit.

    Readers see what the journal covers. `open` cuts the rest.
    """

    def __init__(self, story: Story, faults: Faults) -> None:
        self.faults = faults
        self.files: list[list[Row]] = [[] for _ in range(story.partitions)]
        self.flushed = [0] * story.partitions
        self.journal: tuple[Position | None, list[int]] = (None, [0] * story.partitions)
        self.opened = False

    def open(self, task: str) -> Position | None:
        def effect() -> None:
            for file, flushed, end in zip(self.files, self.flushed, self.journal[1], strict=True):
                if flushed < end:
                    raise Broken("the journal names records that were never flushed")
                del file[end:]
            self.opened = True

        self.faults.around(effect)
        return self.journal[0]

    def write(self, items: Sequence[Row]) -> None:
        assert self.opened
        half = len(items) // 2
        for part in (items[:half], items[half:]):
            self.faults.around(lambda part=part: self.append(part))  # type: ignore[misc]

    def append(self, items: Sequence[Row]) -> None:
        for row in items:
            self.files[row.lsn % len(self.files)].append(row)

    def commit(self, position: Position) -> None:
        for partition in range(len(self.files)):
            self.faults.around(lambda partition=partition: self.flush(partition))  # type: ignore[misc]
        self.faults.around(lambda: self.record(position))

    def flush(self, partition: int) -> None:
        self.flushed[partition] = len(self.files[partition])

    def record(self, position: Position) -> None:
        self.journal = (position, [len(file) for file in self.files])

    def close(self) -> None:
        self.opened = False

    def seen(self) -> list[list[Row]]:
        return [file[:end] for file, end in zip(self.files, self.journal[1], strict=True)]


class Destination:
    """A sink that cannot keep a position."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.durable: list[Row] = []
        self.pending: list[Row] = []

    def open(self, task: str) -> None:
        self.pending = []
        self.faults.around(lambda: None)

    def write(self, items: Sequence[Row]) -> None:
        self.faults.around(lambda: self.pending.extend(items))

    def flush(self) -> None:
        def effect() -> None:
            self.durable += self.pending
            self.pending = []

        self.faults.around(effect)

    def close(self) -> None:
        self.pending = []


@dataclass
class Offsets:
    """Keeps positions durably, beside the destination."""

    faults: Faults
    saved: dict[str, Position] = field(default_factory=dict)

    def load(self, task: str) -> Position | None:
        return self.saved.get(task)

    def save(self, task: str, position: Position) -> None:
        self.faults.around(lambda: self.saved.update({task: position}))


def pace_of(story: Story) -> tuple[Pace, Callable[[], float]]:
    """A clock that ticks at every look, so that the interval is counted in turns."""
    ticks: Iterator[int] = count()
    return Pace(commit_interval=story.commit_turns, commit_bytes=story.commit_bytes, idle=1.0), lambda: float(
        next(ticks)
    )


def _int(position: Mapping[str, object], key: str) -> int:
    value = position[key]
    assert isinstance(value, int)
    return value
