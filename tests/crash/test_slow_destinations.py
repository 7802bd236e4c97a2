"""A destination that is slow: no fault of it. Its lag grows, others go on, and nothing is missing once it is quick."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from crash.sink_ends import End, cluster_end, mysql_end, sqlite_end, through
from crash.sink_yard import Row, Yard
from servers import s3
from servers.mysql import SharedServers
from servers.opensearch_node import OpenSearchNode
from servers.proxy import TcpProxy
from tailrace.runtime.state import TaskState

SLOW = ("my_slow", "find_slow", "lake_slow")
BYTES_A_SECOND = 40_000
"""So that none of them is through within a minute, and all get a commit through in less than a time-out."""


def archive_end(server: s3.S3, proxy: TcpProxy, folder: Path) -> End:
    """Return a bucket of its own, reached through a proxy, and looked at without."""
    server.make_bucket("slow")
    settings = {
        "type": "archive", "path": "s3://slow/shop", "options": server.options(endpoint_url=proxy.through(server.url)),
        "spool": str(folder / "spool"), "commit_interval": 1.0, "commit_bytes": 1_000_000,
    }  # fmt: skip

    def rows() -> list[Row]:
        files = fsspec.filesystem("s3", use_listings_cache=False, **server.options())
        found = [path for path in files.find("slow") if "/_tailrace/" not in path]
        told = [each for path in found for each in pq.read_table(files.open(path)).to_pylist()]
        latest = {each["after"]["id"]: each["after"] for each in sorted(told, key=lambda each: int(each["__offset"]))}
        return [(number, str(row["name"]), str(row["note"])) for number, row in latest.items()]

    return End(settings, lambda: sorted(rows()))


@pytest.mark.slow
def test_what_takes_too_long_at_once_is_done_in_smaller_steps(tmp_path: Path) -> None:
    """With a watchdog that waits for six seconds only, so that the line need not be slow for minutes."""
    with ExitStack() as running:
        store = running.enter_context(s3.running())
        proxy = running.enter_context(TcpProxy(store.port))
        lake = archive_end(store, proxy, tmp_path)
        yard = Yard(tmp_path, watchdog=6.0, restart_delay=0.2, restart_limit=100)
        running.callback(yard.worker.kill, with_tasks=True)
        yard.fill(1, 1200, size=6_000)
        yard.configure({"lake": {**lake.settings, "commit_interval": 600.0, "commit_bytes": 6_000_000}})
        proxy.slow(300_000)
        yard.worker.start()
        yard.wait(lambda tasks: "lake" in tasks and tasks["lake"].durable is not None)
        found = yard.tasks()["lake"]
        assert found.restarts >= 1, "all at once takes more than the watchdog waits for"
        assert found.error is not None
        assert found.error.kind == "stuck"
        proxy.resume()
        yard.wait(lambda tasks: tasks["lake"].lag_bytes == 0)
        assert yard.worker.stop(timeout=120) == 0, yard.worker.last_words()
        assert lake.rows() == yard.rows
        files = [path for path in fsspec.filesystem("s3", **store.options()).find("slow") if "/_tailrace/" not in path]
        spans = sorted(tuple(map(int, path.removesuffix(".parquet").split("+")[2:])) for path in files)
        assert [first for first, _ in spans] == [0, *(last + 1 for _, last in spans[:-1])], "no offset is in two files"


def calm(tasks: Mapping[str, TaskState]) -> bool:
    """Whether all of them have all that the log has."""
    return tasks.keys() >= {"fine", *SLOW} and all(task.lag_bytes == 0 for task in tasks.values())


@pytest.mark.mysql
@pytest.mark.opensearch
@pytest.mark.slow
def test_what_is_slow_lags_and_nothing_else(
    tmp_path: Path, shared_mysql_servers: SharedServers, opensearch: OpenSearchNode
) -> None:
    mysql = shared_mysql_servers.get("mysql")
    with ExitStack() as running:
        store = running.enter_context(s3.running())
        ports = (mysql.port, opensearch.port, store.port)
        proxies = [running.enter_context(TcpProxy(port)) for port in ports]
        find = cluster_end(opensearch, "slow-")
        ends = {
            "fine": sqlite_end(tmp_path / "fine.db"),
            "my_slow": through(proxies[0], mysql_end(mysql, "slow")),
            "find_slow": through(proxies[1], End({**find.settings, "timeout": 120.0}, find.rows)),
            "lake_slow": archive_end(store, proxies[2], tmp_path),
        }
        yard = Yard(tmp_path, restart_limit=1, restart_delay=0.5)
        running.callback(yard.worker.kill, with_tasks=True)
        yard.fill(1, 30)
        yard.configure({name: end.settings for name, end in ends.items()})
        yard.worker.start()
        yard.wait(calm)
        for proxy in proxies:
            proxy.slow(BYTES_A_SECOND)
        yard.fill(31, 930, size=6_000)
        yard.wait(
            lambda tasks: (
                tasks["fine"].records > 1000
                and tasks["fine"].lag_bytes == 0
                and all((tasks[name].lag_bytes or 0) > 0 for name in SLOW)
            )
        )
        tasks = yard.status()
        for name in SLOW:
            assert (tasks[name]["state"], tasks[name]["restarts"], tasks[name]["error"]) == ("RUNNING", 0, None)
            assert tasks[name]["lag_seconds"] > 0, tasks[name]
        assert ends["fine"].rows() == yard.rows
        for proxy in proxies:
            proxy.resume()
        yard.wait(calm)
        assert {name: yard.tasks()[name].restarts for name in SLOW} == dict.fromkeys(SLOW, 0)
        assert yard.worker.stop() == 0, yard.worker.last_words()
        for name, end in ends.items():
            assert end.rows() == yard.rows, name
    mysql.execute("DROP DATABASE slow")
