"""Sinks whose tasks are spread over the workers of a group: they load what the log has once, whoever loads it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import OffsetSpec
from psycopg import sql

from cluster.crew import TAILRACE, Crew, Member
from cluster.origin import PostgresOrigin
from lake.reading import published, rows_of
from servers.kafka_broker import KafkaCluster
from servers.postgres import Servers, drop_slots
from servers.proxy import TcpProxy
from tailrace.demo.postgres import PostgresServer

PARTITIONS = 6
SINKS = {"copy": 3, "lake": 2}
"""How many tasks each has."""


class Loading:
    """A crew that captures a table, and loads its topic into a replica and an archive."""

    def __init__(self, folder: Path, group: str, cluster: KafkaCluster, server: PostgresServer) -> None:
        source = PostgresOrigin(server.dsn(f"{group}_source"), options={"format": "avro"})
        copy = PostgresOrigin(server.dsn(f"{group}_copy"))
        self._admin = cluster.admin()
        self._folder = folder
        self.copy = copy
        common = {"topics": [f"{group}-a.*"], "commit_interval": 0.2, "restart_delay_max": 2.0}
        kinds = {
            "copy": {"type": "replica", "url": copy.url},
            "lake": {"type": "archive", "path": str(folder / "lake")},
        }
        sinks = {name: {**kinds[name], **common, "tasks": tasks} for name, tasks in SINKS.items()}
        more = {"log": {"partitions": PARTITIONS}, "sinks": sinks}
        names = [
            name if number == 0 else f"{name}-{number}" for name, tasks in SINKS.items() for number in range(tasks)
        ]
        self.crew = Crew(folder, group, {"a": source}, [cluster.internal_servers] * 3, more=more, sinks=names)

    def ends(self) -> dict[int, int]:
        places = [TopicPartition(self.crew.topic("a"), number) for number in range(PARTITIONS)]
        found = self._admin.list_offsets({place: OffsetSpec.latest() for place in places})
        return {place.partition: future.result().offset for place, future in found.items()}

    def committed(self, sink: str) -> dict[int, int]:
        """What Kafka's own tools show of a sink's consumer group."""
        group, topic = f"{self.crew.group}-{sink}", self.crew.topic("a")
        asked = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
        return {place.partition: place.offset for place in asked.topic_partitions or () if place.topic == topic}

    def wait_loaded(self, *sinks: str) -> None:
        """Wait until the sinks have loaded what the log has by now, of all partitions."""
        marks = self.ends()

        def loaded(sink: str) -> bool:
            found = self.committed(sink)
            return all(found.get(number, -1) >= mark for number, mark in marks.items())

        for sink in sinks or SINKS:
            self.crew.wait(lambda sink=sink: loaded(sink), f"{sink} goes on", timeout=120.0)  # type: ignore[misc]  # inferred

    def change_tasks(self, member: Member, sink: str, tasks: int) -> None:
        """Restart a worker with another number of tasks in its file."""
        member.stop()
        document = yaml.safe_load(member.config.read_text())
        document["sinks"][sink]["tasks"] = tasks
        member.config.write_text(yaml.safe_dump(document))
        member.start()

    def status(self) -> dict[str, Any]:
        """What a user sees."""
        command = [str(TAILRACE), "status", str(self.crew.members[0].config), "--json"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=120)
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def is_told_to_differ(self) -> bool:
        """Whether a worker warns of files that differ, and every task runs or waits for the first one of its sink."""
        states = self.crew.states().values()
        warnings = [warning for state in states for warning in state.warnings]
        waits = "copy has not shared out to so many tasks"
        settled = {
            task.name for state in states for task in state.tasks if task.state == "RUNNING" or waits in task.reason
        }
        return any("other settings for copy" in each for each in warnings) and settled == set(self.crew.tasks)

    def check(self) -> None:
        """Compare the log with the source, and the destinations with the log."""
        self.crew.check()
        self.wait_loaded()
        assert self.copy.rows("a") == self.crew.origins["a"].rows("a")
        rows = [row for path in published(self._folder / "lake") for row in rows_of(path)]
        found = [(int(str(row["__partition"])), int(str(row["__offset"]))) for row in rows]
        wanted = [
            (number, record.offset)
            for number in range(PARTITIONS)
            for record in self.crew.log.records(self.crew.topic("a"), number, 0)
            if record.value is not None
        ]
        assert len(found) == len(set(found)), "the archive has something twice"
        assert sorted(found) == wanted


StartLoading = Callable[[str], Loading]


@pytest.fixture
def start_loading(
    tmp_path: Path, brokers: tuple[KafkaCluster, TcpProxy], shared_servers: Servers
) -> Iterator[StartLoading]:
    """A function that starts two of three workers, and returns once the sinks load."""
    server = shared_servers.get(15)
    with server.connect() as connection, ExitStack() as hold:

        def start(group: str) -> Loading:
            for name in (f"{group}_source", f"{group}_copy"):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                hold.callback(connection.execute, drop)
            hold.callback(drop_slots, connection, f"{group}_source")
            made = Loading(tmp_path, group, brokers[0], server)
            hold.enter_context(made.crew)
            made.crew.start(0, 1)
            made.crew.wait_shared(0, 1)
            made.crew.wait_flowing()
            made.wait_loaded()
            return made

        yield start


@pytest.mark.slow
def test_tasks_of_sinks_move_between_workers_and_load_everything_once(start_loading: StartLoading) -> None:
    loading = start_loading("moving_sinks")
    crew = loading.crew
    crew.start(2)  # it takes over some of the others' tasks
    crew.wait_shared()
    loading.wait_loaded()

    victim = crew.owner("lake-1")
    victim.crash()
    loading.wait_loaded()
    held = crew.owner("copy-2")
    held.hold()  # its session in the destination, and the lock there, stay as they are
    loading.wait_loaded("copy")
    held.go_on()
    crew.wait(lambda: "out of the group" in held.said(), "it notices", timeout=120.0)
    victim.start()
    owners = crew.wait_shared()
    told = loading.status()
    assert {task["name"] for task in told["tasks"] if task["worker"]} == set(owners), "any worker's file shows all"
    loading.check()


@pytest.mark.slow
def test_workers_whose_files_differ_in_tasks_say_so_and_never_share_a_partition(start_loading: StartLoading) -> None:
    loading = start_loading("differing_sinks")
    crew = loading.crew
    first, second = crew.members[:2]
    loading.change_tasks(first, "copy", 2)
    crew.wait(loading.is_told_to_differ, "each task runs, or says why not", timeout=120.0)
    loading.change_tasks(second, "copy", 2)
    crew.sinks = [name for name in crew.sinks if name != "copy-2"]
    crew.wait_shared(0, 1)
    loading.check()
