"""What the user of a sink sees: each mishap of a destination with its message, mend and exit code; and life after it.

All destinations of a kind of mishap are sinks of one worker, beside one that is well: no mishap holds another sink up,
and in the end every destination has every row once.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import duckdb
import pytest

from crash.disk import small_disk
from crash.sink_ends import End, cluster_end, duckdb_end, mysql_end, postgres_end, sqlite_end, through, words_end
from crash.sink_yard import Yard
from servers.mysql import SharedServers
from servers.opensearch_node import OpenSearchNode
from servers.postgres import StartPostgres
from servers.proxy import TcpProxy
from tailrace.demo.account import account_for_servers
from tailrace.demo.postgres import PostgresServer
from tailrace.runtime.state import TaskState
from tailrace.testing.deliveries import TOPIC

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.mysql,
    pytest.mark.opensearch,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

LIMIT = 1
"""Restarts after which a task gives up what is not plainly a matter of waiting."""


@contextmanager
def yard_at(folder: Path) -> Iterator[Yard]:
    yard = Yard(folder, restart_limit=LIMIT, restart_delay=0.5, restart_delay_max=4.0)
    try:
        yield yard
    finally:
        yard.worker.kill(with_tasks=True)


@pytest.fixture
def disks() -> Iterator[ExitStack]:
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("mounting a small disk needs root")
        pytest.skip("mounting a small disk needs root")
    with ExitStack() as mounted:
        yield mounted


FAULTS: Mapping[str, tuple[str, str]] = {
    "pg_login": ("password authentication failed", "check user, password"),
    "pg_grant": ("permission denied", "CREATE on the database or schema"),
    "pg_types": ("table public.items column price is boolean, and the source has numeric(12,2) now", "reset the sink"),
    "my_login": ("Access denied", "check user and password in the url"),
    "my_grant": ("command denied to user", "grant the user CREATE, ALTER, INSERT"),
    "my_types": ("column price is tinyint(1), and the source has decimal(12,2) now", "reset the sink"),
    "lite_types": ("table items column id is TEXT, and the source has INTEGER now", "reset the sink"),
    "duck_types": ("column price is BOOLEAN, and the source has DECIMAL(12,2) now", "reset the sink"),
    "lite_grant": ("Read-only file system", "right to write to"),
    "duck_grant": ("Read-only file system", "right to write to"),
    "words_grant": ("search index", "right to write to"),
    "find_login": ("refuses the credentials", "look at username and password"),
    "find_grant": ("no permissions", "docs/sinks-search.md"),
    "find_types": (f"{TOPIC}-0 offset 0: ", "tailrace rebuild"),
}
"""By sink, what is said of it, and the mend."""


def test_what_an_operator_has_to_mend(
    tmp_path: Path, start_postgres: StartPostgres, shared_mysql_servers: SharedServers, opensearch: OpenSearchNode,
    disks: ExitStack,
) -> None:  # fmt: skip
    postgres = start_postgres(18, password="right-one")
    locked = tmp_path / "locked"
    remount = disks.enter_context(small_disk(locked, 20))
    remount("ro")
    ends = {"fine": sqlite_end(tmp_path / "fine.db")}
    ends |= _postgres_faults(postgres)
    ends |= _mysql_faults(shared_mysql_servers)
    ends |= _file_faults(tmp_path, locked)
    ends |= {
        "find_login": cluster_end(opensearch, "login-", password="guessed"),
        "find_grant": cluster_end(opensearch, "grant-", username="reader", password="reader"),
        "find_types": cluster_end(opensearch, "types-"),
    }
    _index_of_numbers(opensearch, f"types-{TOPIC}")
    with yard_at(tmp_path) as yard:
        yard.fill(1, 60)
        yard.configure({name: {**end.settings, **end.broken} for name, end in ends.items()})
        yard.run_to_the_end(code=3)
        assert ends["fine"].rows() == yard.rows
        _are_told(yard)
        _mend(postgres, shared_mysql_servers, opensearch, tmp_path)
        remount("rw")
        yard.configure({name: end.settings for name, end in ends.items()})
        yard.run_to_the_end(code=0)
        for name, end in ends.items():
            assert end.rows() == yard.rows, name
        assert {task["state"] for task in yard.status().values()} == {"UNASSIGNED"}


def _index_of_numbers(node: OpenSearchNode, alias: str) -> None:
    """Make the sink's index as it would be had `name` been a number once."""
    told = {"_meta": {"tailrace": {"topic": TOPIC, "key": ["id"]}}, "properties": {"name": {"type": "integer"}}}
    aliases: dict[str, object] = {alias: {}, f"{alias}-000001.writer": {}}
    node.call("PUT", f"/{alias}-000001", {"mappings": told, "aliases": aliases})


