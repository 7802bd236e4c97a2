"""A partition whose only broker is gone has no leader: that passes, and is waited for."""

from __future__ import annotations

import time

import pytest
from confluent_kafka.admin import AdminClient

from kafka_log.stage import make_log
from servers.kafka_broker import KafkaCluster
from tailrace.errors import Retriable
from tailrace.log.kafka import topics


def leaders_of(admin: AdminClient, topic: str) -> dict[int, int]:
    """Return who leads each partition, by the broker that happens to be asked: it may not know of the topic yet."""
    partitions = admin.list_topics(topic, timeout=60).topics[topic].partitions
    return {number: each.leader for number, each in partitions.items()}


def wait_led(admin: AdminClient, topic: str, count: int) -> dict[int, int]:
    """Return who leads each of so many partitions, once all are led."""
    deadline = time.monotonic() + 90
    while len(leaders := leaders_of(admin, topic)) < count or min(leaders.values()) < 0:
        assert time.monotonic() < deadline, f"{topic} is led by {leaders}"
        time.sleep(0.1)
    return leaders


def test_offsets_of_partitions_without_a_leader_are_asked_for_again(
    kafka_cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "SETTLES", 0.5)
    kafka_cluster.create_topic("lonely", partitions=3)
    found, admin = make_log(kafka_cluster)._topics, kafka_cluster.admin()
    leaders = wait_led(admin, "lonely", 3)
    places = [("lonely", number) for number in leaders]
    assert found.next_offsets(places) == dict.fromkeys(places, 0)
    assert len(set(leaders.values())) > 1
    kafka_cluster.brokers[leaders[0] - 1].kill()
    deadline = time.monotonic() + 90
    while leaders_of(admin, "lonely").get(0, 0) >= 0:
        assert time.monotonic() < deadline, "the broker is not missed"
        time.sleep(0.1)
    found = make_log(kafka_cluster)._topics  # the client of before may be waiting for the broker
    for some in (places[:1], places):
        with pytest.raises(Retriable) as caught:
            found.next_offsets(some)
        assert caught.value.patient
    kafka_cluster.start()
    monkeypatch.setattr(topics, "SETTLES", 90)
    assert found.next_offsets(places) == dict.fromkeys(places, 0)
