"""The loop, told as stories; what holds under every crash is in `tests/properties/test_crash_schedules.py`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tailrace.errors import Fatal, Retriable
from tailrace.position import Position
from tailrace.runtime.task import Pace, Progress, Stride, run_task
from tailrace.source import Batch, Report
from tailrace.testing.faults import Faults, FaultySink, FaultySource
from tailrace.testing.memory import MemorySink
from tailrace.testing.story import ABORT, CLOSE, DRY, FATAL, OPEN, StorySource


def same(items: Sequence[int]) -> list[int]:
    return list(items)


def test_a_story_with_a_broken_connection() -> None:
    source, sink = StorySource[int]([0, 1, ABORT, 2], batch=1), MemorySink[int]()
    with pytest.raises(Retriable):
        run_task("t", source, same, sink)
    run_task("t", source, same, sink)
    assert sink.committed == [0, 1, 2]
    assert source.acked[-1] == {"at": 4}


def test_a_dry_input_is_committed_at_once() -> None:
    source, sink = StorySource[int]([1, 2, DRY, 3], batch=10), MemorySink[int]()
    seen: list[tuple[int, int]] = []
    run_task("t", source, same, sink, watch=lambda now: seen.append((now.records, now.commits)))
    assert (2, 1) in seen, "committed before the next item came"
    assert sink.commits == 2


def test_a_busy_input_is_committed_by_bytes_and_by_time() -> None:
    by_bytes, sink = StorySource[int](range(100), batch=1), MemorySink[int]()
    run_task("t", by_bytes, same, sink, pace=Pace(commit_interval=1e9, commit_bytes=10))
    assert sink.commits == 10
    ticks = iter(range(10_000))
    by_time, sink = StorySource[int](range(100), batch=1), MemorySink[int]()
    pace = Pace(commit_interval=20, commit_bytes=10**9)
    run_task("t", by_time, same, sink, pace=pace, clock=lambda: float(next(ticks)))
    assert 2 <= sink.commits <= 20
    assert sink.committed == list(range(100))


def test_a_costly_commit_waits_until_it_is_due_also_where_the_input_is_dry() -> None:
    seen: list[tuple[int, int]] = []
    source, sink = StorySource[int]([1, DRY, 2, DRY, DRY, DRY, 3], batch=1), MemorySink[int]()
    ticks = iter(range(0, 10_000, 2))
    pace = Pace(commit_interval=8, commit_bytes=10**9, when_dry=False)
    watch = seen.append
    run_task(
        "t", source, same, sink, pace=pace, clock=lambda: float(next(ticks)),
        watch=lambda now: watch((now.records, now.commits)),
    )  # fmt: skip
    assert (2, 0) in seen, "dry, and not committed"
    assert (2, 1) in seen, "due, though nothing came any more"
    assert sink.committed == [1, 2, 3]


def test_commits_of_a_dry_input_lie_apart_where_they_are_to_and_what_comes_meanwhile_goes_together() -> None:
    now, seen = [0.0], dict[tuple[int, int], float]()

    def sleep(seconds: float) -> None:
        assert seconds <= 2.5, "longer than a database can go on without a reader"
        now[0] += seconds

    def watch(progress: Progress) -> None:
        seen.setdefault((progress.records, progress.commits), now[0])

    source, sink = StorySource[int]([1, DRY, 2, DRY, 3, DRY, DRY, DRY, DRY, 4], batch=1), MemorySink[int]()
    run_task(
        "t", source, same, sink, pace=Pace(commit_interval=1e9, rest=10), clock=lambda: now[0], sleep=sleep,
        watch=watch,
    )  # fmt: skip
    assert seen[1, 1] == 0, "the first waits for nothing"
    assert (2, 2) not in seen
    assert seen[3, 2] == 10, "the second waits, and takes along what came"
    assert sink.committed == [1, 2, 3, 4]


def test_nothing_is_committed_inside_a_pass_without_positions() -> None:
    source = StorySource[int]([1, OPEN, 2, 3, DRY, 4, DRY, 5, CLOSE, 6], batch=1)
    sink = MemorySink[int]()
    committed_at: list[Position | None] = []
    run_task("t", source, same, sink, watch=lambda now: committed_at.append(now.durable))
    assert sink.committed == [1, 2, 3, 4, 5, 6]
    # dry inside of the pass: 2, 3 and 4 wait for its end
    places = [position["at"] for position in committed_at if position]
    assert places == [1] * places.count(1) + [9] * places.count(9) + [10] * places.count(10)
    assert {"at": 5} not in committed_at
    assert {"at": 7} not in committed_at


def test_a_source_that_ends_without_a_position_is_not_taken_for_done() -> None:
    with pytest.raises(Fatal, match="without a position"):
        run_task("t", StorySource[int]([1, OPEN, 2], batch=1), same, MemorySink[int]())


class Quiet:
    """Moves on without items, as an idle database does."""

    def __init__(self, positions: Sequence[Position | None]) -> None:
        self.positions = list(positions)
        self.acked: list[Position | None] = []

    def open(self, resume_from: Position | None) -> None: ...

    def poll(self, timeout: float) -> Batch[int]:
        return Batch((), self.positions.pop(0) if self.positions else None)

    def ack(self, position: Position | None) -> None:
        self.acked.append(position)

    def close(self) -> None: ...

    def report(self) -> Report:
        return Report(caught_up=not self.positions)


def test_positions_without_items_are_committed_and_then_acked() -> None:
    source, sink = Quiet([None, {"at": 1}, {"at": 1}, {"at": 2}]), MemorySink[int]()
    run_task("t", source, same, sink, until_current=True)
    assert source.acked == [None, {"at": 1}, {"at": 1}, {"at": 2}]
    assert sink.commits == 2


def test_what_the_stage_drops_still_moves_the_position() -> None:
    source, sink = StorySource[int]([1, 2, 3]), MemorySink[int]()
    run_task("t", source, lambda _: [], sink)
    assert (sink.committed, sink.position) == ([], {"at": 3})


def test_a_request_to_stop_commits_what_was_read() -> None:
    source, sink = StorySource[int](range(100), batch=1, endless=True), MemorySink[int]()
    turns = iter([False] * 5 + [True])
    run_task("t", source, same, sink, pace=Pace(1e9, 10**9), stopping=lambda: next(turns))
    assert sink.committed == [0, 1, 2, 3, 4]
    assert source.acked[-1] == {"at": 5}
    assert source.closed == 1


def test_until_current_ends_also_while_the_source_stays_busy() -> None:
    class Busy(Quiet):
        count = 0

        def poll(self, timeout: float) -> Batch[int]:
            self.count += 1
            return Batch([self.count], {"at": self.count}, 1)

        def report(self) -> Report:
            return Report(caught_up=self.count >= 7)

    sink = MemorySink[int]()
    clock = itertools.count().__next__  # a second passes whenever somebody looks
    run_task("t", Busy([]), same, sink, until_current=True, pace=Pace(1e9, 10**9), clock=clock)
    assert sink.committed == [1, 2, 3, 4, 5, 6, 7]


def test_until_current_with_a_source_that_cannot_tell() -> None:
    class Mute:
        def __init__(self) -> None:
            self.story = StorySource[int]([1, 2, DRY, 3], endless=True)
            self.open, self.poll, self.ack, self.close = (
                self.story.open, self.story.poll, self.story.ack, self.story.close,
            )  # fmt: skip

    sink = MemorySink[int]()
    run_task("t", Mute(), same, sink, until_current=True, pace=Pace(idle=0.01))
    assert sink.committed == [1, 2, 3]


def test_both_ends_are_closed_whatever_happens() -> None:
    class Unopenable(StorySource[int]):
        def open(self, resume_from: Position | None) -> None:
            raise Fatal("no")

    source, sink = Unopenable([]), MemorySink[int]()
    with pytest.raises(Fatal):
        run_task("t", source, same, sink)
    assert source.closed == 1
    assert sink.open("another") is None, "the sink was closed too"


def test_what_failed_after_it_was_done_is_not_done_twice() -> None:
    faults = Faults()
    faults.plan("commit", "ok", "fail-after-write")
    faults.plan("ack", "ok", "reject")
    sink = MemorySink[int]()
    source = StorySource[int]([1, 2, 3, 4, 5], batch=1)
    for _ in range(3):
        try:
            run_task("t", FaultySource(source, faults), same, FaultySink(sink, faults), pace=Pace(commit_bytes=1))
        except Retriable:
            continue
    assert sink.committed == [1, 2, 3, 4, 5]


def test_a_fatal_error_goes_through() -> None:
    with pytest.raises(Fatal, match="cannot go on"):
        run_task("t", StorySource[int]([1, FATAL]), same, MemorySink[int]())


def test_progress_is_open_to_whoever_watches() -> None:
    seen: list[tuple[int, int, float | None]] = []

    def watch(now: Progress) -> None:
        seen.append((now.records, now.uncommitted_bytes, now.waiting_since))

    run_task("t", StorySource[int]([1, 2, 3], batch=2), same, MemorySink[int](), watch=watch, clock=lambda: 0.0)
    assert seen == [(0, 0, None), (2, 2, 0.0), (3, 3, 0.0), (3, 0, None)]


def test_a_slow_sink_gets_less_at_once_and_a_quick_one_more() -> None:
    stride = Stride(Pace(commit_bytes=16 * 2**20))
    assert stride.bytes == 2**20
    for _ in range(10):
        stride.took(stride.bytes, 0.1)
    assert stride.bytes == 16 * 2**20
    stride.took(16 * 2**20, 60.0)
    stride.took(8 * 2**20, 30.0)
    assert stride.bytes == 4 * 2**20
    stride.took(1000, 0.1)
    assert stride.bytes == 4 * 2**20, "a small commit says nothing of large ones"
    for _ in range(20):
        stride.took(stride.bytes, 60.0)
    assert stride.bytes == 64 * 2**10


def test_a_sink_whose_commits_are_costly_gets_all_at_once_unless_it_is_silent_for_long() -> None:
    silent = [20.0]
    stride = Stride(Pace(commit_bytes=2**32, when_dry=False), lambda: silent[0])
    stride.took(2**20, 300.0)
    assert stride.bytes == 2**32, "that items have waited says nothing of the sink"
    silent[0] = 40.0
    stride.took(2**32, 300.0)
    assert stride.bytes == 2**31
    silent[0] = 5.0
    stride.took(2**31, 300.0)
    assert stride.bytes == 2**32
    hasty = Stride(Pace(commit_bytes=2**32, when_dry=False, patience=60.0), lambda: 20.0)
    hasty.took(2**32, 300.0)
    assert hasty.bytes == 2**31, "a fourth of what the watchdog waits for"


@pytest.mark.parametrize(
    ("when_dry", "strides"), [(True, [2**20, 2**16, 2**16]), (False, [2**32, 2**20, 2**16, 2**16])]
)
def test_a_sink_that_took_too_long_begins_with_less(*, when_dry: bool, strides: list[int]) -> None:
    paces = [Pace(commit_bytes=2**32, when_dry=when_dry, caution=caution) for caution in range(len(strides))]
    assert [Stride(pace).bytes for pace in paces] == strides
    assert Stride(Pace(commit_bytes=100, when_dry=when_dry, caution=1)).bytes == 100
