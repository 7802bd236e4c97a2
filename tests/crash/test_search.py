"""Source, log, search: after kills of every process and restarts of the node, the indexes hold what the source holds.

Two sinks read the same topics, one into OpenSearch through a proxy and one into an embedded index. Tables with rows
that get other keys, columns that updates do not send, and truncates are among them. Long, as a command:

    CRASH_SEARCH_SECONDS=600 pytest tests/crash/test_search.py
"""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import cast

import pytest

from crash.chaos import Chaos, Plan
from crash.place import FolderPlace
from crash.search_side import Destination, differences, search_sinks
from crash.side import PostgresSide, Side
from crash.tables import SCHEMA, TABLES
from crash.worker import Worker
from crash.workload import Pace, Workload
from servers.opensearch import require as require_opensearch
from servers.opensearch_node import OpenSearchNode
from servers.postgres import require
from servers.proxy import TcpProxy

SECONDS = int(os.environ.get("CRASH_SEARCH_SECONDS", "15"))


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.opensearch
@pytest.mark.timeout(900 + 3 * SECONDS)
def test_indexes_hold_what_the_source_holds_after_all_blows(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEARCH_SEED", random.SystemRandom().randrange(10**6)))
    times = max(SECONDS // 15, 1)
    plan = Plan(kills=8 * times, restarts=2 * times, cuts=4 * times, freezes=2 * times, stops=times, seconds=SECONDS)
    with PostgresSide(require(15)) as source, OpenSearchNode(require_opensearch()) as node:
        source.create_tables()
        workload = Workload(source.url, seed, Pace(writers=2, pause=0.03, prefill=0.2, truncate_every=40))
        workload.prefill()
        with TcpProxy(node.port) as proxy:
            worker = Worker(
                tmp_path, source.url, tuple(f"{SCHEMA}.{table.name}" for table in TABLES),
                options={"chunk_rows": 100, "heartbeat_interval": 1.0},
                worker_options={"restart_delay": 0.1, "restart_delay_max": 1.0, "restart_limit": 1000},
                sinks=search_sinks(node, proxy.port, tmp_path),
            )  # fmt: skip
            worker.write_config()
            place = FolderPlace(worker.log_path, seed)
            chaos = Chaos(worker, cast("Side", Destination(node)), proxy, plan, seed, place)
            try:
                _attack(worker, chaos, workload)
            finally:
                worker.kill(with_tasks=True)
        problems = list(differences(source, node, tmp_path))
    assert not problems, "\n".join([f"seed {seed}", *problems, worker.last_words()])
    assert chaos.dealt["kill_task"] > 0 < chaos.dealt["restart_fast"]


def _attack(worker: Worker, chaos: Chaos, workload: Workload) -> None:
    workload.start()
    worker.start()
    chaos.run(threading.Event())
    workload.stop()
    worker.wait_until_running(timeout=120)
    assert worker.stop() == 0, worker.last_words()
    for _ in range(2):  # first all that happened comes into the log, then all of that into the indexes
        worker.start("--until-current")
        assert worker.wait(timeout=240) == 0, worker.last_words()
