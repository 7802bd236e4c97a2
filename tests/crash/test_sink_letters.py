"""What a destination will never take, through a worker: it lies in the dead-letter topic with the reason.

And an index that is built anew while the worker loads it and people search it.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import pytest

from crash.sink_ends import cluster_end, duckdb_end, mysql_end, postgres_end, sqlite_end, words_end
from crash.sink_yard import Yard
from servers.mysql import SharedServers
from servers.opensearch_node import OpenSearchNode
from servers.postgres import Servers
from tailrace.log.store.backend import BundledLog
from tailrace.runtime.state import TaskState
from tailrace.testing.deliveries import TOPIC

pytestmark = [pytest.mark.postgres, pytest.mark.mysql, pytest.mark.opensearch, pytest.mark.slow]


def letters_of(yard: Yard, sink: str) -> list[dict[str, str]]:
    """Return the headers of a sink's dead letters."""
    log = BundledLog.at(yard.worker.log_path)
    return [
        {name: (value or b"").decode() for name, value in record.headers}
        for record in log.records(f"{sink}.dead-letter", 0, 0)
    ]


def test_what_is_refused_lies_in_the_dead_letter_topic_with_the_reason(
    tmp_path: Path, shared_servers: Servers, opensearch: OpenSearchNode
) -> None:
    server = shared_servers.get(18)
    with server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS letters WITH (FORCE)")
    ends = {
        "fine": sqlite_end(tmp_path / "fine.db"),
        "warehouse": postgres_end(server, "letters"),
        "find": cluster_end(opensearch, "letters-"),
    }
    fields = {"fields": {f"{TOPIC}.name": {"type": "integer"}}}
    yard = Yard(tmp_path)
    yard.tell(1, name="12")
    yard.tell(2, name="words")
    yard.tell(3, name="a\0b")
    yard.tell(4, name="13")
    yard.configure(
        {
            "fine": ends["fine"].settings,
            "warehouse": {**ends["warehouse"].settings, "errors": "dead_letter"},
            "find": {**ends["find"].settings, **fields, "errors": "dead_letter"},
        }
    )
    try:
        for _ in range(2):
            yard.run_to_the_end(code=0)
    finally:
        yard.worker.kill(with_tasks=True)
    assert [row[0] for row in ends["warehouse"].rows()] == [1, 2, 4]
    assert [row[0] for row in ends["find"].rows()] == [1, 4]
    assert len(ends["fine"].rows()) == 4
    (letter,) = letters_of(yard, "warehouse")
    assert letter["__connect.errors.topic"] == TOPIC
    assert letter["__connect.errors.offset"] == "2"
    assert "zero character" in letter["__connect.errors.exception.message"]
    letters = letters_of(yard, "find")
    assert [each["__connect.errors.offset"] for each in letters] == ["1", "2"]
    assert "failed to parse field [name] of type [integer]" in letters[0]["__connect.errors.exception.message"]
    assert "words" not in letters[0]["__connect.errors.exception.message"]


def has_done(least: int, tasks: dict[str, TaskState]) -> bool:
    """Whether the sink has done at least so many records."""
    return bool(tasks) and tasks["shop"].records >= least


def is_level(task: TaskState, records: int) -> bool:
    """Whether a sink has done so many records, and has none before it."""
    return (task.records, task.lag_bytes, task.lag_seconds) == (records, 0, 0.0)


def test_status_tells_lag_and_throughput_of_a_sink(tmp_path: Path) -> None:
    end, yard = sqlite_end(tmp_path / "replica.db"), Yard(tmp_path)
    yard.configure({"shop": end.settings})
    number, deadline = 0, time.monotonic() + 120
    try:
        yard.worker.start()
        while not (number and yard.tasks()["shop"].records_per_second and yard.tasks()["shop"].bytes_per_second):
            assert time.monotonic() < deadline, yard.worker.last_words()
            yard.fill(number + 1, number + 10)
            number += 10
            yard.wait(partial(has_done, number))
        code, page = yard.command("status")
        assert code == 0, page
        assert "LAG" in page
        assert "RECORDS/S" in page
        yard.wait(lambda tasks: is_level(tasks["shop"], number + number // 3))
        task = yard.status()["shop"]
        assert (task["state"], task["healthy"]) == ("RUNNING", True)
        yard.wait(lambda tasks: tasks["shop"].records_per_second == 0)
    finally:
        yard.worker.kill(with_tasks=True)


def test_every_destination_passes_over_what_it_can_never_take(
    tmp_path: Path, shared_mysql_servers: SharedServers
) -> None:
    server = shared_mysql_servers.get("mysql")
    [[before]] = server.execute("SELECT @@global.max_allowed_packet")
    ends = {
        "shop": mysql_end(server, "letters"),
        "lite": sqlite_end(tmp_path / "replica.db"),
        "duck": duckdb_end(tmp_path / "replica.duckdb"),
        "words": words_end(tmp_path / "words"),
    }
    yard = Yard(tmp_path)
    yard.tell(1, name="one")
    yard.spoil()
    yard.fill(4, 5, size=400_000)
    yard.tell(6, name="six")
    yard.configure({name: {**end.settings, "errors": "dead_letter"} for name, end in ends.items()})
    try:
        server.execute("SET GLOBAL max_allowed_packet = 131072")  # sessions keep what they began with
        for _ in range(2):
            yard.run_to_the_end(code=0)
    finally:
        yard.worker.kill(with_tasks=True)
        server.execute(f"SET GLOBAL max_allowed_packet = {before}")
    for name in ("lite", "duck", "words"):
        assert ends[name].rows() == yard.rows, name
        (letter,) = letters_of(yard, name)
        assert letter["__connect.errors.offset"] == "1"
        assert letter["__connect.errors.exception.message"]
    assert [row[0] for row in ends["shop"].rows()] == [1, 6]
    letters = letters_of(yard, "shop")
    assert [each["__connect.errors.offset"] for each in letters] == ["1", "2", "3"]
    assert "max_allowed_packet is 131072" in letters[1]["__connect.errors.exception.message"]


def test_an_index_is_built_anew_while_it_is_loaded_and_searched(tmp_path: Path, opensearch: OpenSearchNode) -> None:
    end, yard = cluster_end(opensearch, "anew-"), Yard(tmp_path, restart_delay=0.1)
    alias, over = f"anew-{TOPIC}", threading.Event()
    yard.fill(1, 300)
    yard.configure({"find": end.settings})
    seen: list[int] = []

    def search() -> None:
        while not over.is_set():
            seen.append(int(opensearch.call("GET", f"/{alias}/_count")["count"]))
            time.sleep(0.05)

    searcher = threading.Thread(target=search)
    try:
        yard.worker.start()
        yard.wait(lambda tasks: bool(tasks) and tasks["find"].records >= 400 and tasks["find"].lag_bytes == 0)
        opensearch.call("POST", f"/{alias}/_refresh")
        searcher.start()
        yard.fill(301, 600)
        code, said = yard.command("rebuild", "--sink", "find")
        yard.fill(601, 700)
        assert code == 0, said
        assert f"{alias} is {alias}-000002" in said
        yard.wait(lambda tasks: tasks["find"].state == "RUNNING" and tasks["find"].durable == {f"{TOPIC}-0": 933})
        assert yard.worker.stop() == 0, yard.worker.last_words()
    finally:
        over.set()
        if searcher.ident is not None:
            searcher.join()
        yard.worker.kill(with_tasks=True)
    assert end.rows() == yard.rows
    assert min(seen) >= 300, "the alias was never without its documents"
    assert set(opensearch.call("GET", f"/_alias/{alias}")) == {f"{alias}-000002"}
