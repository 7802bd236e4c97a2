"""What every log must do: a sink of records that can be read back, and nothing seen that is not committed.

Its writer has to pass `SINK_CHECKS` and its reader `SOURCE_CHECKS` as well; `LogSinkStage` and `LogSourceStage` make a
log the stage for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import closing, contextmanager

from tailrace.event import Record
from tailrace.log.backend import LogBackend, PartitionInfo, StoredRecord
from tailrace.position import Position
from tailrace.sink import Sink
from tailrace.source import Source

TOPIC = "contract.public.orders"
TASK = "contract"
PATIENCE = 60.0
"""Seconds to wait for what must come."""

OpenLog = Callable[[], LogBackend]
"""Opens the log under test anew, as another process would."""


def record(number: int, *, topic: str = TOPIC) -> Record:
    """Return a record that can be told from those of other numbers."""
    return Record(topic, b"key-%d" % (number % 7), b"%d" % number, 1_700_000_000_000 + number)


def gives_records_back_as_they_were(open_log: OpenLog) -> None:
    """Keys, values, nulls, empty bytes, headers and times; offsets rise within what `partitions` tells."""
    written = [
        Record(TOPIC, b"k", b"v", 1_700_000_000_001, [("h", b"1"), ("h", None), ("ü", b"")]),
        Record(TOPIC, b"k", None, 1_700_000_000_002),
        Record(TOPIC, None, b"", 1_700_000_000_003),
        Record(TOPIC, b"", b"\x00\xff" * 500, 1_700_000_000_004),
    ]
    with _writing(open_log()) as sink:
        sink.write(written)
        sink.commit({"at": 1})
    log = open_log()
    stored = _all(log, len(written))
    assert sorted(map(_content, stored)) == sorted(map(_content, written))
    for info in _places(log):
        offsets = [found.offset for found in stored if found.partition == info.partition]
        assert offsets == sorted(set(offsets))
        assert all(info.first_offset <= offset < info.next_offset for offset in offsets)


def shows_committed_records_only(open_log: OpenLog) -> None:
    """To readers, to `records` and to `partitions`, before and after a restart."""
    log = open_log()
    with _writing(open_log()) as sink, closing(log.reader([TOPIC])) as reader:
        reader.open(None)
        sink.write([record(1)])
        sink.commit({"at": 1})
        assert _read(reader, 1) == [1]
        committed = _places(log)
        sink.write([record(number) for number in range(2, 100)])
        assert not reader.poll(0.05).items
        assert [_number(found) for found in _all(log)] == [1]
        assert [info.next_offset for info in _places(log)] == [info.next_offset for info in committed]
    assert [_number(found) for found in _all(open_log())] == [1]


def keeps_the_order_of_a_key(open_log: OpenLog) -> None:
    """All records of a key lie in one partition, in the order of their writes."""
    numbers = list(range(200))
    with _writing(open_log()) as sink:
        for start in range(0, 200, 20):
            sink.write([record(number) for number in numbers[start : start + 20]])
            sink.commit({"at": start})
    by_key: dict[bytes | None, list[StoredRecord]] = {}
    for found in _all(open_log(), len(numbers)):
        by_key.setdefault(found.key, []).append(found)
    assert len(by_key) == 7
    for found_of_key in by_key.values():
        assert len({found.partition for found in found_of_key}) == 1
        told = [_number(found) for found in found_of_key]
        assert told == sorted(told)


def reads_on_from_a_position(open_log: OpenLog) -> None:
    """A reader opened at another's position gets what follows, also in topics that are new since then."""
    with _writing(open_log()) as sink:
        sink.write([record(number) for number in range(10)])
        sink.commit({"at": 1})
        with closing(open_log().reader(["contract.public.*"])) as reader:
            reader.open(None)
            seen, position = _read_with_position(reader, 10)
        sink.write([record(10), record(11, topic="contract.public.late"), record(12, topic="contract.other.x")])
        sink.commit({"at": 2})
    assert sorted(seen) == list(range(10))
    with closing(open_log().reader(["contract.public.*"])) as reader:
        reader.open(position)
        assert sorted(_read(reader, 2)) == [10, 11]


def begins_where_it_is_told(open_log: OpenLog) -> None:
    """Earliest, latest, or at a time; and `offset_at` finds the first record that is not older."""
    with _writing(open_log()) as sink:
        sink.write([record(number) for number in range(10)])
        sink.commit({"at": 1})
        log = open_log()
        assert len(_all(log, 10)) == 10, "until it is seen, a commit lies behind what is the latest to a reader"
        with closing(log.reader([TOPIC], start="latest")) as late:
            late.open(None)
            assert not late.poll(0.05).items
            sink.write([record(10)])
            sink.commit({"at": 2})
            assert _read(late, 1) == [10]
    with closing(log.reader([TOPIC], start=1_700_000_000_008)) as timed:
        timed.open(None)
        assert sorted(_read(timed, 3)) == [8, 9, 10]
    for info in _places(log):
        offset = log.offset_at(TOPIC, info.partition, 1_700_000_000_008)
        assert all(_number(found) >= 8 for found in log.records(TOPIC, info.partition, offset))
        assert log.offset_at(TOPIC, info.partition, 1_900_000_000_000) == info.next_offset


