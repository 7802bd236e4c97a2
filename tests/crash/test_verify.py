"""The verifier's own test: a faithful topic passes, and each way to spoil it is reported as what it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from crash.history import Entry, History
from crash.tables import TABLES, Content, CrashTable
from crash.verify import NOT_SENT, Cells, TopicEvent, Verdict, check_table

BY_NAME = {table.name: table for table in TABLES}
ACCOUNTS, PAGES, DOCUMENTS = BY_NAME["accounts"], BY_NAME["pages"], BY_NAME["documents"]
NOTES, SCRATCH, TWINS = BY_NAME["notes"], BY_NAME["scratch"], BY_NAME["twins"]

VERSIONED = [table for table in TABLES if table.versioned]


class Story:
    """A random history of one table, and the topic that tells it faithfully."""

    def __init__(self, table: CrashTable, seed: int, *, steps: int = 300) -> None:
        self.table = table
        self.events: list[TopicEvent] = []
        self.entries: dict[str, list[Entry]] = {}
        self.truncates: list[int] = []
        self.rows: dict[str, Content] = {}
        self.settled = 0
        self._rng = random.Random(f"story {table.name} {seed}")
        self._ver = 0
        for step in range(steps):
            if step == steps // 5:
                self._snapshot()
            self._step(told=step >= steps // 5)

    @property
    def history(self) -> History:
        return History(self.table, self.entries, self.truncates, self.rows, settled=self.settled)

    def _snapshot(self) -> None:
        self._ver += 1
        self.settled = self._ver
        for key, row in self.rows.items():
            self._tell("r", key, after=row)

    def _step(self, *, told: bool) -> None:
        rng = self._rng
        self._ver += 1
        key = self._key(rng.randrange(12))
        if self.table.truncated and rng.random() < 0.05:
            self._truncate(told=told)
        elif key not in self.rows:
            self._upsert("c", key, told=told)
        elif rng.random() < 0.3:
            self._delete(key, told=told)
        else:
            self._upsert("u", key, told=told)

    def _key(self, n: int) -> str:
        return "|".join([str(n)] * len(self.table.key))

    def _upsert(self, op: str, key: str, *, told: bool) -> None:
        before = self.rows.get(key)
        names = self.table.names
        cells = dict(zip(names, before, strict=True)) if before else dict.fromkeys(names, f"text {self._ver}")
        cells |= dict(zip(self.table.key, key.split("|"), strict=True))
        cells |= {"ver": str(self._ver), "writer": str(self._ver % 3 + 1), "tx": str(self._ver // 7)}
        row = tuple(cells[name] for name in names)
        self.rows[key] = row
        self.entries.setdefault(key, []).append(Entry(self._ver, op, row))
        if told:
            sent = tuple(NOT_SENT if op == "u" and name in self.table.big else cells[name] for name in names)
            self._tell(op, key, before=before if self.table.full else None, after=sent)

    def _delete(self, key: str, *, told: bool) -> None:
        before = self.rows.pop(key)
        self.entries[key].append(Entry(self._ver, "d"))
        if told:
            self._tell("d", key, before=before if self.table.full else None)
            if not self.table.keyless:
                self._tell("x", key)

    def _truncate(self, *, told: bool) -> None:
        self.truncates.append(self._ver)
        self.rows.clear()
        for entries in self.entries.values():
            entries.append(Entry(self._ver, "t"))
        if told:
            self._tell("t", None)

    def _tell(self, op: str, key: str | None, *, before: Cells | None = None, after: Cells | None = None) -> None:
        self.events.append(TopicEvent(len(self.events), op, key, after, before))


Spoil = Callable[[list[TopicEvent], random.Random], None]


def pick(events: Sequence[TopicEvent], rng: random.Random, ops: str) -> int:
    return rng.choice([index for index, event in enumerate(events) if event.op in ops])


def drop_change(events: list[TopicEvent], rng: random.Random) -> None:
    del events[pick(events, rng, "cu")]


def drop_read(events: list[TopicEvent], rng: random.Random) -> None:
    del events[pick(events, rng, "r")]


def drop_delete(events: list[TopicEvent], rng: random.Random) -> None:
    index = pick(events, rng, "d")
    del events[index : index + (2 if events[index + 1 : index + 2] and events[index + 1].op == "x" else 1)]


def drop_tombstone(events: list[TopicEvent], rng: random.Random) -> None:
    del events[pick(events, rng, "x")]


def drop_tail(events: list[TopicEvent], _: random.Random) -> None:
    del events[-20:]


def repeat_change(events: list[TopicEvent], rng: random.Random) -> None:
    index = pick(events, rng, "rcu")
    events.insert(index, events[index])


def repeat_tail(events: list[TopicEvent], _: random.Random) -> None:
    events += events[-15:]


def repeat_delete(events: list[TopicEvent], rng: random.Random) -> None:
    index = pick(events, rng, "d")
    events[index:index] = events[index : index + 2]


def swap_of_key(events: list[TopicEvent], rng: random.Random) -> None:
    """Swap two changes of one row that follow one another."""
    last: dict[str | None, int] = {}
    pairs: list[tuple[int, int]] = []
    for index, event in enumerate(events):
        if event.op == "u" and event.key in last:
            pairs.append((last[event.key], index))
        last.pop(event.key, None)
        if event.op in "cru":
            last[event.key] = index
    first, second = rng.choice(pairs)
    events[first], events[second] = events[second], events[first]


def invent_version(events: list[TopicEvent], rng: random.Random) -> None:
    index = pick(events, rng, "cu")
    after = list(events[index].after or ())
    after[-3] = "999999"
    events.insert(index + 1, replace(events[index], after=tuple(after)))


def invent_content(events: list[TopicEvent], rng: random.Random) -> None:
    index = pick(events, rng, "rcu")
    after = list(events[index].after or ())
    after[-4] = "never written"
    events[index] = replace(events[index], after=tuple(after))


def invent_delete(events: list[TopicEvent], rng: random.Random) -> None:
    index = pick(events, rng, "cu")
    key, before = events[index].key, events[index].after
    events[index + 1 : index + 1] = [TopicEvent(0, "d", key, before=before), TopicEvent(0, "x", key)]


def read_for_change(events: list[TopicEvent], rng: random.Random) -> None:
    index = pick(events, rng, "u")
    events[index] = replace(events[index], op="r")


def spoiled(table: CrashTable, seed: int, spoil: Spoil) -> Verdict:
    story = Story(table, seed)
    spoil(story.events, random.Random(seed))
    return check_table(story.history, story.events)


@pytest.mark.parametrize("table", VERSIONED, ids=lambda table: table.name)
def test_a_faithful_topic_is_clean(table: CrashTable) -> None:
    for seed in range(20):
        story = Story(table, seed)
        assert not story.history.contradictions()
        verdict = check_table(story.history, story.events)
        assert verdict.clean, verdict.lines()
        assert verdict.events["r"] > 0 < verdict.events["d"]


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (drop_change, "lost"), (drop_read, "lost"), (drop_delete, "lost"), (drop_tombstone, "lost"),
        (drop_tail, "lost"), (repeat_change, "duplicated"), (repeat_tail, "duplicated"),
        (repeat_delete, "duplicated"), (swap_of_key, "out of order"), (invent_version, "invented"),
        (invent_content, "invented"), (read_for_change, "invented"),
    ],
    ids=lambda given: getattr(given, "__name__", given),
)  # fmt: skip
@pytest.mark.parametrize("table", [ACCOUNTS, PAGES], ids=lambda table: table.name)
def test_each_fault_is_reported(table: CrashTable, spoil: Spoil, kind: str) -> None:
    for seed in range(20):
        verdict = spoiled(table, seed, spoil)
        assert verdict.counts[kind], (seed, verdict.lines())


@pytest.mark.parametrize(
    "spoil", [drop_change, drop_delete, repeat_tail, swap_of_key, invent_version, invent_content, invent_delete]
)
@pytest.mark.parametrize("table", [ACCOUNTS, PAGES, SCRATCH], ids=lambda table: table.name)
def test_faults_that_can_look_like_one_another_are_reported_as_something(table: CrashTable, spoil: Spoil) -> None:
    for seed in range(20):
        assert not spoiled(table, seed, spoil).clean, seed


def test_a_fault_is_counted_once() -> None:
    assert spoiled(ACCOUNTS, 1, repeat_change).counts == {"duplicated": 1}
    assert spoiled(ACCOUNTS, 1, drop_tombstone).counts == {"lost": 1}
    assert spoiled(ACCOUNTS, 1, swap_of_key).counts["out of order"] == 1
    assert not spoiled(ACCOUNTS, 1, swap_of_key).counts["lost"]


def test_the_snapshot_may_leave_out_what_was_before_it() -> None:
    row = ("1", "owner", "1.00", "true", "3", "1", "1")
    entries = {"1": [Entry(1, "c", row), Entry(2, "d"), Entry(3, "c", row)], "2": [Entry(4, "c", row), Entry(5, "d")]}
    told = [TopicEvent(0, "c", "1", row)]
    assert check_table(History(ACCOUNTS, entries, rows={"1": row}, settled=10), told).clean
    late = check_table(History(ACCOUNTS, entries, rows={"1": row}, settled=1), told)
    assert late.counts == {"lost": 3}


def test_a_truncate_that_is_missing_or_repeated_is_reported() -> None:
    story = Story(SCRATCH, 3)
    truncates = [index for index, event in enumerate(story.events) if event.op == "t"]
    without = [event for index, event in enumerate(story.events) if index != truncates[-1]]
    assert check_table(story.history, without).counts["lost"]
    again = [*story.events, replace(story.events[truncates[0]], offset=10**6)]
    assert check_table(story.history, again).counts["invented"]


def test_the_snapshot_reads_a_truncated_table_again() -> None:
    row = ("1", "mark", "10", "1", "1")
    history = History(SCRATCH, {"1": [Entry(7, "c"), Entry(8, "t"), Entry(10, "c", row)]}, [8], {"1": row}, settled=20)
    told = [TopicEvent(0, "r", "1", row), TopicEvent(1, "t", None), TopicEvent(2, "r", "1", row)]
    assert check_table(history, told).clean
    assert check_table(replace(history, settled=5), told).counts["out of order"]
    assert check_table(history, [*told, replace(told[2], offset=3)]).counts == {"duplicated": 1}


def test_a_value_that_was_not_sent_is_taken_from_the_row_before_also_over_a_move() -> None:
    first, moved = ("1", "t", "body", "1", "1", "1"), ("2", "t", "body", "2", "1", "2")
    entries = {"1": [Entry(1, "c", first), Entry(2, "d")], "2": [Entry(2, "c", moved)]}
    history = History(DOCUMENTS, entries, rows={"2": moved}, settled=0)
    told = [
        TopicEvent(0, "c", "1", first),
        TopicEvent(1, "d", "1"),
        TopicEvent(2, "x", "1"),
        TopicEvent(3, "c", "2", ("2", "t", NOT_SENT, "2", "1", "2"), moved_from="1"),
    ]
    assert check_table(history, told).clean
    unknown = check_table(history, [*told[:3], replace(told[3], moved_from=None)])
    assert unknown.counts == {"unresolved": 1, "state": 1}


def test_a_row_that_moved_may_be_read_again_while_the_snapshot_is_under_way() -> None:
    first, second = ("1", "t", "body", "1", "1", "1"), ("1", "t", "more", "4", "1", "2")
    entries = {"1": [Entry(1, "c", first), Entry(2, "d"), Entry(3, "c", first), Entry(4, "u", second)]}
    told = [
        TopicEvent(0, "c", "1", first),
        TopicEvent(1, "d", "1"),
        TopicEvent(2, "x", "1"),
        TopicEvent(3, "r", "1", second),
    ]
    history = History(DOCUMENTS, entries, rows={"1": second}, settled=9)
    assert check_table(history, told).clean
    assert check_table(replace(history, settled=0), told).counts["lost"]
    assert check_table(history, [told[0], told[3]]).counts["lost"]
    assert check_table(replace(history, table=replace(DOCUMENTS, full=True)), told).counts["invented"]


def test_partitions_are_judged_one_after_the_other() -> None:
    story = Story(ACCOUNTS, 4)
    parts = [[event for event in story.events if len(event.key or "") % 2 == part] for part in range(2)]
    assert check_table(story.history, *parts).clean
    assert check_table(story.history, *parts[:1], []).counts["lost"]
    assert check_table(story.history, *parts, parts[1]).counts["duplicated"]


def test_the_transactions_of_one_writer_keep_their_order_over_rows() -> None:
    rows = [(str(n), "o", "1.00", "true", str(n), "7", str(tx)) for n, tx in ((1, 1), (2, 2))]
    history = History(
        ACCOUNTS, {row[0]: [Entry(int(row[4]), "c", row)] for row in rows}, rows={row[0]: row for row in rows}
    )
    told = [TopicEvent(0, "c", "2", rows[1]), TopicEvent(1, "c", "1", rows[0])]
    assert check_table(history, told).counts == {"out of order": 1}


def test_rows_without_identity_are_compared_as_a_multiset() -> None:
    one, two = ("1", "x"), ("2", None)
    history = History(TWINS, twins={one: 2, two: 1})
    told = [TopicEvent(n, "c", None, row) for n, row in enumerate((one, one, two))]
    assert check_table(history, told).clean
    assert check_table(history, told[1:]).counts == {"state": 1}
    assert check_table(history, [*told, told[0]]).counts == {"state": 1}
    deleted = TopicEvent(9, "d", None, before=("3", "y"))
    assert check_table(history, [*told, deleted]).counts == {"invented": 1, "state": 1}


def test_a_journal_that_contradicts_the_rows_is_noticed() -> None:
    story = Story(NOTES, 5)
    assert replace(story.history, rows={}).contradictions()
