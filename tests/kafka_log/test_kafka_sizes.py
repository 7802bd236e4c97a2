"""A worker whose database has rows that are too large for their topic in Kafka."""

from __future__ import annotations

import json
from pathlib import Path

from crash.worker import Worker
from kafka_log.stage import make_log
from servers.kafka_broker import KafkaCluster
from servers.postgres import Database
from tailrace.codec.decoder import Decoder

SIZES = (10, 30_000, 20, 40_000, 30)


def test_rows_that_a_topic_does_not_take_are_dead_letters_in_order(
    postgres: Database, kafka: KafkaCluster, tmp_path: Path
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    topics = {"crash.public.t": {"config": {"max.message.bytes": "20000"}}}
    block = {"type": "kafka", "bootstrap_servers": kafka.bootstrap_servers, "offsets_partitions": 1, "topics": topics}
    worker = Worker(tmp_path, postgres.url, ("public.t",), options={"errors": "dead_letter"}, log_options=block)
    worker.write_config()
    worker.start("--until-current")
    assert worker.wait(timeout=120) == 0, worker.last_words()
    for number, size in enumerate(SIZES):
        # What compresses well is measured as it is, too.
        postgres.execute(f"INSERT INTO t VALUES ({number}, repeat('x', {size}))")
    worker.start("--until-current")
    assert worker.wait(timeout=120) == 0, worker.last_words()
    log = make_log(kafka)
    decoder = Decoder(log.registry())
    values = [decoder.value(record.value) for record in log.records("crash.public.t", 0, 0)]
    assert [value["after"]["id"] for value in values] == [0, 2, 4]  # type: ignore[index]
    letters = [json.loads(record.value or b"") for record in log.records("crash.dead-letter", 0, 0)]
    assert [letter["after"] for letter in letters] == [{"id": "1"}, {"id": "3"}]
    assert letters[0]["source"]["lsn"] < letters[1]["source"]["lsn"]
    assert all("the topic takes 20000" in letter["error"] for letter in letters)
