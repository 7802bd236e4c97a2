"""The Kafka brokers that the tests run on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from servers.kafka import StartKafka
from servers.kafka_broker import Access, KafkaCluster
from tailrace.errors import Fatal


def send(servers: str, topic: str, value: bytes, **settings: str) -> None:
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "message.timeout.ms": 60_000, **settings})
    producer.produce(topic, value)
    assert producer.flush(60) == 0


def received(servers: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    deadline = time.monotonic() + 60
    values: list[bytes | None] = []
    while len(values) < count and time.monotonic() < deadline:
        values += [message.value() for message in consumer.consume(count, 0.5)]
    consumer.close()
    return values


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_broker_without_topics(kafka: KafkaCluster, turn: int) -> None:
    kafka.create_topic("only.here")
    send(kafka.bootstrap_servers, "only.here", b"value")
    assert received(kafka.bootstrap_servers, "only.here", 1) == [b"value"]


def test_three_brokers_lose_nothing_when_one_is_killed(kafka_cluster: KafkaCluster) -> None:
    kafka_cluster.create_topic("kept", copies=3)
    send(kafka_cluster.bootstrap_servers, "kept", b"before")
    leader = kafka_cluster.admin().list_topics("kept", timeout=60).topics["kept"].partitions[0].leader
    killed = kafka_cluster.brokers[leader - 1]
    killed.kill()
    send(kafka_cluster.bootstrap_servers, "kept", b"without it")
    killed.launch()
    kafka_cluster.wait_ready()
    assert received(kafka_cluster.bootstrap_servers, "kept", 2) == [b"before", b"without it"]


def test_users_log_in_and_others_do_not(start_kafka: StartKafka) -> None:
    cluster = start_kafka(access=Access("SASL_PLAINTEXT", {"anna": "secret"}))
    cluster.create_topic("guarded")
    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, "sasl.username": "anna"}
        send(cluster.bootstrap_servers, "guarded", b"hers", **login, **{"sasl.password": "secret"})
        stranger = Producer(
            {"bootstrap.servers": cluster.bootstrap_servers, **login, "sasl.password": "guessed", "log_level": 0}
        )
        with pytest.raises(KafkaException):
            stranger.list_topics(timeout=2)


def test_a_broker_that_cannot_start_says_why(start_kafka: StartKafka) -> None:
    with pytest.raises(Fatal, match="broker 1") as caught:
        start_kafka(settings={"num.io.threads": "many"})
    assert "num.io.threads" in (caught.value.hint or "")


def test_a_broker_ends_with_the_process_that_started_it(kafka: KafkaCluster) -> None:
    script = (
        "import time; from servers.kafka import require; from servers.kafka_broker import KafkaCluster\n"
        "cluster = KafkaCluster(require()); cluster.brokers[0].launch()\n"
        "print(cluster.brokers[0].pid, flush=True); time.sleep(120)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