def keeps_positions_of_tasks(open_log: OpenLog) -> None:
    """`positions` shows every task's last commit; `set_position` replaces that of a task that does not run."""
    with _writing(open_log(), "one") as one, _writing(open_log(), "two") as two:
        one.write([record(1)])
        one.commit({"at": 1})
        two.write([record(2, topic="contract.public.two")])
        two.commit({"at": 2})
        # What is committed is shown soon: Kafka's brokers tell one another a little later.
        wanted, deadline = {"one": {"at": 1}, "two": {"at": 2}}, time.monotonic() + PATIENCE
        while not wanted.items() <= (shown := dict(open_log().positions())).items():
            assert time.monotonic() < deadline, f"the positions shown are {shown}"
            time.sleep(0.02)
    log = open_log()
    log.set_position("one", {"at": 7})
    with closing(log.writer()) as sink:
        assert sink.open("one") == {"at": 7}
    log.set_position("one", None)
    with closing(open_log().writer()) as sink:
        assert sink.open("one") is None
        sink.write([record(3)])
        sink.commit({"at": 3})
    assert [_number(found) for found in _all(open_log(), 2)] == [1, 3], "what lay there before stays"


LOG_CHECKS: Sequence[Callable[[OpenLog], None]] = (
    gives_records_back_as_they_were,
    shows_committed_records_only,
    keeps_the_order_of_a_key,
    reads_on_from_a_position,
    begins_where_it_is_told,
    keeps_positions_of_tasks,
)


class LogSinkStage:
    """Makes a log's writer the sink of `SINK_CHECKS`."""

    def __init__(self, open_log: OpenLog) -> None:
        self._open_log = open_log

    def sink(self) -> Sink[Record]:
        """Return a writer."""
        return self._open_log().writer()

    def item(self, number: int) -> Record:
        """Return a record."""
        return record(number)

    def stored(self) -> list[int]:
        """Return the numbers of all committed records; by time, which is their order."""
        return sorted(_number(found) for found in _all(self._open_log()))


class LogSourceStage:
    """Makes a log's reader the source of `SOURCE_CHECKS`; all records have one key, and so one order."""

    def __init__(self, open_log: OpenLog) -> None:
        self._open_log = open_log
        self._count = 0

    def source(self) -> Source[StoredRecord]:
        """Return a reader."""
        return self._open_log().reader([TOPIC])

    def happen(self, count: int) -> list[Hashable]:
        """Write records, a commit each."""
        numbers: list[Hashable] = []
        with _writing(self._open_log()) as sink:
            for number in range(self._count, self._count + count):
                sink.write([Record(TOPIC, b"key", b"%d" % number, 1_700_000_000_000 + number)])
                sink.commit({"at": number})
                numbers.append(number)
        self._count += count
        return numbers

    def identity(self, item: StoredRecord) -> Hashable:
        """Return the record's number."""
        return _number(item)


@contextmanager
def _writing(log: LogBackend, task: str = TASK) -> Iterator[Sink[Record]]:
    with closing(log.writer()) as sink:
        sink.open(task)
        yield sink


def _places(log: LogBackend) -> list[PartitionInfo]:
    return [info for info in log.partitions() if info.topic == TOPIC]


def _all(log: LogBackend, count: int = 0) -> list[StoredRecord]:
    """Return all committed records, once there are `count` of them: a commit is seen soon, not always at once."""
    deadline = time.monotonic() + PATIENCE
    while True:
        stored = [
            found for info in _places(log) for found in log.records(info.topic, info.partition, info.first_offset)
        ]
        if len(stored) >= count or time.monotonic() > deadline:
            return stored
        time.sleep(0.01)


def _read(reader: Source[StoredRecord], count: int) -> list[int]:
    return _read_with_position(reader, count)[0]


def _read_with_position(reader: Source[StoredRecord], count: int) -> tuple[list[int], Position]:
    numbers: list[int] = []
    position: Position | None = None
    deadline = time.monotonic() + PATIENCE
    while len(numbers) < count:
        assert time.monotonic() < deadline, f"only {len(numbers)} of {count} records came"
        batch = reader.poll(0.1)
        numbers += [_number(found) for found in batch.items]
        position = batch.position or position
    assert position is not None, "records without a position"
    return numbers, position


def _number(found: StoredRecord) -> int:
    assert found.value is not None
    return int(found.value)


def _content(found: Record | StoredRecord) -> tuple[object, ...]:
    return found.timestamp_ms, found.key, found.value, tuple(found.headers)
