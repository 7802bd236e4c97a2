"""`tailrace check` against real servers: each fault is found and comes with its mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from servers.mysql import MysqlDatabase, StartMysql
from servers.mysql_programs import Flavour
from servers.mysql_server import MysqlServer
from tailrace.source import Finding
from tailrace_mysql.check import findings
from tailrace_mysql.config import MariadbConfig, MysqlConfig


def checked(server: MysqlServer, *, url: str = "", **settings: object) -> Sequence[Finding]:
    model = MariadbConfig if server.flavour == "mariadb" else MysqlConfig
    return findings("shop", model.model_validate({"url": url or server.url(), **settings}))


def faults(found: Sequence[Finding]) -> Mapping[str, str]:
    assert all(finding.mend for finding in found if not finding.ok)
    return {finding.what: finding.mend for finding in found if not finding.ok}


def the_fault(found: Sequence[Finding]) -> tuple[str, str]:
    (fault,) = faults(found).items()
    return fault


def told(found: Sequence[Finding], start: str) -> str:
    (what,) = [finding.what for finding in found if finding.what.startswith(start)]
    return what


def test_a_server_as_it_should_be_has_no_faults(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute("CREATE TABLE a (id int, n int, PRIMARY KEY (n, id))", "CREATE TABLE b (id int)")
    found = checked(binlog_database.server, tables=[f"{binlog_database.name}.*"])
    assert faults(found) == {}
    name = binlog_database.name
    assert told(found, f"table {name}.a") == f"table {name}.a: key (n,id), InnoDB"
    assert told(found, f"table {name}.b") == f"table {name}.b: no key, InnoDB"
    assert told(found, "2 tables are captured")
    assert told(found, "we may replicate")
    assert told(found, "binlog_row_image") == "binlog_row_image is FULL"
    encrypted = told(found, "the connection is")
    assert ("not encrypted" in encrypted) == (binlog_database.flavour == "mariadb")


def test_no_table_that_matches_is_a_fault(binlog_database: MysqlDatabase) -> None:
    what, mend = the_fault(checked(binlog_database.server, tables=["no_such_database.*"]))
    assert what == "0 tables are captured"
    assert "database.table" in mend


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_settings_of_the_binlog_are_looked_at(start_mysql: StartMysql, flavour: Flavour) -> None:
    server = start_mysql(
        flavour, binlog_format="MIXED", binlog_row_metadata="MINIMAL", binlog_row_image="MINIMAL",
        expire_logs_days="0", binlog_expire_logs_seconds="3600", binlog_do_db="other",
    ) if flavour == "mariadb" else start_mysql(
        flavour, binlog_format="MIXED", binlog_row_metadata="MINIMAL", binlog_row_image="MINIMAL",
        binlog_expire_logs_seconds="3600", binlog_do_db="other",
    )  # fmt: skip
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY)")
    found = checked(server)
    wrong = faults(found)
    assert "SET GLOBAL binlog_format = ROW" in wrong["binlog_format is MIXED"]
    assert "SET GLOBAL binlog_row_metadata = FULL" in wrong["binlog_row_metadata is MINIMAL"]
    assert "binlog_expire_logs_seconds = " in wrong["binlogs are kept for 3600 seconds"]
    assert "remove binlog_do_db" in wrong["binlog_do_db is other: changes of other databases are not written"]
    assert len(wrong) == 4
    assert told(found, "binlog_row_image").endswith("without the columns that it leaves out")


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_a_server_without_a_binlog_is_told_to_have_one(start_mysql: StartMysql, flavour: Flavour) -> None:
    server = start_mysql(flavour, skip_log_bin="")
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY)")
    what, mend = the_fault(checked(server))
    assert (what, mend) == ("log_bin is off", "set log-bin in my.cnf and restart the server")


def test_without_gtids_no_other_host_can_take_over(start_mysql: StartMysql) -> None:
    server = start_mysql("mysql", gtid_mode="OFF", enforce_gtid_consistency="OFF")
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY)")
    found = checked(server)
    assert not faults(found)
    assert told(found, "gtid_mode") == "gtid_mode is OFF: no other server can take over"
    address = f"127.0.0.1:{server.port}"
    found = checked(server, url=server.url().replace(address, f"{address},127.0.0.1:1"))
    wrong = faults(found)
    assert "gtid_mode = ON" in wrong[f"{address}: another host can take over: no, there are no GTIDs"]
    assert any(what.startswith("127.0.0.1:1: cannot connect") for what in wrong)
    assert len(wrong) == 2
    assert told(found, "table d.t")


def test_numbers_must_differ(start_mysql: StartMysql) -> None:
    server = start_mysql("mysql", server_id="7")
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY)")
    what, mend = the_fault(checked(server, server_id=7))
    assert what == "the server's number is 7, ours 7"
    assert "`server_id` of the connector" in mend
    server.execute("SET GLOBAL server_id = 0")
    wrong = faults(checked(server))
    assert any("server_id in my.cnf" in mend for mend in wrong.values())


def test_a_replica_must_pass_on_what_it_replicates(start_mysql: StartMysql) -> None:
    server = start_mysql("mysql", log_replica_updates="OFF")
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY)")
    assert not faults(checked(server))
    server.execute("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'x'")
    what, mend = the_fault(checked(server))
    assert what.startswith("log_replica_updates is off")
    assert "log_replica_updates" in mend


def test_the_wrong_type_of_connector_is_told(mariadb: MysqlDatabase) -> None:
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY)")
    config = MysqlConfig.model_validate({"url": mariadb.url, "tables": [f"{mariadb.name}.*"]})
    what, mend = the_fault(findings("shop", config))
    assert (what, mend) == ("the server is mariadb", "set type: mariadb for this connector")


def test_missing_grants_are_told_one_by_one(binlog_database: MysqlDatabase) -> None:
    server, name = binlog_database.server, binlog_database.name
    account = f"poor_{server.port}"
    binlog_database.execute(
        f"CREATE USER {account}@'127.%' IDENTIFIED BY 'x'", f"CREATE USER {account}@localhost IDENTIFIED BY 'x'",
        "CREATE TABLE t (id int PRIMARY KEY, v int)", "CREATE TABLE unseen (id int PRIMARY KEY)",
        f"GRANT INSERT ON {name}.t TO {account}@localhost",
    )  # fmt: skip
    try:
        url = server.url(user=account, password="x")
        wrong = faults(checked(server, url=url, tables=[f"{name}.*"]))
        mends = "; ".join(wrong.values())
        monitor = "BINLOG MONITOR" if server.flavour == "mariadb" else "REPLICATION CLIENT"
        assert f"GRANT {monitor} ON *.* TO '{account}'@'localhost'" in mends
        assert f"GRANT REPLICATION SLAVE ON *.* TO '{account}'@'localhost'" in mends
        assert f"GRANT SELECT ON `{name}`.`t` TO '{account}'@'localhost'" in mends
        assert len(wrong) == 3
        binlog_database.execute(*(mend for mend in wrong.values()))
        assert faults(checked(server, url=url, tables=[f"{name}.*"])) == {}
    finally:
        binlog_database.execute(f"DROP USER {account}@'127.%', {account}@localhost")


def test_a_server_that_cannot_be_reached_is_the_only_fault(binlog_database: MysqlDatabase) -> None:
    server = binlog_database.server
    what, mend = the_fault(checked(server, url=server.url(password="wrong")))
    assert "1045" in what
    assert "password" in mend
    what, _ = the_fault(checked(server, url=server.url().replace(str(server.port), "1")))
    assert what.startswith("cannot connect to 127.0.0.1:1")
