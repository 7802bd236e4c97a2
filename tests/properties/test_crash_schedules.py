"""Whatever call fails, before or after it took effect: exactly once into a log, at least once in order elsewhere.

The mutants at the end are the test of this test: each breaks one rule of the loop, of `OffsetsBeside` or of positions,
in the real source text where that is possible, and must be caught within the same budget of stories.
"""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties.crash_world import (
    Broken,
    ByRowLsn,
    Crash,
    Database,
    Destination,
    Faults,
    Offsets,
    PartitionedLog,
    Story,
    pace_of,
)
from tailrace import sink as sink_module
from tailrace.errors import Fatal
from tailrace.runtime import task as task_module

stories = st.builds(
    Story,
    writes=st.lists(st.integers(0, 3), max_size=12).map(tuple),
    batch_rows=st.integers(1, 4),
    across=st.booleans(),
    inside=st.booleans(),
    idle_every=st.sampled_from([0, 2, 3]),
    partitions=st.integers(1, 3),
    commit_turns=st.integers(1, 12),
    commit_bytes=st.sampled_from([1, 3, 100]),
    faults=st.lists(st.sampled_from(["ok", "ok", "ok", "before", "after"]), max_size=60).map(tuple),
    stop_after=st.integers(0, 6),
)


def exactly_once(story: Story, *, loop: ModuleType = task_module, database: type[Database] = Database) -> None:
    faults = Faults(story.faults)
    log = PartitionedLog(story, faults)
    _run(story, loop, database(story, faults), log)
    for partition, seen in enumerate(log.seen()):
        assert seen == [row for row in story.rows() if row.lsn % story.partitions == partition]


def at_least_once_in_order(story: Story, *, loop: ModuleType = task_module, sinks: ModuleType = sink_module) -> None:
    faults = Faults(story.faults)
    destination = Destination(faults)
    _run(story, loop, Database(story, faults), sinks.OffsetsBeside(destination, Offsets(faults)))
    want = story.rows()
    assert list(dict.fromkeys(destination.durable)) == want, "first sightings: all of them, in order"
    assert list(dict.fromkeys(reversed(destination.durable))) == want[::-1], "last sightings likewise"


def _run(story: Story, loop: ModuleType, source: Database, sink: object) -> None:
    """Run the task until it ends by itself, starting it again after every crash, as the supervisor does."""
    pace, clock = pace_of(story)
    turns = count(1)
    stopped = False

    def stopping() -> bool:
        nonlocal stopped
        stopped = next(turns) == story.stop_after
        return stopped

    for _ in range(len(story.faults) + 2):
        try:
            loop.run_task("t", source, list, sink, pace=pace, clock=clock, stopping=stopping)
        except Crash:
            continue
        if not stopped:
            return
    pytest.fail("more crashes and stops than the story has")


@settings(max_examples=1500, deadline=None)
@given(stories)
def test_into_a_log_of_several_partitions_every_change_comes_exactly_once(story: Story) -> None:
    exactly_once(story)


@settings(max_examples=1000, deadline=None)
@given(stories)
def test_beside_its_offsets_a_destination_gets_everything_in_order(story: Story) -> None:
    at_least_once_in_order(story)


def _mutant(module: ModuleType, right: str, wrong: str) -> ModuleType:
    """Return `module` with one piece of its source text replaced."""
    text = inspect.getsource(module)
    assert text.count(right) == 1, f"the mutant no longer fits the text: {right}"
    mutated = ModuleType(f"{module.__name__}_mutant")
    sys.modules[mutated.__name__] = mutated  # dataclasses look their module up
    try:
        exec(compile(text.replace(right, wrong), mutated.__name__, "exec"), mutated.__dict__)
    finally:
        del sys.modules[mutated.__name__]
    return mutated


def _loop(right: str, wrong: str) -> Callable[[Story], None]:
    mutated = _mutant(task_module, right, wrong)
    return lambda story: exactly_once(story, loop=mutated)


def _beside(right: str, wrong: str) -> Callable[[Story], None]:
    mutated = _mutant(sink_module, right, wrong)
    return lambda story: at_least_once_in_order(story, sinks=mutated)


MUTANTS: dict[str, Callable[[], Callable[[Story], None]]] = {
    "ack before commit": lambda: _loop("source.ack(now.durable)", "source.ack(now.ready)"),
    "commit the position before all of its items are written": lambda: _loop(
        "sink.write(staged)",
        "(sink.write(staged[:1]), batch.position and sink.commit(batch.position), sink.write(staged[1:]))",
    ),
    "commit an older position after writing beyond it": lambda: _loop(
        "now.ready = batch.position  #", "now.ready = batch.position or now.ready  #"
    ),
    "ignore the stored position": lambda: _loop("source.open(now.durable)", "source.open(None)"),
    "leave the last items of the source uncommitted": lambda: _loop("at_once=at_once)", "at_once=False)"),
    "save before flush": lambda: _beside(
        "        self._sink.flush()\n        self._offsets.save(self._task, position)",
        "        self._offsets.save(self._task, position)\n        self._sink.flush()",
    ),
    "save without flush": lambda: _beside("        self._sink.flush()\n", ""),
    "resume by the LSN of a row": lambda: lambda story: exactly_once(story, database=ByRowLsn),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_is_caught(name: str) -> None:
    check = MUTANTS[name]()
    rng = random.Random(20)
    for _ in range(1500):
        try:
            check(_story(rng))
        except (AssertionError, Broken, Fatal):
            return
    pytest.fail(f"1500 stories did not tell this mutant from the real thing: {name}")


def _story(rng: random.Random) -> Story:
    return Story(
        writes=tuple(rng.randrange(4) for _ in range(rng.randrange(13))),
        batch_rows=rng.randint(1, 4),
        across=rng.random() < 0.5,
        inside=rng.random() < 0.5,
        idle_every=rng.choice([0, 2, 3]),
        partitions=rng.randint(1, 3),
        commit_turns=rng.randint(1, 12),
        commit_bytes=rng.choice([1, 3, 100]),
        faults=tuple(rng.choice(["ok", "ok", "ok", "before", "after"]) for _ in range(rng.randrange(60))),
        stop_after=rng.randrange(7),
    )


def test_the_real_thing_passes_the_stories_that_the_mutants_get() -> None:
    rng = random.Random(20)
    for _ in range(1500):
        story = _story(rng)
        exactly_once(story)
        at_least_once_in_order(story)


def test_row_lsns_are_wrong_only_because_transactions_interleave() -> None:
    rng = random.Random(20)
    for _ in range(500):
        story = _story(rng)
        exactly_once(replace(story, writes=tuple(sorted(story.writes))), database=ByRowLsn)
