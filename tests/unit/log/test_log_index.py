"""The indexes find every offset and every time, and do no harm where they are lost, torn, stale or wrong."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tailrace.log.store.backend import BundledLog
from tailrace.log.store.index import locate
from tailrace.log.store.segment import SegmentFile, index_path, log_path, segment_bases, time_index_path
from unit.log.stage import TIME, TOPIC, fill, folder, make_log, numbers, record, segments, stored, writing


@pytest.fixture
def log(tmp_path: Path) -> BundledLog:
    log = make_log(tmp_path / "log", segment_bytes=4096)
    fill(log, range(300), per_commit=3)
    return log


@contextmanager
def opened(path: Path) -> Iterator[SegmentFile]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield SegmentFile(fd, path)
    finally:
        os.close(fd)


def remove(path: Path) -> None:
    path.unlink()


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    path.write_bytes(random.Random(3).randbytes(len(path.read_bytes())))


def shift(path: Path) -> None:
    """Every entry speaks of another place."""
    path.write_bytes(bytes((byte + 1) % 256 for byte in path.read_bytes()))


def repeat(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def halve(path: Path) -> None:
    """As a crash leaves it: the batches are durable, the index is not."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 48 * 24])


MISHAPS = [remove, tear, empty, scramble, shift, repeat, halve]


def test_indexes_are_written_as_kafka_does(log: BundledLog) -> None:
    for base in segment_bases(folder(log)):
        offsets, times = index_path(folder(log), base).read_bytes(), time_index_path(folder(log), base).read_bytes()
        assert offsets
        assert len(offsets) % 8 == 0
        assert len(times) % 12 == 0
        with opened(log_path(folder(log), base)) as segment:
            for at in range(0, len(offsets), 8):
                relative = int.from_bytes(offsets[at : at + 4], "big")
                position = int.from_bytes(offsets[at + 4 : at + 8], "big")
                header, _ = segment.batch(position, base + relative)
                assert header.last_offset == base + relative


def test_every_offset_is_found(log: BundledLog) -> None:
    assert len(segments(log)) > 3
    for offset in range(300):
        assert stored(log, TOPIC, 0, offset)[0].offset == offset


def test_every_time_is_found(log: BundledLog) -> None:
    for number in range(300):
        assert log.offset_at(TOPIC, 0, TIME + number) == number
    assert log.offset_at(TOPIC, 0, 0) == 0
    assert log.offset_at(TOPIC, 0, TIME + 300) == 300


@pytest.mark.parametrize("mishap", MISHAPS)
def test_damaged_indexes_change_no_answer(log: BundledLog, mishap: Callable[[Path], None]) -> None:
    for pattern in ("*.index", "*.timeindex"):
        for path in folder(log).glob(pattern):
            mishap(path)
    for offset in range(0, 300, 7):
        assert stored(log, TOPIC, 0, offset)[0].offset == offset
        assert log.offset_at(TOPIC, 0, TIME + offset) == offset


@pytest.mark.parametrize("mishap", MISHAPS)
def test_the_writer_mends_the_index_it_goes_on_with(log: BundledLog, mishap: Callable[[Path], None]) -> None:
    base = segment_bases(folder(log))[-1]
    paths = [index_path(folder(log), base), time_index_path(folder(log), base)]
    for path in paths:
        mishap(path)
    with writing(log) as writer:
        writer.write([record(300)])
        writer.commit({"at": 300})
    entries = paths[0].read_bytes()
    with opened(log_path(folder(log), base)) as segment:
        for at in range(0, len(entries), 8):
            relative, position = (
                int.from_bytes(entries[at : at + 4], "big"),
                int.from_bytes(entries[at + 4 : at + 8], "big"),
            )
            assert segment.batch(position, 0)[0].last_offset == base + relative
    assert len(entries) >= 8 * 3, "not only what was appended since"
    assert numbers(stored(log)) == list(range(301))


def test_an_index_spares_reading_the_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make_log(tmp_path / "log", segment_bytes=1024 * 1024)
    fill(log, range(2000), per_commit=2)
    seen: list[int] = []
    real = SegmentFile.headers

    def headers(self: SegmentFile, position: int, offset: int, until: int) -> Iterator[object]:
        for each in real(self, position, offset, until):
            seen.append(each[0])
            yield each

    monkeypatch.setattr(SegmentFile, "headers", headers)
    with opened(segments(log)[0]) as segment:
        found = locate(segment, 0, 1900)
    assert found is not None
    assert found[1].base_offset <= 1900 <= found[1].last_offset
    assert len(seen) <= 4


def test_times_that_do_not_rise(tmp_path: Path) -> None:
    """Rows of a long transaction come after younger ones: the first record that is not older is meant."""
    log = make_log(tmp_path / "log", segment_bytes=2048)
    times = [random.Random(5).randrange(1000) for _ in range(200)]
    with writing(log) as writer:
        for time in times:
            writer.write([record(time)])
            writer.commit({"at": len(times)})
            writer.commit({"at": time})
    for asked in range(0, 1001, 50):
        expected = next((offset for offset, time in enumerate(times) if time >= asked), 200)
        assert log.offset_at(TOPIC, 0, TIME + asked) == expected
