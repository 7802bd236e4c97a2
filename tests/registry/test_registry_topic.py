"""A registry in a Kafka topic: the same as in a file, and from any number of processes."""

from __future__ import annotations

import multiprocessing

import pytest

from servers.kafka_broker import KafkaCluster
from tailrace.codec.registry import IncompatibleSchema, UnknownSchema
from tailrace.codec.registry_store import BundledRegistry
from tailrace.errors import Fatal
from tailrace.log.kafka.backend import KafkaLog
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.settings import KafkaLogConfig


def settings(servers: str) -> KafkaLogConfig:
    return KafkaLogConfig.model_validate({"bootstrap_servers": servers})


def opened(servers: str) -> BundledRegistry:
    registry = KafkaLog(settings(servers)).registry()
    assert isinstance(registry, BundledRegistry)
    return registry


def record(*fields: str, default: bool = False) -> dict[str, object]:
    more = {"default": 0} if default else {}
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": "int", **more} for name in fields]}


def test_what_is_registered_is_there_for_others(kafka: KafkaCluster) -> None:
    one, other = opened(kafka.bootstrap_servers), opened(kafka.bootstrap_servers)
    assert one.subjects() == []
    with pytest.raises(UnknownSchema, match="topic tailrace-schemas has no schema with id 1"):
        one.by_id(1)
    assert one.register("s", record("a")).id == 1
    assert other.register("s", record("a")).id == 1
    assert other.register("t", record("a", "b", default=True)).id == 2
    assert one.by_id(2) == record("a", "b", default=True)
    with pytest.raises(IncompatibleSchema, match="b: added without a default"):
        one.register("s", record("a", "b"))
    forced = one.register("s", record("a", "b"), force=True)
    assert (forced.version, forced.id, forced.incompatible) == (2, 3, "b: added without a default")
    one.set_compatibility("NONE", "s")
    one.set_compatibility("FULL")
    again = opened(kafka.bootstrap_servers)
    assert again.versions("s") == one.versions("s")
    assert [again.compatibility(subject) for subject in ("s", "t", None)] == ["NONE", "FULL", "FULL"]
    one.set_compatibility(None, "s")
    one.delete("s", [1, 2])
    one.delete("s", [1], permanent=True)
    again = opened(kafka.bootstrap_servers)
    assert (again.compatibility("s"), again.subjects()) == ("FULL", ["t"])
    assert [each.version for each in again.versions("s", deleted=True)] == [2]
    assert again.by_id(1) == record("a")
    assert again.register("s", record("a")).version == 3


def _register_many(servers: str, worker: int) -> None:
    registry = opened(servers)
    for number in range(6):
        registry.register(f"s{number % 2}", record(f"f{number}"), force=True)
        registry.register(f"own{worker}", record(f"w{worker}n{number}"), force=True)


def test_ids_never_clash(kafka: KafkaCluster) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_register_many, args=(kafka.bootstrap_servers, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    registry = opened(kafka.bootstrap_servers)
    schemas: dict[int, object] = {}
    for subject in registry.subjects():
        versions = registry.versions(subject)
        assert [version.version for version in versions] == list(range(1, len(versions) + 1))
        for version in versions:
            assert schemas.setdefault(version.id, version.schema) == version.schema
    assert set(schemas) == set(range(1, 6 + 3 * 6 + 1))


def test_one_who_dies_in_a_change_holds_up_nobody(kafka: KafkaCluster) -> None:
    registry = opened(kafka.bootstrap_servers)
    registry.register("s", record("a"))
    dying = Clients(settings(kafka.bootstrap_servers)).producer("tailrace-schemas")
    dying.init_transactions(60)
    dying.begin_transaction()
    dying.produce("tailrace-schemas", b"half", b"half", 0)
    assert dying.flush(60) == 0
    assert opened(kafka.bootstrap_servers).subjects() == ["s"]
    assert registry.register("s", record("a", "b", default=True)).version == 2
    assert len(opened(kafka.bootstrap_servers).versions("s")) == 2


def test_a_topic_of_others_is_refused(kafka: KafkaCluster) -> None:
    kafka.create_topic("tailrace-schemas")
    with pytest.raises(Fatal, match=r"cleanup\.policy is delete"):
        opened(kafka.bootstrap_servers).register("s", record("a"))
    producer = Clients(settings(kafka.bootstrap_servers)).producer(None)
    producer.produce("tailrace-schemas", b"{}", b"key", 0)
    assert producer.flush(60) == 0
    with pytest.raises(Fatal, match="topic tailrace-schemas is damaged at offset 0"):
        opened(kafka.bootstrap_servers).subjects()
