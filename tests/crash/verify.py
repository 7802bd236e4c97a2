"""The verdict: what a topic tells against what was committed.

Per key, the topic must tell a suffix of the key's history: from the row as the snapshot read it (or from its creation,
where the snapshot did not see it) everything that was committed, once, in order. It does not look into single
transactions, and it cannot know which rows a chunk saw: where a history begins is checked by the table's state only.

    lost           committed, and not in the topic
    invented       in the topic, and not committed; also with content that was not committed
    duplicated     in the topic again
    out of order   in the topic, after something that came later
    unresolved     a value that was not sent, of a row of which the topic never told the value
    state          the topic, folded, and SELECT * differ
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from crash.history import Entry, History
from crash.tables import Content
from crash.trail import Trail

Kind = Literal["lost", "invented", "duplicated", "out of order", "unresolved", "state"]

KINDS: Sequence[Kind] = ("lost", "invented", "duplicated", "out of order", "unresolved", "state")

EXAMPLES = 5


class NotSent(Enum):
    """`NOT_SENT`: a cell that the database did not send (an unchanged TOAST column)."""

    NOT_SENT = "not sent"


NOT_SENT = NotSent.NOT_SENT

Cells = tuple["str | None | NotSent", ...]


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """One record of a topic. `op` is Debezium's letter, or `x` for a tombstone; `key` is None for truncates."""

    offset: int
    op: str
    key: str | None
    after: Cells | None = None
    before: Cells | None = None
    moved_from: str | None = None


