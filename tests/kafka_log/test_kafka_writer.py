"""The writer of Kafka as the log, beyond what its contract says: fencing, offsets, topics, limits."""

from __future__ import annotations

import json
import os
import random
from contextlib import closing

import pytest

from kafka_log.stage import TOPIC, make_log, messages, positions, record, stored, writing
from servers.kafka_broker import KafkaCluster
from tailrace.codec.encoded import EncodedRecords
from tailrace.core.block import Blocks
from tailrace.errors import BadRecord, Fatal, Retriable
from tailrace.event import Record


def test_a_writer_that_was_replaced_says_by_whom(kafka: KafkaCluster) -> None:
    log = make_log(kafka)
    with writing(log) as first, closing(log.writer()) as second:
        first.write([record(1)])
        assert second.open("shop") is None
        with pytest.raises(Fatal, match=f"process {os.getpid()} .*writes as shop now"):
            first.commit({"at": 1})
        second.write([record(2)])
        second.commit({"at": 2})
    assert stored(log, 1) == [b"2"]


def test_tasks_and_groups_do_not_fence_each_other(kafka: KafkaCluster) -> None:
    log, other = make_log(kafka), make_log(kafka, group="others", offsets_topic="others-offsets")
    with writing(log) as one, writing(log, "erp") as two, writing(other) as three:
        for number, sink in enumerate((one, two, three)):
            sink.write([record(number)])
            sink.commit({"at": number})
    assert sorted(stored(log, 3)) == [b"0", b"1", b"2"]  # type: ignore[type-var]
    assert positions(log, 2) == {"shop": {"at": 0}, "erp": {"at": 1}}
    assert positions(other, 1) == {"shop": {"at": 2}}


def test_offsets_are_those_of_kafka_connect(kafka: KafkaCluster) -> None:
    log = make_log(kafka)
    with closing(log.writer("store")) as sink:
        sink.open("shop")
        sink.commit({"lsn": 7, "snapshot": {"done": True}})
    _, offset = messages(kafka, "tailrace-offsets", 2)
    assert offset.key() == b'["shop",{"server":"store"}]'
    value = json.loads(offset.value() or b"")
    assert json.loads(value["tailrace"]) == {"lsn": 7, "snapshot": {"done": True}}
    assert all(not isinstance(field, dict | list) for field in value.values()), "values of Connect are flat"
    log.set_position("shop", None)
    assert messages(kafka, "tailrace-offsets", 3)[2].key() == b'["shop",{"server":"store"}]'
    assert dict(log.positions()) == {}


def test_a_task_whose_position_is_set_goes_on_from_there(kafka: KafkaCluster) -> None:
    log = make_log(kafka)
    with writing(log) as sink:
        sink.write([record(1)])
        log.set_position("shop", {"at": 7})
        with pytest.raises(Retriable, match="transaction"):
            sink.commit({"at": 1})
        assert sink.open("shop") == {"at": 7}
    assert stored(log, 0) == []


def test_blocks_of_the_encoder_arrive_as_they_are(kafka: KafkaCluster) -> None:
    log = make_log(kafka, partitions=3)
    blocks = Blocks(log.partition_count)
    written = [
        Record(TOPIC, b"k%d" % number, None if number % 5 == 0 else b"v", 1_700_000_000_000 + number, [("h", b"1")])
        for number in range(50)
    ]
    for each in written:
        blocks.append(each)
    with writing(log) as sink:
        sink.write(EncodedRecords(blocks.take()))
        sink.commit({"at": 1})
    stored(log, 50)
    found = [each for number in range(3) for each in log.records(TOPIC, number, 0)]
    told = {each.key: (each.value, each.timestamp_ms, list(each.headers)) for each in found}
    assert told == {each.key: (each.value, each.timestamp_ms, list(each.headers)) for each in written}
    assert len({each.partition for each in found}) == 3


def test_at_least_once_repeats_what_has_no_position(kafka: KafkaCluster) -> None:
    log = make_log(kafka, exactly_once=False)
    with writing(log) as sink:
        sink.write([record(1)])
        sink.commit({"at": 1})
        sink.write([record(2)])
    with closing(log.writer()) as sink:
        assert sink.open("shop") == {"at": 1}
        sink.write([record(2)])
        sink.commit({"at": 2})
    values = stored(log, 2)
    assert values[0] == b"1"
    assert set(values[1:]) == {b"2"}


