"""What every sink must do that commits items and position together; `PLAIN_SINK_CHECKS` for one that cannot."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from typing import Protocol, TypeVar

from tailrace.errors import Fatal, Retriable
from tailrace.position import Position
from tailrace.sink import OffsetsBeside, PlainSink, Sink
from tailrace.testing.memory import MemoryOffsets

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S_co = TypeVar("S_co", covariant=True)

TASK = "contract"
PATIENCE = 60.0
"""Seconds to wait for what must be seen."""
FIRST: Position = {"at": 1, "deep": {"list": [1, "zwei", None]}}
SECOND: Position = {"at": 2}


class SinkStage(Protocol[T_co, S_co]):
    """The other side of a sink under test: a destination that can be looked into."""

    def sink(self) -> S_co:
        """Return a new sink to the same destination, as after a restart of its process; not opened."""
        ...

    def item(self, number: int) -> T_co:
        """Return an item that can be told from those of other numbers."""
        ...

    def stored(self) -> list[int]:
        """Return the numbers of the items that a reader of the destination sees now, in order."""
        ...


def begins_without_a_position(stage: SinkStage[T, Sink[T]]) -> None:
    """Nothing was committed: None, and nothing to see."""
    with closing(stage.sink()) as sink:
        assert sink.open(TASK) is None
        _shows(stage, [])


def commits_items_and_position_together(stage: SinkStage[T, Sink[T]]) -> None:
    """What was committed is seen, in order, and its position is returned by the next `open`."""
    with closing(stage.sink()) as sink:
        sink.open(TASK)
        sink.write([stage.item(1), stage.item(2)])
        sink.write([stage.item(3)])
        sink.commit(FIRST)
        _shows(stage, [1, 2, 3])
        sink.write([stage.item(4)])
        sink.commit(SECOND)
    _shows(stage, [1, 2, 3, 4])
    with closing(stage.sink()) as sink:
        assert sink.open(TASK) == SECOND


def keeps_a_position_as_it_is(stage: SinkStage[T, Sink[T]]) -> None:
    """Positions are JSON objects, nested ones too."""
    with closing(stage.sink()) as sink:
        sink.open(TASK)
        sink.commit(FIRST)
    with closing(stage.sink()) as sink:
        assert sink.open(TASK) == FIRST


def undoes_what_was_not_committed(stage: SinkStage[T, Sink[T]]) -> None:
    """Neither before nor after a restart is anything seen beyond the last commit."""
    with closing(stage.sink()) as sink:
        sink.open(TASK)
        sink.write([stage.item(1)])
        sink.commit(FIRST)
        sink.write([stage.item(number) for number in range(2, 50)])
        _shows(stage, [1])
    with closing(stage.sink()) as sink:
        assert sink.open(TASK) == FIRST
        _shows(stage, [1])
        sink.write([stage.item(2)])
        sink.commit(SECOND)
    _shows(stage, [1, 2])


def moves_the_position_alone(stage: SinkStage[T, Sink[T]]) -> None:
    """A commit without items is a commit."""
    with closing(stage.sink()) as sink:
        sink.open(TASK)
        sink.write([stage.item(1)])
        sink.commit(FIRST)
        sink.commit(SECOND)
    with closing(stage.sink()) as sink:
        assert sink.open(TASK) == SECOND
    _shows(stage, [1])


def has_one_writer(stage: SinkStage[T, Sink[T]]) -> None:
    """Of two writers of a task one writes: the second is refused as a passing fault, or has fenced off the first."""
    with closing(stage.sink()) as first, closing(stage.sink()) as second:
        first.open(TASK)
        first.write([stage.item(1)])
        try:
            second.open(TASK)
        except Retriable:
            first.commit(FIRST)
        else:
            try:
                first.commit(SECOND)
            except (Retriable, Fatal):
                second.write([stage.item(1)])
                second.commit(FIRST)
            else:
                raise AssertionError("two writers at once")
    with closing(stage.sink()) as third:
        assert third.open(TASK) == FIRST
    _shows(stage, [1])


def takes_many_items(stage: SinkStage[T, Sink[T]]) -> None:
    """More than any buffer should hold, in many writes and one commit."""
    with closing(stage.sink()) as sink:
        sink.open(TASK)
        for start in range(0, 5000, 500):
            sink.write([stage.item(number) for number in range(start, start + 500)])
        sink.commit(FIRST)
    _shows(stage, list(range(5000)))


def closes_at_any_time(stage: SinkStage[T, Sink[T]]) -> None:
    """`close` before `open`, and twice."""
    stage.sink().close()
    sink = stage.sink()
    sink.open(TASK)
    sink.close()
    sink.close()


SINK_CHECKS: Sequence[Callable[[SinkStage[T, Sink[T]]], None]] = (
    begins_without_a_position,
    commits_items_and_position_together,
    keeps_a_position_as_it_is,
    undoes_what_was_not_committed,
    moves_the_position_alone,
    has_one_writer,
    takes_many_items,
    closes_at_any_time,
)


def _shows(stage: SinkStage[T, Sink[T]], expected: list[int]) -> None:
    """What is committed is seen soon, and nothing else then."""
    deadline = time.monotonic() + PATIENCE
    while (stored := stage.stored()) != expected and time.monotonic() < deadline:
        assert set(stored) <= set(expected), "something else than what was committed"
        time.sleep(0.01)
    assert stored == expected


def flushes_in_order(stage: SinkStage[T, PlainSink[T]]) -> None:
    """What was flushed is there."""
    with closing(stage.sink()) as sink:
        sink.open(TASK)
        sink.write([stage.item(1), stage.item(2)])
        sink.flush()
        assert _first_sightings(stage.stored()) == [1, 2]


def repeats_in_order(stage: SinkStage[T, PlainSink[T]]) -> None:
    """With its offsets beside it, and a crash between flush and save: everything, in order, some of it twice."""
    offsets = MemoryOffsets()
    with closing(stage.sink()) as plain:
        sink: Sink[T] = OffsetsBeside(plain, offsets)
        assert sink.open(TASK) is None
        sink.write([stage.item(1)])
        sink.commit(FIRST)
        sink.write([stage.item(2)])
        plain.flush()  # and here the process dies
    with closing(stage.sink()) as plain:
        sink = OffsetsBeside(plain, offsets)
        assert sink.open(TASK) == FIRST
        sink.write([stage.item(2), stage.item(3)])
        sink.commit(SECOND)
    assert _first_sightings(stage.stored()) == [1, 2, 3]


PLAIN_SINK_CHECKS: Sequence[Callable[[SinkStage[T, PlainSink[T]]], None]] = (flushes_in_order, repeats_in_order)


def _first_sightings(numbers: Sequence[Hashable]) -> list[Hashable]:
    return list(dict.fromkeys(numbers))
