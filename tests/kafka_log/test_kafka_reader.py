"""The reader of Kafka as the log, beyond what its contract says."""

from __future__ import annotations

import subprocess
import time
from contextlib import closing

import pytest
from confluent_kafka import TopicPartition

from kafka_log.stage import TOPIC, make_log, record, stored, writing
from servers.kafka import require
from servers.kafka_broker import KafkaCluster
from tailrace.errors import Fatal
from tailrace.log.backend import OffsetsGone
from tailrace.log.kafka.backend import KafkaLog


def log_of_ten(kafka: KafkaCluster) -> KafkaLog:
    """Return a log with ten committed records."""
    log = make_log(kafka)
    with writing(log) as sink:
        sink.write([record(number) for number in range(10)])
        sink.commit({"at": 1})
    stored(log, 10)
    return log


def test_kafkas_own_tools_see_how_far_a_sink_is(kafka: KafkaCluster) -> None:
    log = make_log(kafka)
    with writing(log) as sink:
        for number in range(3):
            sink.write([record(number)])
            sink.commit({"at": number})
        stored(log, 3)
        with closing(log.reader([TOPIC], task="lake")) as reader:
            reader.open(None)
            position, count = None, 0
            deadline = time.monotonic() + 120
            while (count < 3 or not reader.report().caught_up) and time.monotonic() < deadline:  # type: ignore[attr-defined]
                batch = reader.poll(0.2)
                count += len(batch.items)
                position = batch.position or position
            reader.ack(position)
        sink.write([record(9)])
        sink.commit({"at": 9})
    stored(log, 4)
    command = require().java("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "-XX:TieredStopAtLevel=1")
    arguments = ["--bootstrap-server", kafka.internal_servers, "--describe", "--group", "tailrace-lake"]
    told = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=120)
    (line,) = [line.split() for line in told.stdout.splitlines() if TOPIC in line]
    assert (line[0], line[1], line[2], line[5]) == ("tailrace-lake", TOPIC, "0", "2"), "one record, and its marker"


def test_what_follows_a_position_is_counted_without_a_reader_and_without_waiting(kafka: KafkaCluster) -> None:
    log = log_of_ten(kafka)
    position = {f"{TOPIC}-0": 4, "other-0": 7}
    assert log.backlog(["shop.*"], position) is None, "nobody has answered yet"
    deadline = time.monotonic() + 120
    while (found := log.backlog(["shop.*"], position)) is None or found.records != 7:  # 6 records, and their marker
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    assert (found.bytes, found.seconds) == (None, None)
    with pytest.raises(Fatal, match="not a partition"):
        log.backlog(["shop.*"], {"shop.public.orders": 4})


def test_offsets_that_retention_took_are_told(kafka: KafkaCluster) -> None:
    log = log_of_ten(kafka)
    admin = kafka.admin()
    for deletion in admin.delete_records([TopicPartition(TOPIC, 0, 5)]).values():
        assert deletion.result().low_watermark == 5
    with closing(log.reader([TOPIC])) as reader:
        reader.open({f"{TOPIC}-0": 2})
        deadline = time.monotonic() + 120
        with pytest.raises(OffsetsGone) as caught:
            while time.monotonic() < deadline:
                reader.poll(0.2)
    assert (caught.value.offset, caught.value.first_available) == (2, 5)


def test_a_position_past_the_end_is_refused(kafka: KafkaCluster) -> None:
    kafka.create_topic(TOPIC)
    with closing(make_log(kafka).reader([TOPIC])) as reader, pytest.raises(Fatal, match="it ends at 0"):
        reader.open({f"{TOPIC}-0": 7})
