"""Mishaps with MySQL and MariaDB as whoever is on call sees them: message, mend, exit code, and life after the mend."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress

import pytest
from pymysql.err import OperationalError

from crash.user import MakeWorker, ids, ids_so_far, run_to_the_end, stopped, tailrace, wait_for
from crash.worker import CONNECTOR, Worker
from servers.mysql import MysqlDatabase
from servers.mysql_programs import USER
from servers.mysql_server import MysqlServer

pytestmark = [pytest.mark.mysql, pytest.mark.slow]

TABLE = "CREATE TABLE orders (id int PRIMARY KEY, note varchar(2000))"


def of(flavour: str) -> dict[str, object]:
    return {"type": flavour, "heartbeat_interval": 0}


@pytest.fixture
def shop(binlog_database: MysqlDatabase) -> MysqlDatabase:
    binlog_database.execute(TABLE, "INSERT INTO orders VALUES (1, 'a'), (2, 'b')")
    return binlog_database


def worker_on(make_worker: MakeWorker, shop: MysqlDatabase, url: str = "") -> Worker:
    return make_worker(url or shop.url, f"{shop.name}.orders", **of(shop.flavour))


def faults(worker: Worker) -> str:
    """Return what `tailrace check` finds wrong."""
    check = tailrace("check", str(worker.config))
    assert check.returncode == 1, check.stdout
    assert "Traceback" not in check.stderr
    return check.stdout


def test_a_wrong_password_ends_the_worker_with_the_mend(shop: MysqlDatabase, make_worker: MakeWorker) -> None:
    worker = worker_on(make_worker, shop, shop.server.url(shop.name, password="wrong-one"))
    words = stopped(worker)
    assert f"Access denied for user '{USER}'@" in words
    assert "check user, password, the hosts that the account may come from" in words
    assert "wrong-one" not in words
    found = faults(worker)
    assert "Access denied" in found
    assert "check user, password" in found
    worker = worker_on(make_worker, shop)
    run_to_the_end(worker)
    assert ids(worker) == [1, 2]


def test_a_missing_grant_is_named_and_the_mend_works_as_it_is_printed(
    shop: MysqlDatabase, make_worker: MakeWorker
) -> None:
    account = f"'poor_{shop.flavour}'@'%'"
    shop.execute(
        f"CREATE USER {account} IDENTIFIED BY 'x'", f"GRANT SELECT, REPLICATION CLIENT ON *.* TO {account}"
    )  # fmt: skip
    try:
        worker = worker_on(make_worker, shop, shop.server.url(shop.name, user=f"poor_{shop.flavour}", password="x"))
        words = stopped(worker)
        assert "REPLICATION SLAVE" in words
        assert "`tailrace check` prints it whole" in words
        mend = re.search(r"GRANT REPLICATION SLAVE ON \*\.\* TO \S+", faults(worker))
        assert mend is not None
        shop.execute(mend[0])
        assert tailrace("check", str(worker.config)).returncode == 0
        run_to_the_end(worker)
        assert ids(worker) == [1, 2]
    finally:
        shop.execute(f"DROP USER {account}")


def test_connections_that_are_killed_while_much_is_under_way_lose_and_repeat_nothing(
    shop: MysqlDatabase, make_worker: MakeWorker
) -> None:
    worker = worker_on(make_worker, shop)
    worker.start()
    wait_for(lambda: len(ids_so_far(worker)) == 2, worker)
    for first in (10, 1010, 2010):
        shop.execute(many(first, first + 1000))
        for (connection,) in shop.execute(f"SELECT id FROM information_schema.processlist WHERE user = '{USER}'"):
            with suppress(OperationalError):  # it went by itself
                shop.execute(f"KILL {connection}")
    shop.execute("INSERT INTO orders VALUES (20000, 'after')")
    wait_for(lambda: ids_so_far(worker)[-1:] == [20_000], worker)
    assert ids(worker) == [1, 2, *range(10, 3010), 20_000]
    assert _task(worker)["state"] == "RUNNING"
    assert _task(worker)["restarts"] != 0
    assert worker.stop() == 0


def test_a_full_disk_stops_the_task_until_there_is_space(
    shop: MysqlDatabase, make_worker: MakeWorker, resize_disk: Callable[..., None]
) -> None:
    resize_disk(4)
    worker = worker_on(make_worker, shop)
    worker.start()
    wait_for(lambda: len(ids_so_far(worker)) == 2, worker)
    shop.execute(many(3, 3003))
    wait_for(lambda: "disk" in worker.last_words(100) and "full" in worker.last_words(100), worker)
    assert worker.running
    assert ids(worker) == list(range(1, len(ids(worker)) + 1))
    resize_disk(200)
    wait_for(lambda: len(ids_so_far(worker)) == 3002, worker)
    assert ids(worker) == list(range(1, 3003))
    assert worker.stop() == 0


def test_a_server_that_is_away_is_waited_for(binlog_server: MysqlServer, make_worker: MakeWorker) -> None:
    worker = _on(binlog_server, make_worker)
    worker.start()
    wait_for(lambda: len(ids_so_far(worker)) == 1, worker)
    binlog_server.kill()
    wait_for(lambda: worker.states() == {"RESTARTING"}, worker)
    error = _task(worker)["error"]
    assert isinstance(error, dict)
    assert error["message"]
    binlog_server.start()
    binlog_server.execute("INSERT INTO d.orders VALUES (2, 'b')")
    wait_for(lambda: len(ids_so_far(worker)) == 2, worker)
    assert worker.stop() == 0


def test_what_cannot_be_gone_on_from_is_told_with_the_choices(
    binlog_server: MysqlServer, make_worker: MakeWorker
) -> None:
    """One server, through one mishap after the other."""
    server = binlog_server
    server.execute("SET GLOBAL binlog_format = 'STATEMENT'")
    worker = _on(server, make_worker)
    words = stopped(worker)
    assert "binlog_format is STATEMENT, needed is ROW" in words
    assert "SET GLOBAL binlog_format = ROW" in words
    assert "binlog_format is STATEMENT" in faults(worker)
    server.execute("SET GLOBAL binlog_format = 'ROW'")
    run_to_the_end(worker)
    assert ids(worker) == [1]

    # A session that has its own format: its rows are not in the binlog, and nobody says so but this.
    server.execute("SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO d.orders VALUES (2, 'lost?')")
    words = stopped(worker)
    assert re.search(r"binlog binlog\.0+\d+:\d+: a statement of connection \d+ changes table d\.orders", words)
    assert "binlog_format = ROW" in words
    assert "lost?" not in words

    server.execute("FLUSH BINARY LOGS", "INSERT INTO d.orders VALUES (3, 'c')")
    purge(server)
    words = stopped(worker)
    assert "purged" in words
    assert "offsets reset" in words
    reset(worker)
    run_to_the_end(worker)
    assert ids(worker) == [1, 1, 2, 3]

    # The url leads to a server that is not the one that was read: restored from nothing, say.
    server.kill()
    shutil.rmtree(server.data_dir)
    server.settings["server_id"] = "77"
    server.start()
    server.execute("CREATE DATABASE d", f"CREATE TABLE d.{TABLE.removeprefix('CREATE TABLE ')}")
    server.execute("INSERT INTO d.orders VALUES (4, 'd')")
    words = stopped(worker)
    assert "does not have transactions that were read" in words
    assert "Connect to a server that has them, or start anew" in words
    assert ids(worker) == [1, 1, 2, 3]
    reset(worker)
    run_to_the_end(worker)
    assert ids(worker) == [1, 1, 2, 3, 4]


def _on(server: MysqlServer, make_worker: MakeWorker) -> Worker:
    server.execute("CREATE DATABASE d", f"CREATE TABLE d.{TABLE.removeprefix('CREATE TABLE ')}")
    server.execute("INSERT INTO d.orders VALUES (1, 'a')")
    return make_worker(server.url("d"), "d.orders", **of(server.flavour))


def purge(server: MysqlServer) -> None:
    status = "SHOW BINARY LOG STATUS" if server.flavour == "mysql" else "SHOW MASTER STATUS"
    server.execute("FLUSH BINARY LOGS")
    ((file, *_),) = server.execute(status)
    server.execute(f"PURGE BINARY LOGS TO '{file}'")


def reset(worker: Worker) -> None:
    done = tailrace("offsets", "reset", str(worker.config), "--connector", CONNECTOR)
    assert done.returncode == 0, done.stderr


def _task(worker: Worker) -> dict[str, object]:
    (task,) = json.loads(tailrace("status", str(worker.config), "--json").stdout)["tasks"]
    return dict(task)


def many(first: int, end: int) -> str:
    rows = ", ".join(f"({number}, REPEAT('x', 2000))" for number in range(first, end))
    return f"INSERT INTO orders VALUES {rows}"