@dataclass(slots=True)
class Verdict:
    """How often each fault was found, with the first few of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)

    def add(self, kind: Kind, text: str) -> None:
        """Note one fault."""
        self.counts[kind] += 1
        if self.counts[kind] <= EXAMPLES:
            self.examples.setdefault(kind, []).append(text)

    def merge(self, other: Verdict) -> None:
        """Add the faults of another table."""
        self.counts.update(other.counts)
        self.events.update(other.events)
        for kind, texts in other.examples.items():
            mine = self.examples.setdefault(kind, [])
            mine += texts[: EXAMPLES - len(mine)]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.counts.total()

    def lines(self) -> list[str]:
        """Return the verdict for people."""
        lines = [" ".join(f"{kind}={self.counts[kind]}" for kind in KINDS)]
        return lines + [f"  {kind}: {text}" for kind in KINDS for text in self.examples.get(kind, ())]


class TableCheck:
    """Takes the events of one table in the order of its topic, and judges them.

    `scattered`: the topic has several partitions, to be fed one after the other, with `next_partition` between them.
    """

    def __init__(self, history: History, *, scattered: bool = False) -> None:
        self._scattered = scattered
        self.verdict = Verdict()
        self._history = history
        self._table = history.table
        again = bool(history.table.big) and not history.table.full
        self._trails = {key: Trail(entries, again=again) for key, entries in history.entries.items()}
        self._rows: dict[str, Cells] = {}
        self._gone: dict[str, Cells] = {}
        self._twins: Counter[Content] = Counter()
        self._deleted: str | None = None
        self._writers: dict[str, tuple[int, int]] = {}

    def feed(self, event: TopicEvent) -> None:
        """Take the next event."""
        self.verdict.events[event.op] += 1
        self._tombstones(event)
        if event.op == "x":
            return
        if not self._table.versioned:
            self._feed_twin(event)
        elif event.op == "t":
            self.verdict.add("invented", f"{self._at(event)}: truncate without a version, use check_table")
        elif event.op == "d":
            self._feed_delete(event)
        else:
            self._feed_upsert(event)

    def feed_truncate(self, event: TopicEvent, ver: int) -> None:
        """Take a truncate that is known to be the committed one with version `ver`."""
        self.verdict.events[event.op] += 1
        self._tombstones(event)
        for key, trail in self._trails.items():
            if not trail.truncate(ver, self._history.settled):
                self.verdict.add("out of order", f"{self._at(event)}: truncate after later changes of {key}")
        self._gone.update(self._rows)
        self._rows.clear()

    def next_partition(self) -> None:
        """Take what follows as the events of another partition, or the end."""
        if self._deleted is not None:
            self.verdict.add("lost", f"{self._table.name}: no tombstone after the delete of {self._deleted}")
        self._deleted = None
        self._writers.clear()

    def finish(self) -> Verdict:
        """Judge what is missing, and the folded state."""
        self.next_partition()
        for key, trail in self._trails.items():
            for entry in trail.lost(self._history.settled):
                self.verdict.add("lost", f"{self._table.name} {key}: {_told(entry)}")
        self._compare_state()
        return self.verdict

    def _tombstones(self, event: TopicEvent) -> None:
        expected, self._deleted = self._deleted, None
        if event.op == "x":
            if expected is None:
                self.verdict.add("duplicated", f"{self._at(event)}: tombstone without a delete before it")
            elif expected != event.key:
                self.verdict.add("out of order", f"{self._at(event)}: tombstone after the delete of {expected}")
        elif expected is not None:
            self.verdict.add("lost", f"{self._at(event)}: no tombstone after the delete of {expected}")
        if event.op == "d" and not self._table.keyless:
            self._deleted = event.key

    def _feed_upsert(self, event: TopicEvent) -> None:
        table, after, key = self._table, event.after, event.key
        if after is None or key is None or key != "|".join(str(after[table.index(name)]) for name in table.key):
            self.verdict.add("invented", f"{self._at(event)}: key and row do not fit together")
            return
        row = self._resolve(event, after)
        trail = self._trails.get(key)
        ver = int(str(row[table.index("ver")]))
        index = trail.find(ver) if trail else None
        if trail is None or index is None:
            self.verdict.add("invented", f"{self._at(event)}: version {ver} of {key} was never committed")
        elif index < trail.next:
            again = index in trail.seen
            trail.seen.add(index)
            self.verdict.add("duplicated" if again else "out of order", f"{self._at(event)}: version {ver} of {key}")
            return
        else:
            row = self._check_entry(event, trail, trail.entries[index], row)
            trail.advance(index, self._history.settled, beginning=event.op != "u")
            self._check_writer(event, row, ver)
        self._rows[key] = row

    def _feed_delete(self, event: TopicEvent) -> None:
        key = event.key or ""
        trail = self._trails.get(key)
        row = self._rows.pop(key, None)
        if row is not None:
            self._gone[key] = row
            self._check_before(event, row)
        index = trail.find_delete() if trail else None
        if trail is not None and trail.seen and row is None:
            self.verdict.add("duplicated", f"{self._at(event)}: delete of {key}, which is deleted")
        elif trail is None or index is None:
            self.verdict.add("invented", f"{self._at(event)}: delete of {key} was never committed")
        else:
            trail.advance(index, self._history.settled, beginning=False)

    def _feed_twin(self, event: TopicEvent) -> None:
        if event.before is not None and event.op in "ud":
            before = _content(event.before)
            self._twins[before] -= 1
            if self._twins[before] < 0:
                self.verdict.add("invented", f"{self._at(event)}: {event.op} of {before}, which is not there")
        if event.after is not None:
            self._twins[_content(event.after)] += 1

    def _check_entry(self, event: TopicEvent, trail: Trail, entry: Entry, after: Cells) -> Cells:
        """Compare with what was committed; return the row, unsent values filled in where they cannot be known."""
        if event.op != entry.op and not (event.op == "r" and trail.begins):
            self.verdict.add("invented", f"{self._at(event)}: {event.op} of {event.key}, committed was {_told(entry)}")
        if entry.content is not None and not _same(after, entry.content):
            self.verdict.add("invented", f"{self._at(event)}: content {after}, committed was {entry.content}")
        if event.op == "u" and event.key in self._rows:
            self._check_before(event, self._rows[event.key])
        return entry.content if self._scattered and NOT_SENT in after and entry.content is not None else after

    def _check_before(self, event: TopicEvent, row: Cells) -> None:
        if self._table.full and (event.before is None or not _same(event.before, row)):
            self.verdict.add("invented", f"{self._at(event)}: before is {event.before}, the topic told {row}")

    def _check_writer(self, event: TopicEvent, after: Cells, ver: int) -> None:
        """Transactions of one writer follow one another, and so do the changes of each."""
        writer = str(after[self._table.index("writer")])
        if event.op == "r" or writer == "0":
            return
        now = (int(str(after[self._table.index("tx")])), ver)
        if now < self._writers.get(writer, now):
            self.verdict.add("out of order", f"{self._at(event)}: transaction of writer {writer}")
        self._writers[writer] = now

    def _resolve(self, event: TopicEvent, after: Cells) -> Cells:
        if NOT_SENT not in after:
            return after
        self.verdict.events["not sent"] += 1
        known = self._rows.get(event.key or "")
        if known is None and event.moved_from is not None:
            known = self._gone.get(event.moved_from)
            if known is None and self._scattered:
                return after  # told in another partition, and the order between these is not known
        if known is None or event.op == "r":
            self.verdict.add("unresolved", f"{self._at(event)}: {event.op} of {event.key}")
            return after
        return tuple(old if cell is NOT_SENT else cell for cell, old in zip(after, known, strict=True))

    def _compare_state(self) -> None:
        if not self._table.versioned:
            self._compare_twins()
            return
        for key in self._rows.keys() | self._history.rows.keys():
            told, there = self._rows.get(key), self._history.rows.get(key)
            if told != there:
                self.verdict.add("state", f"{self._table.name} {key}: topic {told}, table {there}")

    def _compare_twins(self) -> None:
        for row in self._twins.keys() | self._history.twins.keys():
            told, there = self._twins[row], self._history.twins.get(row, 0)
            if told != there:
                self.verdict.add("state", f"{self._table.name} {row}: topic {told} times, table {there}")

    def _at(self, event: TopicEvent) -> str:
        return f"{self._table.name} offset {event.offset}"


def check_table(history: History, *partitions: Iterable[TopicEvent]) -> Verdict:
    """Judge all events of one table's topic. One that is truncated must have one partition."""
    check = TableCheck(history, scattered=len(partitions) > 1)
    if not history.truncates:
        for events in partitions:
            for event in events:
                check.feed(event)
            check.next_partition()
        return check.finish()
    (told,) = (list(events) for events in partitions)
    versions = _truncates(history, told, check.verdict)
    for event in told:
        if event.op == "t" and event.offset in versions:
            check.feed_truncate(event, versions[event.offset])
        elif event.op != "t":
            check.feed(event)
    return check.finish()


