"""Dead letters of sinks in Kafka: those that their topic does not take whole, and those of a sink that was killed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from crash.worker import Worker
from kafka_log.stage import TOPIC, make_log, messages, record, stored, writing
from servers.kafka_broker import KafkaCluster
from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal
from tailrace.event import Record, StoredRecord
from tailrace.position import Position
from tailrace.runtime.dead_letter import DeadLetters
from tailrace.runtime.rejection import LetteredSink, Rejections
from tailrace.testing.deliveries import Deliveries

LETTERS = "lake.dead-letter"


class Empty:
    """A sink that nothing was written to yet."""

    def open(self, task: str) -> Position | None:
        return None

    def write(self, items: Sequence[Delivery]) -> None:
        raise AssertionError("nothing is to be written")

    def commit(self, position: Position) -> None:
        raise AssertionError("nothing is to be committed")

    def close(self) -> None:
        pass


def test_a_record_that_is_too_large_for_a_letter_is_told_of_without_it(kafka: KafkaCluster, tmp_path: Path) -> None:
    block = {"topics": {LETTERS: {"config": {"max.message.bytes": "20000"}}}, "registry_path": str(tmp_path / "r")}
    log = make_log(kafka, **block)
    noise = random.Random(1)
    with writing(log) as sink:
        sink.write([Record(TOPIC, b"k", noise.randbytes(size), 1_700_000_000_000) for size in (900_000, 100)])
        sink.commit({"lsn": 1})
    assert len(stored(log, 2)) == 2
    target = {"type": "replica", "url": f"sqlite:{tmp_path / 'lake.db'}", "topics": [TOPIC], "errors": "dead_letter"}
    worker = Worker(tmp_path, "", ())
    common = {"type": "kafka", "bootstrap_servers": kafka.bootstrap_servers, "offsets_partitions": 1, **block}
    worker.config.write_text(yaml.safe_dump({"log": common, "sinks": {"lake": target}}))
    try:
        worker.start("--until-current")
        assert worker.wait(timeout=120) == 0, worker.last_words()
    finally:
        worker.kill(with_tasks=True)
    large, small = messages(kafka, LETTERS, 2)
    assert (large.key(), large.value()) == (b"k", None)
    told = dict(large.headers() or ())
    assert (told["__connect.errors.topic"], told["__connect.errors.offset"]) == (TOPIC.encode(), b"0")
    assert f"where {LETTERS} takes 20000" in str(told["__connect.errors.exception.message"])
    assert len(small.value() or b"") == 100
    assert "left out" not in str(small.headers())


def test_a_topic_that_takes_no_letter_at_all_stops_the_sink(kafka: KafkaCluster, tmp_path: Path) -> None:
    log = make_log(kafka, topics={LETTERS: {"config": {"max.message.bytes": "300"}}})
    letters = DeadLetters(log, "lake", LETTERS)
    refused = Delivery(StoredRecord(TOPIC, 0, 7, 1_700_000_000_000, b"k", b"v", ()), Deliveries(tmp_path).decoder)
    with closing(letters), pytest.raises(Fatal, match="takes 300 bytes") as caught:
        letters.add(refused, BadRecord("does not fit"))
    assert "max.message.bytes" in caught.value.hint


def test_a_sink_that_starts_again_hides_nothing_behind_letters_that_it_had_begun(kafka: KafkaCluster) -> None:
    log = make_log(kafka)
    dead = log.writer()
    dead.open(LETTERS)
    dead.write([record(1, topic=LETTERS)])
    assert messages(kafka, LETTERS, 1, isolation="read_uncommitted"), "its transaction is open, and stays so"
    with writing(log) as other:
        other.write([record(2, topic=LETTERS)])
        other.commit({"at": 2})
    (place,) = (info for info in log.partitions() if info.topic == LETTERS)
    assert place.next_offset == 0
    letters = DeadLetters(log, "lake", LETTERS)
    with closing(LetteredSink(Empty(), Rejections("lake", "dead_letter", letters), letters, at_once=True)) as sink:
        sink.open("lake")
        assert stored(log, 1, LETTERS) == [b"2"]
    dead.close()
