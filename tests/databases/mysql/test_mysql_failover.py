"""Another server takes over, or the same one begins to have GTIDs: nothing is lost or told twice."""

from __future__ import annotations

import time
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from databases.mysql.driven import Driven
from servers.mysql import FLAVOURS, MysqlDatabase, StartMysql
from servers.mysql_programs import PASSWORD, USER, Flavour
from servers.mysql_server import MysqlServer
from tailrace.errors import Fatal, Retriable
from tailrace_mysql.dump_fault import Diverged

pytestmark = [pytest.mark.mysql]

FOLLOW = {
    "mysql": "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'root', "
    "SOURCE_AUTO_POSITION = 1",
    "mariadb": "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'root', "
    "MASTER_USE_GTID = slave_pos",
}
START, STOP = {"mysql": "START REPLICA", "mariadb": "START SLAVE"}, {"mysql": "STOP REPLICA", "mariadb": "STOP SLAVE"}


def followed(start: StartMysql, flavour: Flavour) -> tuple[MysqlServer, MysqlServer]:
    """Return a server and its replica."""
    more = {"log_slave_updates": "ON"} if flavour == "mariadb" else {}
    first, second = start(flavour, **more), start(flavour, **more)
    second.execute(FOLLOW[flavour].format(port=first.port), START[flavour])
    first.execute("CREATE DATABASE d")
    first.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", database="d")
    return first, second


def caught_up(first: MysqlServer, second: MysqlServer) -> None:
    """Wait until the replica has all that the first server has."""
    if first.flavour == "mysql":
        gtids = first.execute("SELECT @@GLOBAL.gtid_executed")[0][0]
        assert second.execute(f"SELECT WAIT_FOR_EXECUTED_GTID_SET('{gtids}', 120)")[0][0] == 0
    else:
        gtids = first.execute("SELECT @@GLOBAL.gtid_binlog_pos")[0][0]
        assert second.execute(f"SELECT MASTER_GTID_WAIT('{gtids}', 120)")[0][0] == 0


def hosts(*servers: MysqlServer) -> str:
    """Return a url that has all of these servers."""
    places = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"{servers[0].flavour}://{USER}:{quote(PASSWORD, safe='')}@{places}/d"


def test_a_replica_takes_over_in_the_middle_of_a_transaction(start_mysql: StartMysql) -> None:
    for flavour in FLAVOURS:
        first, second = followed(start_mysql, flavour)
        # The places of the two have nothing to do with each other.
        second.execute("FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
        database = MysqlDatabase(first, "d")
        with Driven(database, url=hosts(first, second), batch_changes=1) as capture:
            database.execute("INSERT INTO t VALUES (1, 1)")
            capture.open().catch_up()
            database.execute("INSERT INTO t VALUES (2, 2), (3, 3), (4, 4)", "UPDATE t SET v = v + 10 WHERE id < 3")
            capture.run(lambda: len(capture.changes) == 3)
            assert capture.position is not None
            assert capture.position["ordinal"] == 2
            caught_up(first, second)
            capture.crash()
            first.kill()
            second.execute(STOP[flavour])
            second.execute("INSERT INTO t VALUES (5, 5)", "DELETE FROM t WHERE id = 4", database="d")
            capture.open().run(lambda: len(capture.changes) == 8)
            told = [(op, row["id"], row["v"]) for op, row in capture.told("t")]
            assert told == [
                ("r", 1, 1), ("c", 2, 2), ("c", 3, 3), ("c", 4, 4),
                ("u", 1, 11), ("u", 2, 12), ("c", 5, 5), ("d", 4, 4),
            ]  # fmt: skip


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_replica_that_lags_is_waited_for_and_one_that_never_had_it_is_refused(
    start_mysql: StartMysql, flavour: Flavour
) -> None:
    first, second = followed(start_mysql, flavour)
    database = MysqlDatabase(first, "d")
    with Driven(database, url=hosts(first, second)) as capture:
        capture.open().catch_up()
        database.execute("INSERT INTO t VALUES (1, 1)")
        caught_up(first, second)
        second.execute(STOP[flavour], "SET GLOBAL read_only = ON")
        database.execute("INSERT INTO t VALUES (2, 2)")
        capture.run(lambda: len(capture.changes) == 2)
        capture.crash()
        first.stop()
        with pytest.raises(Retriable, match="does not have transactions that were read: "):
            capture.open()
        second.execute("SET GLOBAL read_only = OFF")
        with pytest.raises(Diverged, match="does not have transactions that were read: ") as refused:
            capture.open()
        assert "offsets reset" in refused.value.hint
        first.start()
        second.execute(START[flavour])
        caught_up(first, second)
        first.stop()
        capture.open().catch_up()
        assert [(op, row["id"]) for op, row in capture.told("t")] == [("c", 1), ("c", 2)]


def test_a_transaction_that_was_read_and_is_not_committed_yet_is_waited_for(mysql: MysqlDatabase) -> None:
    """The server sends it before it is: with a slow disk, or a replica whose answer it waits for, long before."""
    gtids = [f"{digit * 8}-2222-3333-4444-555555555555:7" for digit in "129"]
    mysql.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with Driven(mysql) as capture, ExitStack() as owners:
        capture.open().catch_up()
        capture.crash()
        assert capture.position is not None
        capture.position = {**capture.position, "gtids": ",".join([str(capture.position["gtids"]), *gtids])}
        for gtid in gtids:
            owners.enter_context(mysql.connect()).cursor().execute(f"SET gtid_next = '{gtid}'")
        with pytest.raises(Retriable, match="has not yet committed transactions that were read: ") as waits:
            capture.open()
        assert waits.value.patient
        owners.close()
        ended = time.monotonic() + 120
        while mysql.execute("SELECT @@GLOBAL.gtid_owned")[0][0]:
            assert time.monotonic() < ended
        with pytest.raises(Diverged):
            capture.open()


def test_a_server_may_begin_to_have_gtids(start_mysql: StartMysql) -> None:
    server = start_mysql("mysql", gtid_mode="OFF", enforce_gtid_consistency="OFF")
    server.execute("CREATE DATABASE d")
    database = MysqlDatabase(server, "d")
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (0, 0)")
    with Driven(database) as capture:
        capture.open().catch_up()
        database.execute("INSERT INTO t VALUES (1, 1)")
        capture.run(lambda: len(capture.changes) == 2)
        capture.crash()
        server.execute("SET GLOBAL enforce_gtid_consistency = ON")
        for mode in ("OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"):
            server.execute(f"SET GLOBAL gtid_mode = {mode}")
        database.execute("INSERT INTO t VALUES (2, 2)")
        capture.open().run(lambda: len(capture.changes) == 3)
        database.execute("INSERT INTO t VALUES (3, 3)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (4, 4)")
        capture.run(lambda: len(capture.changes) == 5)
        capture.catch_up()
        assert capture.position is not None
        assert str(capture.position["gtids"]).endswith(":1-3")
        capture.crash()
        database.execute("INSERT INTO t VALUES (5, 5)")
        capture.open().run(lambda: len(capture.changes) == 6)
        assert [(op, row["id"]) for op, row in capture.told("t")] == [("r", 0), *(("c", n) for n in range(1, 6))]
        server.execute("SET GLOBAL gtid_mode = ON_PERMISSIVE")
        capture.crash()
        with pytest.raises(Fatal, match="was made on a server with GTIDs"):
            capture.open()
