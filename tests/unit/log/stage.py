"""What the tests of the bundled log share: a small log, writing to it, and reading all of it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from tailrace.event import Record
from tailrace.log.backend import StoredRecord
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.settings import BundledLogConfig, TopicOverrides
from tailrace.log.store.writer import BundledWriter

TOPIC = "shop.public.orders"
TIME = 1_700_000_000_000


def make_log(
    path: Path,
    *,
    segment_bytes: int = 1024,
    partitions: int = 1,
    fsync: Literal["commit", "never"] = "never",
    **topic: object,
) -> BundledLog:
    """Return a log with small segments and an index entry for nearly every batch.

    Without syncs, which only a power cut can tell from a log with them; `properties/test_log_crashes.py` has those.
    """
    overrides = {"*": TopicOverrides.model_validate(topic)} if topic else {}
    config = BundledLogConfig(
        path=path,
        segment_bytes=segment_bytes,
        index_interval_bytes=100,
        partitions=partitions,
        compression="none",
        fsync=fsync,
        topics=overrides,
    )
    return BundledLog(config)


def record(number: int, *, topic: str = TOPIC, partition: int | None = None, size: int = 20) -> Record:
    value = b"%d" % number
    return Record(topic, b"k%d" % number, value.ljust(size), TIME + number, (), partition)


@contextmanager
def writing(log: BundledLog, task: str = "shop") -> Iterator[BundledWriter]:
    writer = BundledWriter(log.config)
    with closing(writer):
        writer.open(task)
        yield writer


def fill(log: BundledLog, numbers: Sequence[int], *, per_commit: int = 5, topic: str = TOPIC, size: int = 20) -> None:
    """Write records, with a commit after every few whose position is the last number."""
    with writing(log) as writer:
        for start in range(0, len(numbers), per_commit):
            part = numbers[start : start + per_commit]
            writer.write([record(number, topic=topic, size=size) for number in part])
            writer.commit({"at": part[-1]})


def stored(log: BundledLog, topic: str = TOPIC, partition: int = 0, offset: int = 0) -> list[StoredRecord]:
    return list(log.records(topic, partition, offset))


def numbers(records: Sequence[StoredRecord]) -> list[int]:
    return [int(each.value or b"-1") for each in records]


def folder(log: BundledLog, topic: str = TOPIC, partition: int = 0) -> Path:
    return log.layout.place(topic, partition).folder


def segments(log: BundledLog, topic: str = TOPIC, partition: int = 0) -> list[Path]:
    return sorted(folder(log, topic, partition).glob("*.log"))


def flip(path: Path, position: int, bits: int = 0xFF) -> None:
    """Damage one byte of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= bits
    path.write_bytes(data)
