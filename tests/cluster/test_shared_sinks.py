"""Several tasks of one sink on a topic in Kafka: killed at will, and other in number, they load every record once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import yaml
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import OffsetSpec
from psycopg import sql

from crash.sink_ends import postgres_end
from crash.worker import Worker
from lake.reading import published, rows_of
from servers.kafka_broker import KafkaCluster
from servers.postgres import Servers
from tailrace.codec.delivery import Delivery
from tailrace.config.settings import load_settings
from tailrace.event import Record
from tailrace.log.kafka.backend import KafkaLog
from tailrace.log.kafka.settings import KafkaLogConfig
from tailrace.runtime.positions import Positions
from tailrace.runtime.state import TaskState, read_state, state_file
from tailrace.testing.deliveries import TOPIC, Deliveries

PARTITIONS = 6
DATABASE = "shared_sinks"
Place = tuple[int, int]


class Shop:
    """A topic that grows, a worker with two sinks, and what is in their destinations."""

    def __init__(self, folder: Path, cluster: KafkaCluster, servers: Servers) -> None:
        self.folder = folder
        self.worker = Worker(folder, "", ())
        self.copy = postgres_end(servers.get(15), DATABASE)
        self._cluster = cluster
        self._block = {
            "bootstrap_servers": cluster.bootstrap_servers, "partitions": PARTITIONS, "offsets_partitions": 1,
            "registry_path": str(folder / "registry"),
        }  # fmt: skip
        self.log = KafkaLog(KafkaLogConfig.model_validate(self._block))
        self.told = Deliveries(folder)
        self.records = 0
        self._next = 1
        self._random = random.Random(5)

    def configure(self, tasks: int) -> None:
        common = {"topics": ["contract.*"], "tasks": tasks, "commit_interval": 0.2}
        document = {
            "log": {"type": "kafka", **self._block},
            "worker": {"restart_delay": 0.1, "restart_delay_max": 1.0},
            "sinks": {
                "copy": {**self.copy.settings, **common},
                "lake": {"type": "archive", "path": str(self.folder / "lake"), **common},
            },
        }
        self.worker.config.write_text(yaml.safe_dump(document))

    def fill(self, rows: int) -> None:
        """Write inserts, updates and deletes."""
        told, deliveries = self.told, list[Delivery]()
        for number in range(self._next, self._next + rows):
            deliveries += told.insert(number, name=f"row {number}", note="x")
            if number % 3 == 0:
                deliveries += told.update(number, name=f"row {number} again")
            if number % 7 == 0:
                deliveries += told.delete(self._random.choice(list(told.rows)))
        self._next += rows
        self.records += len(deliveries)
        records = [each.record for each in deliveries]
        with closing(self.log.writer()) as writer:
            writer.open("filler")
            writer.write([Record(TOPIC, each.key, each.value, each.timestamp_ms, each.headers) for each in records])
            writer.commit({"rows": self._next})

    def tasks(self) -> dict[str, TaskState]:
        state = read_state(state_file(self.folder / "tailrace-worker"))
        return {task.name: task for task in state.tasks} if state and self.worker.running else {}

    def kill_one(self, *names: str) -> None:
        """Kill the process of one of these tasks, once it runs."""
        name = self._random.choice(names)
        found: list[int] = []

        def running() -> bool:
            task = self.tasks().get(name)
            found[:] = [task.pid] if task is not None and task.state == "RUNNING" and task.pid is not None else []
            return bool(found)

        self.wait(running, f"{name} runs")
        with suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGKILL)

    def wait(self, condition: Callable[[], bool], what: str, *, timeout: float = 120.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.worker.running, self.worker.last_words(100)
            assert time.monotonic() < deadline, f"not: {what}\n{self.worker.last_words(100)}"
            time.sleep(0.1)

    def lag(self, sink: str) -> dict[int, int]:
        """By partition, what Kafka's own tools show of a sink's consumer group."""
        admin = self._cluster.admin()
        group = f"tailrace-{sink}"
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
        places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        ends = admin.list_offsets({place: OffsetSpec.latest() for place in places})
        offsets = {place.partition: place.offset for place in asked.topic_partitions or () if place.topic == TOPIC}
        return {place.partition: future.result().offset - offsets.get(place.partition, 0)
                for place, future in ends.items()}  # fmt: skip

    def wait_loaded(self) -> None:
        for sink in ("copy", "lake"):
            self.wait(lambda sink=sink: not any(self.lag(sink).values()), f"{sink} has no lag")  # type: ignore[misc]  # inferred

    def check(self) -> None:
        """Compare the destinations with what was written."""
        rows = [(number, row["name"], row["note"]) for number, row in sorted(self.told.rows.items())]
        assert self.copy.rows() == rows
        found = [place_of(row) for path in published(self.folder / "lake") for row in rows_of(path)]
        wanted = [(record.partition, record.offset) for number in range(PARTITIONS)
                  for record in self.log.records(TOPIC, number, 0) if record.value is not None]  # fmt: skip
        assert len(found) == len(set(found)), "something is there twice"
        assert sorted(found) == sorted(wanted)


def place_of(row: dict[str, object]) -> Place:
    partition, offset = row["__partition"], row["__offset"]
    assert isinstance(partition, int) and isinstance(offset, int)
    return partition, offset


@pytest.fixture
def shop(tmp_path: Path, kafka: KafkaCluster, shared_servers: Servers) -> Iterator[Shop]:
    made = Shop(tmp_path, kafka, shared_servers)
    yield made
    made.worker.kill(with_tasks=True)
    with shared_servers.get(15).connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))


@pytest.mark.slow
@pytest.mark.postgres
def test_tasks_of_a_sink_share_partitions_and_lose_nothing_when_killed_or_changed_in_number(shop: Shop) -> None:
    shop.fill(300)
    shop.configure(tasks=3)
    shop.worker.start()
    for _ in range(2):
        shop.kill_one("copy", "copy-1", "copy-2")
        shop.kill_one("lake", "lake-1", "lake-2")
        shop.fill(150)
    shop.wait_loaded()

    def shared_evenly() -> bool:
        tasks = [task for name in ("copy", "copy-1", "copy-2") if (task := shop.tasks().get(name)) is not None]
        return [task.details.get("partitions") for task in tasks] == [2, 2, 2]

    shop.wait(shared_evenly, "each has a third of the partitions")
    shop.check()

    shop.worker.kill(with_tasks=False)  # its tasks may still be at work when the next worker shares out
    shop.fill(150)
    shop.configure(tasks=2)
    shop.worker.start()
    shop.kill_one("copy", "copy-1")
    shop.kill_one("lake", "lake-1")
    shop.fill(100)
    shop.wait_loaded()
    shop.check()
    assert shop.worker.stop() == 0

    positions = Positions(load_settings(shop.worker.config))
    names = {f"{TOPIC}-{number}" for number in range(PARTITIONS)}
    assert [len(names & dict(positions.all()[name] or {}).keys()) for name in ("copy", "copy-1")] == [3, 3]
    positions.replace("copy", None)
    shop.configure(tasks=1)
    shop.worker.start()
    written = shop.records

    def loaded_anew() -> bool:
        task = shop.tasks().get("copy")
        return task is not None and task.records >= written and task.waiting_seconds is None

    shop.wait(loaded_anew, "the copy is loaded anew")
    shop.check()
