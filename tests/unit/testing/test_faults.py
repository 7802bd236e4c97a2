"""The words for faults mean the same everywhere."""

from __future__ import annotations

import threading
import time

import pytest

from tailrace.errors import EndOfSource, Fatal, Retriable
from tailrace.source import Batch
from tailrace.testing.faults import Faults, FaultySink, FaultySource
from tailrace.testing.memory import MemoryOffsets, MemorySink
from tailrace.testing.story import ABORT, CLOSE, DRY, FATAL, OPEN, StorySource


def test_reject_has_no_effect_and_fail_after_write_has() -> None:
    faults, sink = Faults(), MemorySink[int]()
    faulty = FaultySink(sink, faults)
    faults.plan("commit", "reject", "fail-after-write")
    faulty.open("t")
    faulty.write([1])
    for expected in ([], [1]):
        with pytest.raises(Retriable, match="injected into commit"):
            faulty.commit({"at": 1})
        assert sink.committed == expected
    faulty.write([2])
    faulty.commit({"at": 2})
    assert sink.committed == [1, 2]
    assert faults.calls == ["open", "write", "commit", "commit", "write", "commit"]


def test_hold_waits_for_its_release() -> None:
    faults, source = Faults(), StorySource([1])
    faults.plan("poll", "hold")
    faulty = FaultySource(source, faults)
    faulty.open(None)
    batches: list[Batch[int]] = []
    thread = threading.Thread(target=lambda: batches.append(faulty.poll(0)))
    thread.start()
    thread.join(0.05)
    assert batches == []
    faults.release()
    thread.join(60)
    assert [batch.items for batch in batches] == [[1]]


def test_slow_takes_its_time_and_errors_can_be_chosen() -> None:
    faults = Faults(slow_seconds=0.05, error=lambda call: Fatal(f"no {call}"))
    source = StorySource([1])
    faulty = FaultySource(source, faults)
    faults.plan("open", "slow")
    faults.plan("ack", "reject")
    started = time.monotonic()
    faulty.open(None)
    assert time.monotonic() - started >= 0.05
    with pytest.raises(Fatal, match="no ack"):
        faulty.ack(None)
    assert source.acked == []


def test_a_story_is_told_once_with_its_twists_and_again_from_anywhere() -> None:
    source = StorySource([1, DRY, OPEN, 2, 3, CLOSE, ABORT, 4, FATAL, 5], batch=1)
    source.open(None)
    told = [source.poll(0) for _ in range(4)]
    assert [list(batch.items) for batch in told] == [[1], [], [2], [3]]
    assert [batch.position for batch in told] == [{"at": 1}, None, None, {"at": 5}]
    with pytest.raises(Retriable):
        source.poll(0)
    assert source.poll(0).items == [4]
    with pytest.raises(Fatal):
        source.poll(0)
    source.open({"at": 5})
    assert [source.poll(0).items for _ in range(2)] == [[4], [5]]
    with pytest.raises(EndOfSource):
        source.poll(0)
    assert source.opened_at == [None, {"at": 5}]


def test_one_writer_of_a_memory_sink() -> None:
    sink = MemorySink[int]()
    sink.open("a")
    with pytest.raises(Retriable):
        sink.open("b")
    offsets = MemoryOffsets()
    offsets.save("a", {"at": 1})
    assert (offsets.load("a"), offsets.load("b")) == ({"at": 1}, None)