def _truncates(history: History, told: Sequence[TopicEvent], verdict: Verdict) -> dict[int, int]:
    """Tell which committed truncate each one in the topic is, by the versions around it; return offset to version."""
    versions: dict[int, int] = {}
    left = list(history.truncates)
    ver = history.table.index("ver")
    told_versions = [int(str(event.after[ver])) if event.after else None for event in told]
    below = _running(told_versions[::-1], min, float("inf"))[::-1]
    # The snapshot may have read rows from after the truncate before the stream came to it.
    above = _running([None if event.op == "r" else ver for event, ver in zip(told, told_versions, strict=True)], max, 0)
    for position in range(len(told) - 1, -1, -1):
        event = told[position]
        if event.op != "t":
            continue
        # From the end: the last committed one that lies below all versions told later.
        while left and left[-1] > below[position]:
            _missing(history, left.pop(), verdict)
        if left and left[-1] > above[position]:
            versions[event.offset] = left.pop()
        else:
            verdict.add("invented", f"{history.table.name} offset {event.offset}: truncate was never committed")
    for missing in left:
        _missing(history, missing, verdict)
    return versions


def _running(versions: Sequence[int | None], pick: Callable[[float, float], float], start: float) -> list[float]:
    """Return, for each place, the lowest or highest version before it."""
    so_far: list[float] = []
    for ver in versions:
        so_far.append(start)
        start = start if ver is None else pick(start, ver)
    return so_far


def _missing(history: History, ver: int, verdict: Verdict) -> None:
    if history.settled is not None and ver > history.settled:
        verdict.add("lost", f"{history.table.name}: truncate with version {ver}")


def _same(cells: Cells, content: Cells) -> bool:
    return all(cell == other or cell is NOT_SENT or other is NOT_SENT for cell, other in zip(cells, content))  # noqa: B905 - another length is not the same


def _content(cells: Cells) -> Content:
    return tuple(None if cell is NOT_SENT else cell for cell in cells)


def _told(entry: Entry) -> str:
    return f"{entry.op} of version {entry.ver}"