def _postgres_faults(server: PostgresServer) -> dict[str, End]:
    with server.connect() as connection:
        connection.execute("CREATE ROLE poor LOGIN PASSWORD 'poor'")
    poor = f"postgresql://poor:poor@127.0.0.1:{server.port}/granted"
    ends = {
        "pg_login": postgres_end(server, "login", url=server.dsn("login", password="wrong-one")),
        "pg_grant": postgres_end(server, "granted", url=poor),
        "pg_types": postgres_end(server, "types"),
    }
    with server.connect("types") as connection:
        connection.execute("CREATE TABLE public.items (id bigint PRIMARY KEY, name text, price boolean, note text)")
    return ends


def _mysql_faults(servers: SharedServers) -> dict[str, End]:
    server = servers.get("mysql")
    server.execute(
        "DROP USER IF EXISTS poor", "CREATE USER poor IDENTIFIED BY 'poor'", "DROP DATABASE IF EXISTS granted"
    )
    ends = {
        "my_login": mysql_end(server, "login", url=server.url("login", password="wrong-one")),
        "my_grant": mysql_end(server, "granted", url=server.url("granted", user="poor", password="poor")),
        "my_types": mysql_end(server, "types"),
    }
    server.execute(
        "GRANT SELECT ON granted.* TO poor", "CREATE TABLE types.items (id bigint PRIMARY KEY, price tinyint(1))"
    )
    return ends


def _file_faults(folder: Path, locked: Path) -> dict[str, End]:
    with closing(sqlite3.connect(folder / "types.db")) as lite:
        lite.execute("CREATE TABLE items (id TEXT PRIMARY KEY)")
    with closing(duckdb.connect(str(folder / "types.duckdb"))) as duck:
        duck.execute("CREATE SCHEMA public")
        duck.execute("CREATE TABLE public.items (id BIGINT, price BOOLEAN)")
    return {
        "lite_types": sqlite_end(folder / "types.db"),
        "duck_types": duckdb_end(folder / "types.duckdb"),
        "lite_grant": sqlite_end(locked / "replica.db"),
        "duck_grant": duckdb_end(locked / "replica.duckdb"),
        "words_grant": words_end(locked / "words"),
    }


def _are_told(yard: Yard) -> None:
    """In the log, by both forms of `tailrace status`, and by `tailrace check` where it can be known beforehand."""
    tasks = yard.status()
    code, page = yard.command("status")
    assert code == 0, page
    for name, (message, hint) in FAULTS.items():
        task = tasks[name]
        assert task["state"] == "FAILED", task
        assert message in task["error"]["message"], task
        assert hint in task["error"]["hint"], task
        assert message in page
        assert message in yard.worker.last_words(1000)
    assert "wrong-one" not in page + yard.worker.last_words(1000)
    assert (tasks["fine"]["state"], tasks["fine"]["lag_bytes"]) == ("UNASSIGNED", 0)
    code, page = yard.command("check")
    assert code == 1, page
    for name in FAULTS:
        assert name.endswith("_types") or f"fault  {name}: " in page, page
    assert "ok     fine: " in page


def _mend(postgres: PostgresServer, servers: SharedServers, node: OpenSearchNode, folder: Path) -> None:
    with postgres.connect("types") as connection:
        connection.execute("DROP TABLE public.items")
    servers.get("mysql").execute("DROP TABLE types.items")
    with closing(sqlite3.connect(folder / "types.db")) as lite:
        lite.execute("DROP TABLE items")
    with closing(duckdb.connect(str(folder / "types.duckdb"))) as duck:
        duck.execute("DROP TABLE public.items")
    node.call("DELETE", f"/types-{TOPIC}-000001")


WAITS: Mapping[str, tuple[str, str]] = {
    "pg_gone": ("", "is the server up"),
    "my_gone": ("the server says", "is the server up"),
    "find_gone": ("reach https://127.0.0.1", "goes on by itself"),
    "pg_full": ("No space left on device", "until there is room"),
    "my_full": ("is full", "until there is room"),
    "lite_full": ("disk", "until there is room"),
    "duck_full": ("No space left", "until there is room"),
    "words_full": ("full", "goes on by itself"),
    "find_full": ("block", "free some disk space"),
}
"""By sink, what is said while it is waited for, and the hint."""


