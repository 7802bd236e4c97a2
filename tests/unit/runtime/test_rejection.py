"""What a sink refuses: it fails, is skipped, or lies in the dead-letter topic once, whatever crashes in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord
from tailrace.event import StoredRecord
from tailrace.log.store.backend import BundledLog
from tailrace.position import Position
from tailrace.runtime.dead_letter import DeadLetters, LetteredOffsets
from tailrace.runtime.rejection import DeliveryStage, LetteredSink, Rejections
from tailrace.sink import OffsetsBeside
from tailrace.testing.deliveries import Deliveries
from tailrace.testing.memory import MemoryOffsets

REFUSED = BadRecord("does not fit", hint="widen it")


class Picky:
    """Refuses even offsets, when it writes or (`late`) when it commits; keeps what it took, and its position."""

    def __init__(self, *, late: bool = False) -> None:
        self.taken: list[int] = []
        self.at: Position | None = None
        self.dies = False
        self._late = late
        self._pending: list[Delivery] = []

    def reject_with(self, reject: Callable[[Delivery, BadRecord], None]) -> None:
        self._reject = reject

    def open(self, task: str) -> Position | None:
        self._pending = []
        return self.at

    def write(self, items: Sequence[Delivery]) -> None:
        self._pending += items if self._late else [each for each in items if self._fits(each)]

    def commit(self, position: Position) -> None:
        kept = [each for each in self._pending if self._fits(each)] if self._late else self._pending
        if self.dies:
            raise ConnectionError
        self.taken += [each.record.offset for each in kept]
        self._pending = []
        self.at = position

    def close(self) -> None:
        self._pending = []

    def _fits(self, delivery: Delivery) -> bool:
        if delivery.record.offset % 2:
            return True
        self._reject(delivery, REFUSED)
        return False


@pytest.fixture
def told(tmp_path: Path) -> Deliveries:
    return Deliveries(tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> BundledLog:
    return BundledLog.at(tmp_path / "log")


def lettered(log: BundledLog, sink: Picky) -> LetteredSink:
    letters = DeadLetters(log, "lake", "lake.dead-letter")
    rejections = Rejections("lake", "dead_letter", letters)
    sink.reject_with(rejections)
    return LetteredSink(sink, rejections, letters, at_once=True)


def letters_of(log: BundledLog) -> list[StoredRecord]:
    places = [place for place in log.partitions() if place.topic == "lake.dead-letter"]
    return [record for place in places for record in log.records(place.topic, place.partition, 0)]


def offsets_of(letters: Sequence[StoredRecord]) -> list[int]:
    return [int(dict(letter.headers)["__connect.errors.offset"] or b"") for letter in letters]


def test_fail_names_the_place_and_keeps_the_mend(told: Deliveries) -> None:
    sink = Picky()
    sink.reject_with(Rejections("lake", "fail"))
    with pytest.raises(BadRecord) as caught:
        sink.write(told.insert(1, name="secret"))
    assert caught.value.message == "contract.public.items-0 offset 0: does not fit"
    assert caught.value.hint == "widen it"


def test_skip_counts(told: Deliveries) -> None:
    sink, rejections = Picky(), Rejections("lake", "skip")
    sink.reject_with(rejections)
    sink.write([*told.insert(1), *told.insert(2), *told.insert(3)])
    sink.commit({"at": 3})
    assert (sink.taken, rejections.count) == ([1], 2)


def test_a_letter_is_the_record_and_why(told: Deliveries, log: BundledLog) -> None:
    sink = Picky()
    [refused] = told.insert(1, name="one")
    with closing(lettered(log, sink)) as all_of_it:
        all_of_it.open("lake")
        all_of_it.write([refused])
        assert letters_of(log) == []
        all_of_it.commit(told.position)
    [letter] = letters_of(log)
    assert (letter.key, letter.value) == (refused.record.key, refused.record.value)
    assert letter.timestamp_ms == refused.record.timestamp_ms
    assert dict(letter.headers) == {
        "__connect.errors.topic": b"contract.public.items",
        "__connect.errors.partition": b"0",
        "__connect.errors.offset": b"0",
        "__connect.errors.connector.name": b"lake",
        "__connect.errors.task.id": b"0",
        "__connect.errors.stage": b"TASK_PUT",
        "__connect.errors.exception.class.name": b"tailrace.errors.BadRecord",
        "__connect.errors.exception.message": b"does not fit",
    }


def test_a_letter_that_is_too_large_for_a_segment_is_without_the_record(told: Deliveries, log: BundledLog) -> None:
    [refused] = told.insert(1)
    size = 2**30  # never touched, and so never in memory
    place = refused.record
    record = StoredRecord(place.topic, 0, 0, place.timestamp_ms, place.key, bytes(size), [("origin", b"shop")])
    letters = DeadLetters(log, "lake", "lake.dead-letter")
    with closing(letters):
        letters.add(Delivery(record, told.decoder), REFUSED)
        letters.flush()
    [letter] = letters_of(log)
    assert (letter.key, letter.value) == (record.key, None)
    headers = dict(letter.headers)
    assert "origin" not in headers
    assert headers["__connect.errors.offset"] == b"0"
    reason = (headers["__connect.errors.exception.message"] or b"").decode()
    assert reason.startswith("does not fit (left out: a record of 1073743")
    assert reason.endswith(f"where lake.dead-letter takes {size})")


@pytest.mark.parametrize("late", [False, True])
def test_a_letter_is_written_once_whatever_dies(told: Deliveries, log: BundledLog, late: bool) -> None:
    sink = Picky(late=late)
    first = [*told.insert(0), *told.insert(1), *told.insert(2)]
    reached = told.position
    for dies in (True, True, False):
        sink.dies = dies
        with closing(lettered(log, sink)) as all_of_it:
            assert all_of_it.open("lake") is None
            all_of_it.write(first)
            if dies:
                with pytest.raises(ConnectionError):
                    all_of_it.commit(reached)
            else:
                all_of_it.commit(reached)
        assert offsets_of(letters_of(log)) == [0, 2], "durable before the sink's position"
    second = [*told.insert(3), *told.insert(4)]
    with closing(lettered(log, sink)) as all_of_it:
        assert all_of_it.open("lake") == reached
        all_of_it.write(second)
        all_of_it.commit(told.position)
    assert offsets_of(letters_of(log)) == [0, 2, 4]
    assert sink.taken == [1, 3]


def test_letters_of_a_sink_whose_position_is_kept_beside(told: Deliveries, log: BundledLog) -> None:
    class Plain:
        def open(self, task: str) -> None:
            self.pending: list[Delivery] = []

        def write(self, items: Sequence[Delivery]) -> None:
            self.pending += items

        def flush(self) -> None:
            for each in self.pending:
                rejections(each, REFUSED)

        def close(self) -> None:
            pass

    class Dying(MemoryOffsets):
        def save(self, task: str, position: Position) -> None:
            assert len(letters_of(log)) == 2, "letters come first"
            super().save(task, position)

    letters = DeadLetters(log, "lake", "lake.dead-letter")
    rejections = Rejections("lake", "dead_letter", letters)
    offsets = Dying()
    beside = OffsetsBeside(Plain(), LetteredOffsets(offsets, letters))
    with closing(LetteredSink(beside, rejections, letters, at_once=False)) as sink:
        sink.open("lake")
        sink.write([*told.insert(1), *told.insert(2)])
        sink.commit(told.position)
    assert offsets.saved == {"lake": told.position}


def test_the_stage_looks_where_the_sink_does_not(told: Deliveries) -> None:
    items = [*told.insert(1), *told.unreadable(), *told.insert(2)]
    records = [each.record for each in items]
    rejections = Rejections("lake", "skip")
    looking = DeliveryStage(told.decoder, rejections, decoding=True)
    assert [each.record.offset for each in looking(records)] == [0, 2]
    assert rejections.count == 1
    assert len(DeliveryStage(told.decoder, rejections, decoding=False)(records)) == 3