def test_new_topics_are_as_configured(kafka: KafkaCluster) -> None:
    settings = {"shop.public.*": {"partitions": 4, "cleanup": "compact", "config": {"segment.ms": "60000"}}}
    log = make_log(kafka, topics=settings, retention_hours=1)
    with writing(log) as sink:
        sink.write([record(1), record(1, topic="__tailrace-schema-history.shop"), record(1, topic="else")])
        sink.commit({"at": 1})
    topics = log._topics
    assert {name: topics.existing()[name] for name in (TOPIC, "__tailrace-schema-history.shop", "else")} == {
        TOPIC: 4, "__tailrace-schema-history.shop": 1, "else": 1,
    }  # fmt: skip
    orders, history, other = (topics._read_config(name) for name in (TOPIC, "__tailrace-schema-history.shop", "else"))
    assert (orders["cleanup.policy"], orders["segment.ms"], orders["retention.ms"]) == ("compact", "60000", "3600000")
    assert (history["cleanup.policy"], history["retention.ms"]) == ("delete", "-1")
    assert other["retention.ms"] == "3600000"


def test_topics_that_may_not_be_made_are_asked_for(kafka: KafkaCluster) -> None:
    kafka.create_topic("tailrace-offsets", cleanup_policy="compact")
    with (
        writing(make_log(kafka, create_topics=False, partitions=2)) as sink,
        pytest.raises(Fatal, match=TOPIC) as caught,
    ):
        sink.write([record(1)])
    assert f"kafka-topics --create --topic {TOPIC} --partitions 2" in caught.value.hint


def test_topics_that_would_forget_are_refused(kafka: KafkaCluster) -> None:
    kafka.create_topic("forgetful")
    with pytest.raises(Fatal, match=r"cleanup\.policy is delete"), writing(make_log(kafka, offsets_topic="forgetful")):
        pass
    kafka.create_topic("__tailrace-schema-history.shop", retention_ms="1000")
    with writing(make_log(kafka)) as sink, pytest.raises(Fatal, match=r"retention\.ms=1000"):
        sink.write([record(1, topic="__tailrace-schema-history.shop")])


def test_a_record_that_its_topic_does_not_take_is_a_bad_one(kafka: KafkaCluster) -> None:
    log = make_log(kafka, topics={TOPIC: {"config": {"max.message.bytes": "2000000"}}})
    noise = random.Random(1)
    with writing(log) as sink:
        sink.write([Record(TOPIC, b"k", noise.randbytes(1_900_000), 1_700_000_000_000)])
        sink.commit({"at": 1})
        sink.write([record(1)])
        with pytest.raises(BadRecord, match="too large") as caught:
            sink.write([Record(TOPIC, b"k", noise.randbytes(2_500_000), 1_700_000_000_000)])
            sink.commit({"at": 2})
    assert "max.message.bytes" in caught.value.hint
    with closing(log.writer()) as sink:
        assert sink.open("shop") == {"at": 1}
    assert [len(value or b"") for value in stored(log, 1)] == [1_900_000]


def test_many_records_go_to_a_topic_that_takes_small_batches(kafka: KafkaCluster) -> None:
    log = make_log(kafka, topics={TOPIC: {"config": {"max.message.bytes": "20000"}}})
    noise = random.Random(1)
    written = [Record(TOPIC, b"k", noise.randbytes(5_000), 1_700_000_000_000, [("h", b"1")]) for _ in range(50)]
    blocks = Blocks(log.partition_count)
    for each in written:
        blocks.append(each)
    with writing(log) as sink:
        sink.write(written)
        sink.write(EncodedRecords(blocks.take()))
        sink.commit({"at": 1})
    assert stored(log, 100) == [each.value for each in [*written, *written]]


def test_a_record_that_the_client_has_no_room_for_is_a_bad_one_and_is_not_waited_with(kafka: KafkaCluster) -> None:
    log = make_log(kafka, client={"queue.buffering.max.kbytes": "1024"})
    with writing(log) as sink:
        sink.write([record(1)])
        sink.commit({"at": 1})
        with pytest.raises(BadRecord, match="too large for the client") as caught:
            sink.write([record(2), Record(TOPIC, b"k", bytes(2_000_000), 1_700_000_000_000)])
    assert "queue.buffering.max.kbytes" in caught.value.hint
    assert stored(log, 1) == [b"1"]
