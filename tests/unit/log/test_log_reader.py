"""The reader: topics by glob, positions, waiting, and what it tells of itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tailrace.errors import Fatal
from tailrace.log.backend import Backlog, OffsetsGone
from tailrace.log.store import reader as reader_module
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.reader import BundledReader
from tailrace.position import Position
from tailrace.source import Batch
from unit.log.stage import TIME, TOPIC, fill, folder, make_log, numbers, record, segments, stored, writing


@pytest.fixture
def log(tmp_path: Path) -> BundledLog:
    return make_log(tmp_path / "log", segment_bytes=2048)


@contextmanager
def reading(log: BundledLog, resume_from: Position | None = None, **kwargs: object) -> Iterator[BundledReader]:
    source = log.reader(["shop.*"], **kwargs)  # type: ignore[arg-type]
    assert isinstance(source, BundledReader)
    with closing(source):
        source.open(resume_from)
        yield source


def drain(reader: BundledReader) -> list[int]:
    found: list[int] = []
    while True:
        batch = reader.poll(0)
        if not batch.items and batch.position is None:
            return found
        found += numbers(list(batch.items))


def test_globs_choose_topics(log: BundledLog) -> None:
    fill(log, [1], topic="shop.a")
    fill(log, [2], topic="shop.b")
    fill(log, [3], topic="other.a")
    fill(log, [4], topic="xshop.a")
    with reading(log) as reader:
        assert sorted(drain(reader)) == [1, 2]
        assert reader.poll(0).position is None


def test_new_topics_are_picked_up(log: BundledLog) -> None:
    with reading(log, start="latest") as reader, writing(log) as writer:
        assert drain(reader) == []
        for number in range(5):
            writer.write([record(number, topic=f"shop.new-{number}")])
            writer.commit({"at": number})
            assert numbers(list(reader.poll(2).items)) == [number]


def test_a_position_names_all_partitions(log: BundledLog) -> None:
    fill(log, range(3), topic="shop.a")
    fill(log, range(2), topic="shop.b")
    with reading(log) as reader:
        drain(reader)
        fill(log, [9], topic="shop.b")
        assert reader.poll(2).position == {"shop.a-0": 3, "shop.b-0": 3}


def test_latest_is_a_position_before_anything_comes(log: BundledLog) -> None:
    """Or a crash before the first record would skip what came meanwhile."""
    fill(log, range(3))
    with reading(log, start="latest") as reader:
        position = reader.poll(0).position
    assert position == {f"{TOPIC}-0": 3}
    fill(log, [3])
    with reading(log, position, start="latest") as reader:
        assert drain(reader) == [3]


def test_positions_of_partitions_that_are_away_are_kept(log: BundledLog) -> None:
    fill(log, range(3))
    with reading(log, {"shop.gone-0": 7, f"{TOPIC}-0": 1}) as reader:
        batch = reader.poll(0)
        assert numbers(list(batch.items)) == [1, 2]
        assert batch.position == {"shop.gone-0": 7, f"{TOPIC}-0": 3}


def test_a_position_within_a_batch(log: BundledLog) -> None:
    fill(log, range(20), per_commit=20)
    for offset in range(21):
        with reading(log, {f"{TOPIC}-0": offset}) as reader:
            assert drain(reader) == list(range(offset, 20))


def test_a_position_past_the_end_is_no_position(log: BundledLog) -> None:
    fill(log, range(3))
    with pytest.raises(Fatal, match="from offset 4: the log ends at 3"), reading(log, {f"{TOPIC}-0": 4}):
        pass


def test_a_strange_position_is_refused(log: BundledLog) -> None:
    with pytest.raises(Fatal, match="not offsets by partition"), reading(log, {"lsn": "0/16"}):
        pass


def test_removed_offsets_are_an_error_or_skipped_loudly(log: BundledLog) -> None:
    fill(log, range(100))
    first = int(segments(log)[1].stem)
    segments(log)[0].unlink()
    with reading(log, {f"{TOPIC}-0": 0}) as reader, pytest.raises(OffsetsGone) as caught:
        reader.poll(0)
    assert caught.value.first_available == first
    assert str(first) in caught.value.message
    with reading(log, {f"{TOPIC}-0": 0}, on_missing="earliest") as reader:
        assert drain(reader) == list(range(first, 100))
    with reading(log) as reader:  # earliest is what there is
        assert drain(reader) == list(range(first, 100))


def test_a_hole_is_skipped_only_when_told(log: BundledLog) -> None:
    fill(log, range(100))
    hole, following = (int(path.stem) for path in segments(log)[1:3])
    segments(log)[1].unlink()
    with reading(log) as reader, pytest.raises(OffsetsGone):
        drain(reader)
    with reading(log, on_missing="earliest") as reader:
        assert drain(reader) == [*range(hole), *range(following, 100)]


def test_polling_ends_in_time_and_rests(log: BundledLog) -> None:
    fill(log, range(3))
    with reading(log) as reader:
        drain(reader)
        begun, cpu = time.monotonic(), time.thread_time()
        assert not reader.poll(0.5).items
        assert 0.45 < time.monotonic() - begun < 20
        assert time.thread_time() - cpu < 0.1


def test_polling_wakes_up_for_a_commit(log: BundledLog) -> None:
    fill(log, [0])
    with reading(log) as reader:
        drain(reader)
        thread = threading.Timer(0.3, fill, (log, [1]))
        thread.start()
        begun = time.monotonic()
        assert numbers(list(reader.poll(120).items)) == [1]
        assert time.monotonic() - begun < 60
        thread.join()


def test_a_silent_bell_delays_and_loses_nothing(log: BundledLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "SCAN_SECONDS", 0.05)
    fill(log, [0])
    with reading(log) as reader:
        drain(reader)
        bell = log.layout.bell.read_bytes()
        fill(log, [1])
        fill(log, [2], topic="shop.other")
        log.layout.bell.write_bytes(bell)
        deadline = time.monotonic() + 60
        found: list[int] = []
        while len(found) < 2 and time.monotonic() < deadline:
            found += numbers(list(reader.poll(0.1).items))
        assert sorted(found) == [1, 2]


def test_polls_are_bounded(log: BundledLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FETCH_BYTES", 500)
    fill(log, range(100), per_commit=2)
    with reading(log) as reader:
        sizes = []
        while (batch := reader.poll(0)).items:
            sizes.append(len(batch.items))
            assert batch.size <= 500
        assert sum(sizes) == 100
        assert max(sizes) < 12


def test_a_batch_bigger_than_a_poll_comes_whole(log: BundledLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FETCH_BYTES", 100)
    fill(log, range(3), per_commit=1, size=3000)
    with reading(log) as reader:
        assert drain(reader) == [0, 1, 2]


def test_partitions_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FETCH_BYTES", 300)
    log = make_log(tmp_path / "log", partitions=3, segment_bytes=100_000)
    with writing(log) as writer:
        for number in range(90):
            writer.write([record(number, partition=number % 3)])
            writer.commit({"at": number})
    with reading(log) as reader:
        first = [reader.poll(0).items for _ in range(3)]
        assert {each.partition for items in first for each in items} == {0, 1, 2}


def test_the_report_tells_how_far(log: BundledLog) -> None:
    fill(log, range(100))
    with reading(log) as reader:
        report = reader.report()
        assert report.lag_bytes == sum(path.stat().st_size for path in segments(log))
        assert report.details["lag_records"] == 100
        assert report.lag_seconds is None
        assert not report.caught_up
        assert report.server_position == f"{TOPIC}-0:100"
        drain(reader)
        report = reader.report()
        assert (report.lag_bytes, report.details["lag_records"], report.caught_up) == (0, 0, True)
        assert report.position == f"{TOPIC}-0:100"
        assert report.lag_seconds == 0
        fill(log, [100])
        assert reader.report().caught_up, "what came later does not count"
        reader.ack({f"{TOPIC}-0": 100})


def test_lag_in_seconds_is_the_age_of_the_last_record(log: BundledLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FETCH_BYTES", 300)
    monkeypatch.setattr(time, "time", lambda: TIME / 1000 + 60)
    fill(log, range(100))
    with reading(log) as reader:
        reader.poll(0)
        assert 59 < (reader.report().lag_seconds or 0) <= 60


def test_no_glob_is_no_topic(log: BundledLog) -> None:
    fill(log, [1])
    with closing(log.reader([])) as reader:
        reader.open(None)
        assert reader.poll(0) == Batch()


def test_an_empty_log_is_caught_up(log: BundledLog) -> None:
    with reading(log) as reader:
        assert reader.poll(0).position is None
        assert reader.report().caught_up


def test_readers_see_no_uncommitted_bytes(log: BundledLog) -> None:
    """The tail that they saw torn is written anew with other bytes, and that is what they read."""
    fill(log, range(3))
    with reading(log) as reader:
        drain(reader)
        with writing(log) as writer:
            writer.write([record(90 + each) for each in range(9)])
            writer._session._flush()  # type: ignore[union-attr]
            assert drain(reader) == []
        fill(log, range(3, 12))
        assert drain(reader) == list(range(3, 12))


def test_records_of_no_partition(log: BundledLog) -> None:
    fill(log, [1])
    with pytest.raises(Fatal, match="no such partition"):
        log.records("shop.none", 0, 0)
    with pytest.raises(Fatal, match="no such partition"):
        log.offset_at(TOPIC, 5, 0)


def test_records_end_where_they_ended_at_the_call(log: BundledLog) -> None:
    fill(log, range(3))
    records = log.records(TOPIC, 0, 0)
    fill(log, range(3, 6))
    assert numbers(list(records)) == [0, 1, 2]
    assert numbers(stored(log, TOPIC, 0, 5)) == [5]
    assert stored(log, TOPIC, 0, 6) == []


def test_closing_twice_and_early(log: BundledLog) -> None:
    reader = log.reader(["*"])
    reader.close()
    fill(log, range(3))
    reader.open(None)
    reader.poll(0)
    reader.close()
    reader.close()
    assert folder(log).is_dir()


def test_what_follows_a_position_is_measured_without_a_reader(log: BundledLog) -> None:
    fill(log, list(range(1, 101)))
    fill(log, [1, 2], topic="other.a")
    whole, name = log.backlog(["shop.*"], {}), f"{TOPIC}-0"
    assert whole.bytes == sum(path.stat().st_size for path in segments(log))
    assert whole.seconds == pytest.approx(time.time() - TIME / 1000, abs=60)
    later = log.backlog(["shop.*"], {name: 50})
    assert 0 < (later.bytes or 0) < (whole.bytes or 0)
    assert (later.records, whole.records) == (50, 100)
    with reading(log, {name: 50}) as reader:
        reader.poll(0)
        assert (reader.report().lag_bytes or 0) < (later.bytes or 0)
    assert log.backlog(["shop.*"], {name: 100}) == Backlog(0, 0.0, 0)
    segments(log)[0].unlink()
    with pytest.raises(OffsetsGone):
        log.backlog(["shop.*"], {name: 0})
    assert log.backlog(["shop.*"], {}).bytes == sum(path.stat().st_size for path in segments(log))
