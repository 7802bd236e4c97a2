"""Two tasks take the same partitions from each other while both are killed and the power is cut: each loses nothing.

The world is that of `test_log_crashes.py`, with tasks that run in turns, each with its own transactions and position.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import Fatal
from tailrace.event import Record
from tailrace.log.store import barrier, disk
from tailrace.log.store import claim as claim_module
from tailrace.log.store.journal import JournalState, read_state
from tailrace.log.store.layout import Layout
from tailrace.log.store.writer import BundledWriter
from unit.log.power_cut import Killed, Machine
from unit.log.stage import TIME, TOPIC, make_log, stored

PARTITIONS = 2
MEMORY = Path("/dev/shm")
TASKS = ("a", "b")
TRANSACTIONS = 5


@dataclass(frozen=True)
class Turn:
    """One life of a task: it ends after so many steps (None: when it has nothing left), perhaps with the power."""

    task: str
    kill: int | None
    cut: bool
    transactions: int


turns = st.lists(
    st.builds(Turn, st.sampled_from(TASKS), st.integers(1, 70), st.booleans(), st.integers(0, 3)), max_size=7
)


class World:
    """A log, and what each task knows to be committed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.seed = seed
        self.generation = itertools.count(1)
        self.folder = root / "0"
        self.folder.mkdir()
        self.machine = Machine(self.folder, seed=seed)
        self.acknowledged = dict.fromkeys(TASKS, 0)

    def live(self, turn: Turn) -> None:
        self.machine.kill_at = None if turn.kill is None else self.machine.steps + turn.kill
        writer = BundledWriter(make_log(self.folder, partitions=PARTITIONS, fsync="commit").config)
        one_by_one = mock.patch.object(barrier, "THREADS", 1)
        with self.machine.running(), one_by_one, suppress(Killed), closing(writer):
            self.work(writer, turn)
        if turn.cut:
            target = self.root / str(next(self.generation))
            self.machine.after_power_cut(target, seed=self.seed)
            self.folder, self.machine = target, Machine(target, seed=self.seed)
            self.machine.adopt()

    def work(self, writer: BundledWriter, turn: Turn) -> None:
        position = writer.open(turn.task)
        done = 0 if position is None else int(str(position["done"]))
        assert done >= self.acknowledged[turn.task], "an acknowledged commit is gone"
        self.acknowledged[turn.task] = done
        for index in range(done, min(done + turn.transactions, TRANSACTIONS)):
            writer.write(transaction(turn.task, index))
            writer._session._flush()  # type: ignore[union-attr]
            writer.commit({"done": index + 1})
            self.acknowledged[turn.task] = index + 1

    def check(self) -> None:
        log = make_log(self.folder)
        for partition in range(PARTITIONS):
            seen = [each.value for each in stored(log, TOPIC, partition)]
            for task in TASKS:
                own = [value for value in seen if value and value.startswith(task.encode())]
                expected = [
                    each.value
                    for index in range(self.acknowledged[task])
                    for each in transaction(task, index)
                    if each.partition == partition
                ]
                assert own == expected


def transaction(task: str, index: int) -> list[Record]:
    """Return the records of a task's transaction: always the same ones, over one partition or both."""
    return [
        Record(TOPIC, None, f"{task}-{index}-{number}".encode().ljust(40 + 90 * number), TIME, (), (index + number) % 2)
        for number in range(index % 3 + 1)
    ]


def tell(story: Sequence[Turn], seed: int) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = World(Path(folder), seed)
        for turn in story:
            world.live(turn)
        for task in TASKS:
            world.live(Turn(task, None, False, TRANSACTIONS))
        assert world.acknowledged == dict.fromkeys(TASKS, TRANSACTIONS)
        world.check()


@given(story=turns, seed=st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_no_task_loses_by_a_takeover(story: list[Turn], seed: int) -> None:
    tell(story, seed)


def every_step_of_a_takeover() -> list[tuple[list[Turn], int]]:
    """Task b dies at each step of taking over from a, goes on, and the power goes within its commits."""
    return [
        ([Turn("a", 500, False, 2), Turn("b", first, False, 1), Turn("b", second, True, 1)], first + second)
        for first in range(8, 36)
        for second in (16, 24, 32, 40)
    ]


def test_a_takeover_may_end_at_any_step() -> None:
    for story, seed in every_step_of_a_takeover():
        tell(story, seed)


# Found once in 300 stories: a task was killed before its journal was synced, another took over one of its two
# partitions as it was, and then the power went.
TORN_APART = [
    ([Turn("a", 45, False, 3), Turn("a", 46, True, 3), Turn("a", 37, False, 2), Turn("b", 20, True, 3)], 14849),
    ([Turn("a", 500, False, 4), Turn("a", 37, False, 2), Turn("b", 30, True, 3)], 9982),
]


@pytest.mark.parametrize(("story", "seed"), TORN_APART, ids=["a a a b", "a a b"])
def test_a_takeover_does_not_tear_a_commit_apart(story: list[Turn], seed: int) -> None:
    for told, chance in at_other_steps(story, seed):
        tell(told, chance)


def at_other_steps(story: list[Turn], seed: int) -> list[tuple[list[Turn], int]]:
    *before, killed, last = story
    others = [([*before, replace(killed, kill=steps), last], seed + steps) for steps in range(15, 60, 2)]
    return [(story, seed), *others]


def test_a_former_owner_whose_journal_is_not_durable_is_found_out() -> None:
    def as_it_is(layout: Layout, task: str) -> JournalState:
        return read_state(layout.journal(task)) or JournalState()

    with pytest.raises((AssertionError, Fatal)), mock.patch.object(claim_module, "_durable_state", as_it_is):
        for each in TORN_APART:
            for story, seed in at_other_steps(*each):
                tell(story, seed)


def test_an_owner_that_is_not_durable_is_found_out() -> None:
    """The test of this test: without the sync in `claim`, a power cut brings the former owner back."""
    forgetful = SimpleNamespace(
        locked_folder=disk.locked_folder, make_directory=disk.make_directory, sync_directory=lambda _folder: None
    )
    with pytest.raises((AssertionError, Fatal)), mock.patch.object(claim_module, "disk", forgetful):
        for story, seed in every_step_of_a_takeover():
            tell(story, seed)
