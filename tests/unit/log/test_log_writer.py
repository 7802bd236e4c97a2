"""The writer: commits, locks, owners, partitions, and the memory of a transaction of any size."""

from __future__ import annotations

import os
import resource
import shutil
import tracemalloc
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from tailrace.errors import BadRecord, Fatal, Retriable
from tailrace.event import Record
from tailrace.log.store import disk, partition
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.batch import BatchHeader, read_header
from tailrace.log.store.ownership import read_owner
from tailrace.log.store.partitioner import partition_of
from tailrace.log.store.record import BlockBuilder
from tailrace.log.store.settings import BundledLogConfig
from tailrace.log.store.writer import BundledWriter
from unit.log.stage import TIME, TOPIC, fill, folder, make_log, numbers, record, segments, stored, writing


@pytest.fixture
def log(tmp_path: Path) -> BundledLog:
    return make_log(tmp_path / "log", segment_bytes=2048)


def test_building_a_log_touches_nothing(log: BundledLog) -> None:
    log.writer()
    log.reader(["*"])
    assert not log.config.path.exists()
    assert log.partitions() == []
    assert log.positions() == {}


def test_a_commit_without_records_keeps_its_position(log: BundledLog) -> None:
    with writing(log) as writer:
        writer.commit({"at": 5})
    assert log.positions() == {"shop": {"at": 5}}
    with closing(log.writer()) as again:
        assert again.open("shop") == {"at": 5}


def test_the_same_position_twice_writes_nothing(log: BundledLog) -> None:
    with writing(log) as writer:
        writer.commit({"at": 5})
        size = journal_bytes(log)
        writer.commit({"at": 5})
        assert journal_bytes(log) == size


def journal_bytes(log: BundledLog) -> int:
    return sum(path.stat().st_size for path in log.layout.journal("shop").glob("*.log"))