def test_what_passes_is_waited_for_without_limit(
    tmp_path: Path, start_postgres: StartPostgres, shared_mysql_servers: SharedServers, opensearch: OpenSearchNode,
    disks: ExitStack,
) -> None:  # fmt: skip
    postgres, gone = start_postgres(18), start_postgres(18)
    mariadb, mysql = shared_mysql_servers.get("mariadb"), shared_mysql_servers.get("mysql")
    my_proxy, find_proxy, slow = [
        disks.enter_context(TcpProxy(port)) for port in (mariadb.port, opensearch.port, postgres.port)
    ]
    ends = {
        "fine": sqlite_end(tmp_path / "fine.db"),
        "pg_gone": postgres_end(gone, "gone"),
        "my_gone": through(my_proxy, mysql_end(mariadb, "gone")),
        "find_gone": through(find_proxy, cluster_end(opensearch, "gone-")),
        "pg_full": postgres_end(postgres, "full"),
        "my_full": mysql_end(mysql, "fulldisk"),
        "lite_full": sqlite_end(tmp_path / "lite" / "replica.db"),
        "duck_full": duckdb_end(tmp_path / "duck" / "replica.duckdb"),
        "words_full": words_end(tmp_path / "words"),
        "find_full": cluster_end(opensearch, "full-"),
        "pg_slow": through(slow, postgres_end(postgres, "slow")),
    }
    resize = [disks.enter_context(small_disk(tmp_path / name, 4)) for name in ("lite", "duck", "words")]
    resize += [
        _small_tablespace(disks, postgres, "full"),
        disks.enter_context(small_disk(mysql.data_dir / "fulldisk", 4)),
    ]
    with yard_at(tmp_path) as yard:
        yard.fill(1, 30)
        yard.configure({name: end.settings for name, end in ends.items()})
        yard.worker.start()
        yard.wait(lambda tasks: tasks.keys() == ends.keys() and all(task.lag_bytes == 0 for task in tasks.values()))
        gone.stop()
        my_proxy.refuse()
        find_proxy.refuse()
        slow.slow(60_000)
        opensearch.call("PUT", f"/full-{TOPIC}-000001/_settings", {FLOOD: True})
        yard.fill(31, 930, size=6_000)
        yard.wait(
            lambda tasks: tasks["fine"].records > 1000 and tasks["fine"].lag_bytes == 0 < lag_of(tasks["pg_slow"])
        )
        yard.wait(lambda tasks: all(tasks[name].restarts > LIMIT for name in WAITS))
        _are_waited_for(yard)
        assert ends["fine"].rows() == yard.rows
        gone.start()
        my_proxy.resume()
        find_proxy.resume()
        slow.resume()
        opensearch.call("PUT", f"/full-{TOPIC}-000001/_settings", {FLOOD: None})
        for each in resize:
            each("size=200m")
        yard.wait(lambda tasks: all(task.lag_bytes == 0 and task.state == "RUNNING" for task in tasks.values()))
        assert yard.worker.stop() == 0, yard.worker.last_words()
        for name, end in ends.items():
            assert end.rows() == yard.rows, name
    mysql.execute("DROP TABLE fulldisk.items, fulldisk.tailrace_replica, fulldisk.tailrace_replica_moves")


FLOOD = "index.blocks.read_only_allow_delete"
"""What a cluster sets by itself when a node's disk is nearly full."""


def _are_waited_for(yard: Yard) -> None:
    tasks = yard.status()
    code, page = yard.command("status")
    assert code == 0, page
    for name, (message, hint) in WAITS.items():
        task = tasks[name]
        assert task["state"] != "FAILED", task
        assert message in task["error"]["message"], task
        assert hint in task["error"]["hint"], task
        assert f"{name}: hint: " in page
        if name.endswith("_gone"):  # nobody but the worker can tell
            assert task["lag_bytes"] > 0, task
            assert task["lag_seconds"] > 0, task
    assert (tasks["pg_slow"]["state"], tasks["pg_slow"]["restarts"]) == ("RUNNING", 0), tasks["pg_slow"]


def lag_of(task: TaskState) -> int:
    """Return how many bytes a task is behind."""
    return task.lag_bytes or 0


def _small_tablespace(disks: ExitStack, server: PostgresServer, database: str) -> Callable[..., None]:
    """Have the tables of a database lie on a small disk."""
    folder, account = server.data_dir.parent / "small", account_for_servers()
    owner = None if account is None else (account.uid, account.gid)
    resize = disks.enter_context(small_disk(folder, 4, owner))
    with server.connect() as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'".encode())
        connection.execute(f'ALTER DATABASE "{database}" SET default_tablespace = small'.encode())
    return resize
