"""Source, Kafka, destinations, under blows: archive, replicas and search indexes lose nothing, and tell nothing twice.

An archive and a replica have two tasks each. The keyed tables of both replicas and of both indexes are compared row by
row with the source, what lies in files with the log. Brokers, database, search node, worker and tasks are killed and
cut meanwhile.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from crash.archive import archive_differences
from crash.chaos import Chaos, Plan
from crash.place import KafkaPlace
from crash.search_side import NodeServer, search_sinks
from crash.search_side import differences as search_differences
from crash.side import PostgresSide
from crash.tables import SCHEMA, TABLES
from crash.test_replica import differences, file_differences
from crash.worker import CONNECTOR, Worker
from crash.workload import Pace, Workload
from lake.reading import published
from servers import kafka
from servers.opensearch_node import OpenSearchNode
from servers.postgres import require
from servers.proxy import TcpProxy
from tailrace.demo.postgres import PostgresServer
from tailrace.log.backend import LogBackend

PREFIX = f"{CONNECTOR}.{SCHEMA}."


def sinks(folder: Path, destination: PostgresServer, node: OpenSearchNode) -> dict[str, object]:
    common = {"topics": [f"{PREFIX}*"]}
    replica = {**common, "type": "replica", "errors": "skip"}
    return {
        "warehouse": {**replica, "url": destination.dsn(), "tasks": 2},
        "file": {**replica, "url": f"sqlite:{folder / 'replica.db'}"},
        "lake": {**common, "type": "archive", "path": str(folder / "lake"), "commit_interval": 0.5, "tasks": 2},
        **search_sinks(node, node.port, folder),
    }


def look(
    folder: Path, destination: PostgresServer, node: OpenSearchNode, log: LogBackend, source: PostgresSide
) -> Sequence[str]:
    return [
        *differences(source, destination),
        *file_differences(source, folder / "replica.db"),
        *(f"lake: {problem}" for problem in archive_differences(log, folder / "lake", PREFIX)),
        *search_differences(source, node, folder),
    ]


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.kafka
@pytest.mark.opensearch
@pytest.mark.timeout(900)
def test_destinations_have_every_change_of_kafka_once_under_blows(tmp_path: Path, opensearch: OpenSearchNode) -> None:
    seed = random.SystemRandom().randrange(10**6)
    plan = Plan(kills=8, restarts=1, cuts=1, freezes=0, stops=1, broker_blows=3, seconds=12)
    with ExitStack() as running:
        source = running.enter_context(PostgresSide(require(15)))
        destination = running.enter_context(PostgresServer(require(18)))
        blows = {"kill_node": NodeServer(opensearch).restart}
        place = running.enter_context(KafkaPlace(kafka.require(), tmp_path, seed, beside=blows))
        proxy = running.enter_context(TcpProxy(source.port))
        source.create_tables()
        workload = Workload(source.url, seed, Pace(writers=2, pause=0.05, prefill=0.1))
        workload.prefill()
        worker = Worker(
            tmp_path, proxy.through(source.url), tuple(f"{SCHEMA}.{table.name}" for table in TABLES),
            options={"chunk_rows": 100, "heartbeat_interval": 1.0}, log_options=place.block,
            worker_options={"restart_delay": 0.1, "restart_delay_max": 1.0, "restart_limit": 1000,
                            "stop_timeout": 120.0},
            sinks=sinks(tmp_path, destination, opensearch),
        )  # fmt: skip
        worker.write_config()
        chaos = Chaos(worker, source, proxy, plan, seed, place)
        try:
            attack(worker, chaos, workload, until=lambda: published(tmp_path / "lake"))
        finally:
            worker.kill(with_tasks=True)
        problems = look(tmp_path, destination, opensearch, place.log(), source)
    assert not problems, "\n".join([f"seed {seed}", *problems, worker.last_words()])
    assert chaos.dealt["kill_task"] > 0 < chaos.dealt["kill_node"]
    assert len(published(tmp_path / "lake")) > 2


def attack(worker: Worker, chaos: Chaos, workload: Workload, *, until: Callable[[], object]) -> None:
    """Let the blows fall once `until` says that the destinations are being loaded."""
    workload.start()
    worker.start()
    deadline = time.monotonic() + 180
    while not until():
        assert time.monotonic() < deadline, worker.last_words()
        time.sleep(0.2)
    chaos.run(threading.Event())
    workload.stop()
    worker.wait_until_running(timeout=120)
    assert worker.stop(timeout=240) == 0, worker.last_words()
    worker.start("--until-current")  # the source to the end of its log, then the sinks to the end of theirs
    assert worker.wait(timeout=300) == 0, worker.last_words()
