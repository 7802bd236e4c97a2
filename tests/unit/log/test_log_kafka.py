"""Kafka's own code reads our segment files, compacted ones too, and we read what it writes.

Needs Java 17; the classes of Kafka come with the jars that the Debezium tests have.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from databases.debezium import install
from tailrace.event import Record
from tailrace.log.backend import StoredRecord
from tailrace.log.store.cleaner import Cleaner
from tailrace.log.store.compression import Compression
from tailrace.log.store.partitioner import murmur2
from tailrace.log.store.segment import log_path
from unit.log.stage import TIME, TOPIC, folder, make_log, segments, stored, writing

pytestmark = pytest.mark.java

JUDGE = Path(__file__).with_name("kafka") / "SegmentJudge.java"


@pytest.fixture(autouse=True)
def java() -> None:
    if missing := install.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(f"KAFKA'S OWN CODE NOT ASKED: {missing}")


def ask(*arguments: object) -> list[list[str]]:
    class_path = f"{install.install().jars}/*"
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", class_path, JUDGE, *arguments]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return [line.split(" ") for line in answer.stdout.splitlines()]


def text(field: str) -> bytes | None:
    return None if field == "-" else b64decode(field[1:])


def told(lines: Sequence[Sequence[str]]) -> list[tuple[object, ...]]:
    return [
        (
            int(line[1]),
            int(line[2]),
            text(line[3]),
            text(line[4]),
            [((text(name) or b"").decode(), text(value)) for name, value in zip(line[6::2], line[7::2], strict=True)],
        )
        for line in lines
        if line[0] == "record"
    ]


def content(records: Sequence[StoredRecord]) -> list[tuple[object, ...]]:
    return [(each.offset, each.timestamp_ms, each.key, each.value, list(each.headers)) for each in records]


def random_records(count: int, seed: int) -> list[Record]:
    chance = random.Random(seed)
    return [
        Record(
            TOPIC,
            None if chance.random() < 0.1 else b"key-%d" % chance.randrange(20),
            None if chance.random() < 0.2 else chance.randbytes(10) * chance.randrange(50),
            TIME + chance.randrange(-(10**6), 10**6),
            [("ü", None), ("h", b"x")] if chance.random() < 0.3 else (),
        )
        for _ in range(count)
    ]


def test_kafka_reads_ours(tmp_path: Path) -> None:
    written: dict[Path, list[tuple[object, ...]]] = {}
    compressions: list[Compression] = ["none", "lz4", "zstd"]
    for seed, compression in enumerate(compressions):
        log = make_log(tmp_path / compression, segment_bytes=1 << 20, compression=compression, cleanup="compact")
        with writing(log) as writer:
            for turn in range(5):
                writer.write(random_records(100, seed * 10 + turn))
                writer.commit({"at": turn})
        written[segments(log)[0]] = content(stored(log))
    lines = ask("read", *written)
    assert told(lines) == [each for records in written.values() for each in records]
    hashes = {text(line[3]): int(line[5]) & 0xFFFFFFFF for line in lines if line[0] == "record" and line[3] != "-"}
    assert hashes == {key: murmur2(key or b"") for key in hashes}


def test_kafka_reads_what_compaction_leaves(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", segment_bytes=4096, cleanup="compact", delete_retention_hours=1)
    with writing(log) as writer:
        for turn in range(40):
            writer.write(random_records(10, turn))
            writer.commit({"at": turn})
    for now in (TIME, TIME + 1):
        Cleaner(log.config).run_once(now_ms=now, force=True)
    lines = ask("read", *segments(log))
    assert told(lines) == content(stored(log))
    batches = [line for line in lines if line[0] == "batch"]
    assert {line[4] for line in batches} == {"-", str(TIME + 3_600_000)}, "the delete horizon of KIP-534"
    covered = [(int(line[1]), int(line[2])) for line in batches]
    assert covered[0][0] == 0
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(covered))


def test_we_read_kafkas(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.log"
    ask("write", theirs)
    log = make_log(tmp_path / "log", segment_bytes=1 << 20)
    folder(log).mkdir(parents=True)
    shutil.copy(theirs, log_path(folder(log), 0))
    with writing(log) as writer:
        writer.write([Record(TOPIC, b"k", b"ours", TIME)])
        writer.commit({"at": 1})
    assert content(stored(log)) == told(ask("read", segments(log)[0]))
    assert [each.value for each in stored(log)][-1] == b"ours"
    assert len(stored(log)) == 4 * 200 + 1
