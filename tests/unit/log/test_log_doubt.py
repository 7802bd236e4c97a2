"""A commit whose data and journal are synced at once: whole it happened, and where any of it is missing it did not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.errors import Fatal
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.batch import batch_parts
from tailrace.log.store.record import BlockBuilder
from tailrace.log.store.segment import SegmentFile
from tailrace.log.store.watermark import pack_watermark
from unit.log.stage import flip, folder, make_log, numbers, record, segments, stored, writing

COMMITTED = 10
LAST = [(10, 0), (11, 0), (12, 1)]
"""Number and partition of the records of the last commit."""


@pytest.fixture
def log(tmp_path: Path) -> BundledLog:
    """A log as a power cut may leave it in the last of its commits: nobody was shown that one yet."""
    log = make_log(tmp_path / "log", segment_bytes=1 << 20, partitions=2, fsync="commit")
    with writing(log) as writer:
        for number in range(COMMITTED):
            writer.write([record(number, partition=number % 2)])
            writer.commit({"at": number})
        hints = {place.folder / "committed": (place.folder / "committed").read_bytes() for place in log.layout.places()}
        for number, partition in LAST:
            writer.write([record(number, partition=partition)])
            writer._session._flush()  # type: ignore[union-attr]
        writer.commit({"at": LAST[-1][0]})
    for path, content in hints.items():
        path.write_bytes(content)
    return log


def shown(log: BundledLog) -> list[int]:
    return sorted(number for partition in (0, 1) for number in numbers(stored(log, partition=partition)))


def test_a_whole_commit_happened(log: BundledLog) -> None:
    assert shown(log) == list(range(COMMITTED)), "readers wait for the watermark"
    assert log.positions() == {"shop": {"at": 12}}
    with writing(log) as writer:
        assert writer._session._journal.state.position == {"at": 12}  # type: ignore[union-attr]
        assert shown(log) == list(range(13))


def shorten(path: Path, start: int) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)


def zero(path: Path, start: int) -> None:
    """Leave the length, and none of the bytes."""
    data = path.read_bytes()
    path.write_bytes(data[:start].ljust(len(data), b"\0"))


def flip_the_last(path: Path, start: int) -> None:
    flip(path, path.stat().st_size - 1)


def flip_the_first(path: Path, start: int) -> None:
    flip(path, start + 40)


def remove(path: Path, start: int) -> None:
    path.unlink()


def put_others_there(path: Path, start: int) -> None:
    """Put sound batches of other records into the place, as long as those that were there."""
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        segment = SegmentFile(file.fileno(), path)
        at, offset = start, segment.header(start, 0).base_offset
        while at < len(data):
            header = segment.header(at, offset)
            block = BlockBuilder()
            block.add(record(90))
            batch = b"".join(batch_parts(block.take(), offset, 0))
            assert len(batch) == header.size
            data[at : at + header.size] = batch
            at, offset = at + header.size, header.next_offset
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [shorten, zero, flip_the_last, flip_the_first, put_others_there])
@pytest.mark.parametrize("partition", [0, 1])
def test_a_commit_without_all_of_its_data_did_not_happen(
    log: BundledLog, harm: Callable[[Path, int], None], partition: int
) -> None:
    harm(segments(log, partition=partition)[-1], start_of_the_last(log, partition))
    assert log.positions() == {"shop": {"at": 9}}
    for each in (0, 1):  # what they say is not known, and computed from the journal
        (folder(log, partition=each) / "committed").unlink()
    assert shown(log) == list(range(COMMITTED))
    with writing(log) as writer:
        assert writer._session._journal.state.position == {"at": 9}  # type: ignore[union-attr]
        writer.write([record(77, partition=0)])
        writer.commit({"at": 77})
    assert shown(log) == [*range(COMMITTED), 77]


def start_of_the_last(log: BundledLog, partition: int) -> int:
    """Return where the last commit begins in a partition's only segment: all batches have one record of a size."""
    path = segments(log, partition=partition)[-1]
    mine = sum(each == partition for _, each in LAST)
    with path.open("rb") as file:
        sizes = [header.size for _, header in SegmentFile(file.fileno(), path).headers(0, 0, 1 << 40)]
    return sum(sizes[:-mine])


@pytest.mark.parametrize("harm", [shorten, zero, flip_the_last, remove])
def test_a_commit_that_somebody_was_shown_is_never_taken_back(
    log: BundledLog, harm: Callable[[Path, int], None]
) -> None:
    """One watermark of two is enough: it was written when both syncs were over."""
    harm(segments(log, partition=0)[-1], start_of_the_last(log, 0))
    (folder(log, partition=1) / "committed").write_bytes(pack_watermark(6))
    with pytest.raises(Fatal, match=r"committed|damaged|missing"), writing(log):
        pass


def test_without_watermarks_a_whole_commit_is_shown(log: BundledLog) -> None:
    for partition in (0, 1):
        (folder(log, partition=partition) / "committed").unlink()
    assert shown(log) == list(range(13))


def test_a_position_can_be_set_behind_a_commit_that_did_not_happen(log: BundledLog) -> None:
    shorten(segments(log)[-1], 0)
    log.set_position("shop", {"at": 8})
    with writing(log) as writer:
        assert writer._session._journal.state.position == {"at": 8}  # type: ignore[union-attr]
    assert shown(log) == list(range(COMMITTED))


def test_another_task_takes_over_only_what_happened(log: BundledLog) -> None:
    shorten(segments(log, partition=1)[-1], 0)
    with writing(log, "other") as writer:
        writer.write([record(50, partition=0)])
        writer.commit({"at": 50})
    assert shown(log) == [*range(COMMITTED), 50]


def test_only_the_last_commit_is_looked_at(log: BundledLog) -> None:
    with writing(log) as writer:
        writer.write([record(13, partition=1)])
        writer.commit({"at": 13})
    flip(segments(log, partition=0)[-1], start_of_the_last(log, 0) + 40)
    assert log.positions() == {"shop": {"at": 13}}
    with pytest.raises(Fatal, match="damaged"):
        stored(log, partition=0)
