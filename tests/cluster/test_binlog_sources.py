"""Sources of MySQL and MariaDB in a group of three workers: taken over, each change is told once and in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.crew import Crew
from cluster.origin import BinlogOrigin
from servers.kafka_broker import KafkaCluster
from servers.mysql import SharedServers
from servers.proxy import TcpProxy
from tailrace.demo.mysql_programs import Flavour

OLD_ROWS = 6_000
SOURCES: dict[str, Flavour] = {"a": "mysql", "b": "mariadb", "c": "mysql"}


@pytest.fixture
def crew(tmp_path: Path, brokers: tuple[KafkaCluster, TcpProxy], shared_mysql_servers: SharedServers) -> Iterator[Crew]:
    """Three workers that have not started, with a source each, and a snapshot of many chunks."""
    with ExitStack() as hold:
        origins = {}
        for task, flavour in SOURCES.items():
            server, name = shared_mysql_servers.get(flavour), f"group_{task}"
            server.execute(f"CREATE DATABASE {name}")
            hold.callback(server.execute, f"DROP DATABASE {name}")
            origins[task] = BinlogOrigin(server, name, {"chunk_rows": 50})
        servers = [brokers[0].internal_servers] * 3
        yield hold.enter_context(Crew(tmp_path, "binlogs", origins, servers, old=OLD_ROWS))


@pytest.mark.slow
def test_sources_of_a_binlog_are_taken_over_in_snapshot_and_stream(crew: Crew) -> None:
    crew.start()

    def read() -> int:
        return sum(each.op == "r" for each in crew.told("a"))

    old = set(range(1, OLD_ROWS + 1))
    crew.wait(lambda: read() > 0, "the snapshot has begun", timeout=120.0)
    first = crew.owner("a")
    first.crash()
    assert read() < OLD_ROWS, "it was killed in the snapshot"
    crew.wait(lambda: {each.id for each in crew.told("a")} >= old, "another has read the rest", timeout=120.0)
    crew.wait_flowing()

    second = crew.owner("c")
    second.kill()  # the worker alone: its tasks and its keeper have to notice
    crew.wait_flowing("c")
    first.start()
    second.start()
    crew.wait_shared()

    held = crew.owner("b")
    held.hold()
    crew.wait_flowing("b")
    held.go_on()
    crew.wait(lambda: "out of the group" in held.said(), "it notices", timeout=120.0)
    crew.wait_shared()
    crew.wait_flowing()
    crew.check()