def test_journals_stay_small(log: BundledLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.log.store.journal.SEGMENT_BYTES", 2000)
    with writing(log) as writer:
        for number in range(200):
            writer.write([record(number)])
            writer.commit({"at": number})
            assert journal_bytes(log) < 3000
            assert log.positions() == {"shop": {"at": number}}
    assert numbers(stored(log)) == list(range(200))
    with closing(log.writer()) as again:
        assert again.open("shop") == {"at": 199}


def test_a_commit_tells_of_what_moved_only(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", partitions=50, segment_bytes=4096)
    with writing(log) as writer:
        writer.write([record(number, partition=number) for number in range(50)])
        writer.commit({"at": 0})
        before = journal_bytes(log)
        writer.write([record(1, partition=7)])
        writer.commit({"at": 1})
        assert journal_bytes(log) - before < 250
    with writing(log) as writer:
        writer.commit({"at": 2})
    assert [len(stored(log, TOPIC, each)) for each in range(50)] == [1] * 7 + [2] + [1] * 42


def test_one_process_is_the_task(log: BundledLog) -> None:
    with writing(log):
        with pytest.raises(Retriable, match=f"process {os.getpid()}") as caught, closing(log.writer()) as second:
            second.open("shop")
        assert caught.value.hint
        with pytest.raises(Fatal, match=f"runs as process {os.getpid()}"):
            log.set_position("shop", None)
    with closing(log.writer()) as third:
        third.open("shop")


def test_task_names_are_file_names(log: BundledLog) -> None:
    names = ["shop", "shop/0", "..", "ü x", "a%2Fb"]
    for name in names:
        with writing(log, name) as writer:
            writer.commit({"name": name})
    assert dict(log.positions()) == {name: {"name": name} for name in names}
    assert {path.parent for path in log.layout.positions.rglob("lock")} <= set(log.layout.positions.iterdir())


def test_a_partition_of_a_running_task_is_not_taken(log: BundledLog) -> None:
    with writing(log, "one") as one, writing(log, "two") as two:
        one.write([record(1)])
        one.commit({"at": 1})
        with pytest.raises(Retriable, match=f"belongs to task one, which runs as process {os.getpid()}"):
            two.write([record(2)])
        one.write([record(3)])
        one.commit({"at": 3})
    assert numbers(stored(log)) == [1, 3]


def test_a_partition_of_a_stopped_task_is_taken_over(log: BundledLog) -> None:
    with writing(log, "one") as one:
        one.write([record(1)])
        one.commit({"at": 1})
        one.write([record(99)])
        one._session._flush()  # type: ignore[union-attr]
    with writing(log, "two") as two:
        two.write([record(2)])
        two.commit({"at": 2})
        two.write([record(98)])
        two._session._flush()  # type: ignore[union-attr]
    assert numbers(stored(log)) == [1, 2]
    with writing(log, "one") as one:
        assert numbers(stored(log)) == [1, 2], "to open as a former owner cuts nothing"
        one.write([record(3)])
        one.commit({"at": 3})
    owner = read_owner(folder(log))
    assert owner is not None
    assert owner.task == "one"
    assert numbers(stored(log)) == [1, 2, 3]


def test_a_taker_that_dies_before_its_first_commit_leaves_what_was_there(log: BundledLog) -> None:
    fill(log, range(30))
    with writing(log, "two") as two:
        two.write([record(98)])
        two._session._flush()  # type: ignore[union-attr]
    for task in ("two", "shop", "two"):
        with writing(log, task) as writer:
            writer.write([record(97)])
            writer._session._flush()  # type: ignore[union-attr]
        assert numbers(stored(log)) == list(range(30))


def test_partitions_of_a_removed_task_are_taken_over_whole(log: BundledLog) -> None:
    fill(log, range(30))
    shutil.rmtree(log.layout.journal("shop"))
    with writing(log, "two") as two:
        two.write([record(30)])
        two.commit({"at": 30})
    assert numbers(stored(log)) == list(range(31))


def test_keys_choose_partitions_as_in_kafka(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", partitions=5, segment_bytes=4096)
    with writing(log) as writer:
        writer.write([record(number) for number in range(100)])
        writer.write([Record(TOPIC, None, b"1000", TIME), Record(TOPIC, b"k1", b"2000", TIME, (), 4)])
        writer.commit({"at": 1})
    for number in range(100):
        expected = partition_of(b"k%d" % number, 5)
        assert number in numbers(stored(log, TOPIC, expected))
    assert 1000 in numbers(stored(log, TOPIC, 0))
    assert 2000 in numbers(stored(log, TOPIC, 4))


def test_a_topic_keeps_the_partitions_it_has(tmp_path: Path) -> None:
    fill(make_log(tmp_path / "log", partitions=3, segment_bytes=4096), range(50), per_commit=50)
    log = make_log(tmp_path / "log", partitions=8, segment_bytes=4096)
    fill(log, range(50, 100), per_commit=50)
    assert [info.partition for info in log.partitions()] == [0, 1, 2]
    fill(log, [1], topic="other")
    assert len(log.partitions()) == 3 + 8


def test_however_far_a_new_topic_came_its_partitions_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make_log(tmp_path / "log", partitions=4, segment_bytes=4096)
    real, made = disk.make_directory, []

    def make_directory(path: Path) -> None:
        if path.parent == log.layout.topics:
            made.append(path.name)
            if len(made) > 1:
                raise Retriable("stopped here")
        real(path)

    with monkeypatch.context() as patch, writing(log) as writer:
        patch.setattr(disk, "make_directory", make_directory)
        with pytest.raises(Retriable, match="stopped here"):
            writer.write([record(1)])
    fill(make_log(tmp_path / "log", partitions=9, segment_bytes=4096), range(20))
    there = {info.partition for info in log.partitions()}
    assert there <= {0, 1, 2, 3}
    assert 3 in there


@pytest.mark.parametrize("topic", ["", ".", "..", "a/b", "a b", "ä", "x" * 250])
def test_impossible_topics(log: BundledLog, topic: str) -> None:
    with writing(log) as writer, pytest.raises(Fatal, match="name is not possible"):
        writer.write([record(1, topic=topic)])


def test_a_failed_writer_must_be_opened_again(log: BundledLog) -> None:
    with writing(log) as writer:
        writer.write([record(1)])
        with pytest.raises(Fatal):
            writer.write([record(2, topic="a/b")])
        with pytest.raises(Retriable, match="after a failed write"):
            writer.write([record(3)])
        with pytest.raises(Retriable, match="after a failed write"):
            writer.commit({"at": 3})
        writer.open("shop")
        writer.write([record(4)])
        writer.commit({"at": 4})
    assert numbers(stored(log)) == [4]
    with pytest.raises(Fatal, match="not open"):
        writer.write([record(5)])
    writer.close()


def test_batches_are_bounded(log: BundledLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "BATCH_RECORDS", 10)
    monkeypatch.setattr(partition, "BATCH_BYTES", 500)
    with writing(log) as writer:
        writer.write([record(number) for number in range(100)])
        writer.write([record(number, size=200) for number in range(100, 120)])
        writer.commit({"at": 1})
    assert numbers(stored(log)) == list(range(120))
    batches = [header for path in segments(log) for header in headers(path)]
    assert {each.count for each in batches} == {10, 3, 2}


def headers(path: Path) -> list[BatchHeader]:
    data, at = path.read_bytes(), 0
    found: list[BatchHeader] = []
    while at < len(data):
        found.append(read_header(data, at))
        at += found[-1].size
    return found


def test_a_transaction_of_any_size_takes_little_memory(tmp_path: Path) -> None:
    log = BundledLog(BundledLogConfig(path=tmp_path / "log", fsync="never", compression="none"))
    part = [record(number, size=1000) for number in range(1000)]
    with writing(log) as writer:
        writer.write(part)
        tracemalloc.start()
        for _ in range(60):
            writer.write(part)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert segments(log)[0].stat().st_size > 40_000_000, "most of it is in the file, uncommitted"
        assert log.partitions()[0].next_offset == 0
        writer.commit({"at": 1})
    assert peak < 20_000_000
    assert log.partitions()[0].next_offset == 61_000


def test_a_record_too_big_for_a_segment_is_a_bad_record(log: BundledLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "RECORD_BYTES", 5000)
    with writing(log) as writer, pytest.raises(BadRecord, match="at most 5000 fit"):
        writer.write([record(1, size=6000)])


def test_a_batch_bigger_than_a_segment_gets_its_own(log: BundledLog) -> None:
    with writing(log) as writer:
        for number, size in enumerate([20, 5000, 20, 3000]):
            writer.write([record(number, size=size)])
            writer.commit({"at": number})
    assert numbers(stored(log)) == [0, 1, 2, 3]
    assert [int(path.stem) for path in segments(log)] == [0, 1, 2, 3]


def test_ready_made_blocks_keep_their_place(log: BundledLog) -> None:
    block = BlockBuilder()
    for number in (2, 3):
        block.add(record(number))
    with writing(log) as writer:
        writer.write([record(0), record(1)])
        writer.write_block(TOPIC, 0, block.take())
        writer.write([record(4)])
        writer.commit({"at": 4})
    assert numbers(stored(log)) == [0, 1, 2, 3, 4]


def test_an_old_segment_is_closed_by_the_next_write(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", segment_bytes=100_000, segment_hours=1)
    fill(log, range(5))
    os.utime(segments(log)[0], (1_600_000_000, 1_600_000_000))
    fill(log, range(5, 10))
    assert [int(path.stem) for path in segments(log)] == [0, 5]


def test_more_partitions_than_files_may_be_open(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", partitions=100, segment_bytes=4096)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (sum(1 for _ in Path("/proc/self/fd").iterdir()) + 40, hard))
        with writing(log) as writer, closing(log.reader(["*"])) as reader:
            reader.open(None)
            for turn in range(3):
                writer.write([record(turn * 100 + each, partition=each) for each in range(100)])
                writer.commit({"at": turn})
                seen: list[int] = []
                while len(seen) < 100:
                    seen += numbers(list(reader.poll(1).items))
                assert sorted(seen) == list(range(turn * 100, turn * 100 + 100))


def test_too_few_files_are_named(log: BundledLog) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        stack.enter_context(writing(log))
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(Retriable, match="too many open files") as caught:
            disk.open_file(log.config.path / "x")
    assert "ulimit" in caught.value.hint


def test_settings_for_single_topics(tmp_path: Path) -> None:
    config = BundledLogConfig.model_validate(
        {
            "path": tmp_path,
            "retention_hours": 48,
            "topics": {
                "shop.public.*": {"cleanup": "compact", "partitions": 4},
                "shop.*": {"retention_hours": 1, "compression": "zstd"},
            },
        }
    )
    orders, beat, other = (config.for_topic(name) for name in ("shop.public.orders", "shop.heartbeat", "x"))
    assert (orders.cleanup, orders.partitions, orders.retention_hours) == ("compact", 4, 48)
    assert (beat.cleanup, beat.retention_hours, beat.compression) == ("delete", 1, "zstd")
    assert (other.retention_hours, other.partitions) == (48, 1)


@pytest.mark.parametrize(
    "block", [{"fsync": "sometimes"}, {"segment_bytes": 2**31}, {"topics": {"*": {"pth": 1}}}, {"partitions": 0}]
)
def test_impossible_settings(tmp_path: Path, block: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BundledLogConfig.model_validate({"path": tmp_path, **block})


def test_syncs_by_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def syncs_of(fsync: object) -> list[int]:
        log = BundledLog(BundledLogConfig.model_validate({"path": tmp_path / str(fsync), "fsync": fsync}))
        counts = []
        with writing(log) as writer:
            for number in range(3):
                done.clear()
                writer.write([record(number)])
                writer.commit({"at": number})
                counts.append(len(done))
            done.clear()
        return [*counts, len(done)]

    done: list[Path] = []
    monkeypatch.setattr(disk, "sync", lambda _fd, path: done.append(path))
    every = syncs_of("commit")
    assert every[1:3] == [2, 2], "the segment, then the journal"
    assert syncs_of("never")[1:] == [0, 0, 0]
    assert syncs_of(3600.0)[1:] == [0, 0, 2], "what the interval left is done at an orderly end"


def test_a_writer_is_a_context_of_its_own(log: BundledLog) -> None:
    writer = BundledWriter(log.config)
    writer.close()
    writer.open("shop")
    writer.close()
    writer.close()
