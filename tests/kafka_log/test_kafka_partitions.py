"""Keys go where Java's producer puts them, by Java's own word; and the log's records lie there."""

from __future__ import annotations

import base64
import random
import subprocess
from pathlib import Path

import pytest

from kafka_log.stage import TOPIC, make_log, stored, writing
from servers import kafka as kafka_servers
from servers.kafka_broker import KafkaCluster
from tailrace.core.block import partition_hash
from tailrace.event import Record
from tailrace.log.store.partitioner import partition_of

JUDGE = Path(__file__).with_name("PartitionJudge.java")
KEYS = 4000


def judged(keys: list[bytes], partitions: int) -> list[int]:
    """Return the partitions that Java's producer chooses."""
    command = kafka_servers.require().java(str(JUDGE), "-XX:TieredStopAtLevel=1")
    told = "".join(base64.b64encode(key).decode() + "\n" for key in keys)
    done = subprocess.run(
        [*command, str(partitions)], input=told, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


def some_keys() -> list[bytes]:
    """Keys of every length from 0 to 200, several of each; and long ones."""
    source = random.Random(11)
    keys = [source.randbytes(number % 201) for number in range(KEYS)]
    return [*keys, b"\xff" * 7, b"\x80\x00\x7f", bytes(64), source.randbytes(70_001)]


@pytest.mark.kafka
def test_keys_of_all_lengths_go_where_java_puts_them(kafka: KafkaCluster) -> None:
    keys = some_keys()
    for partitions in (7, 1000):
        chosen = judged(keys, partitions)
        assert [partition_of(key, partitions) for key in keys] == chosen
        assert [(partition_hash(key) & 0x7FFFFFFF) % partitions for key in keys] == chosen, "the compiled core's"
        assert len(set(chosen)) == partitions if partitions == 7 else len(set(chosen)) > 900

    log, few = make_log(kafka, partitions=7), keys[:400]
    with writing(log) as sink:
        sink.write([Record(TOPIC, key, key, 1_700_000_000_000) for key in few])
        sink.commit({"at": 1})
    assert len(stored(log, len(few))) == len(few)
    lying = {record.value: number for number in range(7) for record in log.records(TOPIC, number, 0)}
    assert [lying[key] for key in few] == judged(few, 7)
