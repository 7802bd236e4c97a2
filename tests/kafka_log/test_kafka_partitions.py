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
COUNT = 7


def judged(keys: list[bytes], *partitions: int) -> list[tuple[int, ...]]:
    """Return the partitions that Java's producer chooses for each key, in topics of so many."""
    command = kafka_servers.require().java(str(JUDGE), "-XX:TieredStopAtLevel=1")
    told = "".join(base64.b64encode(key).decode() + "\n" for key in keys)
    done = subprocess.run(
        [*command, *map(str, partitions)], input=told, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()]


def some_keys() -> list[bytes]:
    """Keys of every length from 0 to 200, several of each; and long ones."""
    source = random.Random(11)
    keys = [source.randbytes(number % 201) for number in range(KEYS)]
    return [*keys, b"\xff" * 7, b"\x80\x00\x7f", bytes(64), source.randbytes(70_001)]


@pytest.mark.kafka
def test_keys_of_all_lengths_go_where_java_puts_them(kafka: KafkaCluster) -> None:
    keys = some_keys()
    chosen = judged(keys, COUNT, 1000)
    assert [(partition_of(key, COUNT), partition_of(key, 1000)) for key in keys] == chosen
    compiled = [partition_hash(key) & 0x7FFFFFFF for key in keys]
    assert [(number % COUNT, number % 1000) for number in compiled] == chosen
    assert len({few for few, _ in chosen}) == COUNT
    assert len({many for _, many in chosen}) > 900

    log, some = make_log(kafka, partitions=COUNT), keys[:400]
    with writing(log) as sink:
        sink.write([Record(TOPIC, key, key, 1_700_000_000_000) for key in some])
        sink.commit({"at": 1})
    assert len(stored(log, len(some))) == len(some)
    lying = {record.value: number for number in range(COUNT) for record in log.records(TOPIC, number, 0)}
    assert [lying[key] for key in some] == [few for few, _ in chosen[: len(some)]]
