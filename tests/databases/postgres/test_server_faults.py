"""What is wrong, and what to do about it, said by the source on real servers."""

from __future__ import annotations

import time

import pytest

from databases.postgres.capture import SLOT, Capture
from servers.postgres import Database, StartPostgres
from tailrace.errors import ConfigError, Fatal, Retriable, TailraceError
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.source import PostgresSource


def caught(capture: Capture, kind: type[TailraceError]) -> TailraceError:
    with pytest.raises(kind) as error:
        capture.open()
    capture.source.close()
    return error.value


@pytest.fixture
def captured(postgres: Database) -> Capture:
    """A capture that has caught up and been closed."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    capture = Capture(postgres.url)
    capture.open().catch_up()
    capture.source.close()
    return capture


def drop_slot(database: Database) -> None:
    """Drop the slot, once the server has noticed that nobody streams from it any more."""
    database.execute(
        f"DO $$ BEGIN FOR i IN 1..500 LOOP IF EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{SLOT}' "
        "AND active) THEN PERFORM pg_sleep(0.01); END IF; END LOOP; END $$",
        f"SELECT pg_drop_replication_slot('{SLOT}')",
    )


def test_a_slot_that_is_gone(postgres: Database, captured: Capture) -> None:
    drop_slot(postgres)
    error = caught(captured, Fatal)
    assert "slot tailrace_shop is gone" in error.message
    assert "tailrace offsets reset" in error.hint


def test_a_slot_that_was_made_anew(postgres: Database, captured: Capture) -> None:
    drop_slot(postgres)
    postgres.execute(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
    error = caught(captured, Fatal)
    assert "ahead of our position" in error.message
    assert "tailrace offsets reset" in error.hint


def test_a_slot_that_somebody_moved(postgres: Database, captured: Capture) -> None:
    postgres.execute("INSERT INTO t VALUES (2)")
    postgres.execute(
        "DO $$ BEGIN FOR i IN 1..500 LOOP IF EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = "
        f"'{SLOT}' AND active) THEN PERFORM pg_sleep(0.01); END IF; END LOOP; END $$",
        f"SELECT pg_replication_slot_advance('{SLOT}', pg_current_wal_lsn())",
    )
    assert "somebody moved it" in caught(captured, Fatal).message


def test_a_slot_for_something_else(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    postgres.execute(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')")
    error = caught(Capture(postgres.url), Fatal)
    assert "test_decoding" in error.message
    assert "pg_drop_replication_slot" in error.hint


def test_a_slot_in_use_is_waited_for(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with Capture(postgres.url) as first:
        first.open().catch_up()
        error = caught(Capture(postgres.url), Retriable)
        assert "in use" in error.message
        assert isinstance(error, Retriable)
        assert error.retry_after is not None
        assert error.retry_after < 1


def test_a_slot_without_a_position_is_adopted(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with Capture(postgres.url) as lost:
        lost.open().catch_up()
    postgres.execute("INSERT INTO t VALUES (2)", "UPDATE t SET id = 3 WHERE id = 1")
    with Capture(postgres.url, slot_wait=5) as again:
        wait_until_inactive(postgres)
        again.open().catch_up()
        assert sorted((c.op, c.after["id"]) for c in again.changes if c.after) == [("r", 2), ("r", 3)]


def wait_until_inactive(database: Database) -> None:
    """Wait until the server has noticed that whoever used the slot is gone."""
    deadline = time.monotonic() + 120
    while database.execute(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{SLOT}'")[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_another_database_behind_the_url(postgres: Database, captured: Capture) -> None:
    assert captured.position is not None
    captured.position = {**captured.position, "cluster": "1/1/other"}
    error = caught(captured, Fatal)
    assert "another database" in error.message
    assert "offsets reset" in error.hint


def test_a_timeline_that_went_another_way(postgres: Database, captured: Capture) -> None:
    assert captured.position is not None
    system = str(captured.position["cluster"]).split("/")[0]
    captured.position = {**captured.position, "cluster": f"{system}/7/{postgres.name}"}
    assert "left timeline 7" in caught(captured, Fatal).message


def test_a_position_of_something_else(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    capture = Capture(postgres.url)
    capture.position = {"file": "binlog.1", "pos": 4}
    assert "not one of a postgres source" in caught(capture, Fatal).hint


def test_missing_things_that_must_not_be_made(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    error = caught(Capture(postgres.url, create_publication=False), Fatal)
    assert "publication tailrace_shop is missing" in error.message
    assert "CREATE PUBLICATION" in error.hint
    postgres.execute("CREATE PUBLICATION tailrace_shop FOR TABLE t")
    error = caught(Capture(postgres.url, create_slot=False), Fatal)
    assert "slot tailrace_shop is missing" in error.message
    assert "pg_create_logical_replication_slot" in error.hint


def test_a_slot_older_than_its_publication(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    postgres.execute(f"SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")
    assert "older than its publication" in caught(Capture(postgres.url), Fatal).message


def test_creating_a_slot_gives_up_after_a_while(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION tailrace_shop FOR TABLE t")
    with postgres.connect(autocommit=False) as running:
        running.execute("INSERT INTO t VALUES (1)")
        pid = running.info.backend_pid
        error = caught(Capture(postgres.url, slot_wait=0.3), Retriable)
        assert str(pid) in error.hint
        assert "still running" in error.message


def test_no_table_to_read(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION tailrace_shop FOR TABLE t",
        f"DROP ROLE IF EXISTS reader_{postgres.name}",
        f"CREATE ROLE reader_{postgres.name} LOGIN REPLICATION",
    )  # fmt: skip
    url = postgres.server.dsn(postgres.name, user=f"reader_{postgres.name}")
    capture = Capture(url)
    capture.open()
    with pytest.raises(Fatal) as error:
        capture.catch_up()
    capture.source.close()
    assert "permission denied" in error.value.message
    assert "grant" in error.value.hint
    faults = [finding for finding in PostgresSource("shop", capture.config).check() if not finding.ok]
    assert [fault.mend for fault in faults] == [f'GRANT SELECT ON "public"."t" TO "reader_{postgres.name}"']
    postgres.execute(f"DROP ROLE reader_{postgres.name}")


def test_check_finds_nothing_and_changes_nothing(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source = PostgresSource("shop", PostgresConfig.model_validate({"url": postgres.url}))
    findings = source.check()
    assert [finding.what for finding in findings if not finding.ok] == []
    assert any("publication tailrace_shop is to be created for 1 tables" in finding.what for finding in findings)
    assert postgres.execute("SELECT count(*) FROM pg_publication") == [(0,)]
    with Capture(postgres.url) as capture:
        capture.open().catch_up()
        assert all(finding.ok for finding in source.check())


def test_check_says_which_tables_cannot_be_told(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (v text)", "CREATE TABLE u (id int PRIMARY KEY)")
    postgres.execute("CREATE PUBLICATION tailrace_shop FOR TABLE t")
    source = PostgresSource("shop", PostgresConfig.model_validate({"url": postgres.url}))
    mends = [finding.mend for finding in source.check() if not finding.ok]
    assert any('ADD TABLE "public"."u"' in mend for mend in mends)
    assert any("REPLICA IDENTITY FULL" in mend for mend in mends)


def test_a_server_that_is_not_ready_for_logical_replication(start_postgres: StartPostgres) -> None:
    server = start_postgres(15, wal_level="replica")
    error = caught(Capture(server.dsn()), Fatal)
    assert "wal_level is replica" in error.message
    assert "ALTER SYSTEM SET wal_level = logical" in error.hint
    findings = PostgresSource("shop", Capture(server.dsn()).config).check()
    assert any("wal_level" in finding.what and not finding.ok for finding in findings)


def test_a_wrong_password_and_a_wrong_database(start_postgres: StartPostgres) -> None:
    server = start_postgres(15, password="right")
    error = caught(Capture(server.dsn(user="postgres", password="wrong-secret")), Fatal)
    assert "password authentication failed" in error.message
    assert "wrong-secret" not in str(error)
    assert "does not exist" in caught(Capture(server.dsn("nowhere")), Fatal).message
    findings = PostgresSource("shop", Capture(server.dsn(password="wrong-secret")).config).check()
    assert [finding.ok for finding in findings] == [False]


def test_no_slot_is_free(start_postgres: StartPostgres) -> None:
    server = start_postgres(15, max_replication_slots="1")
    with server.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
        connection.execute("SELECT pg_create_physical_replication_slot('other')")
    error = caught(Capture(server.dsn()), Retriable)
    assert "all replication slots are in use" in error.message


def test_a_slot_that_lost_its_log(start_postgres: StartPostgres) -> None:
    server = start_postgres(15, max_slot_wal_keep_size="1MB", min_wal_size="32MB", max_wal_size="32MB")
    with server.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        capture = Capture(server.dsn())
        capture.open().catch_up()
        capture.source.close()
        for n in range(6):
            connection.execute("SELECT pg_switch_wal()")
            connection.execute(f"INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series({n}000, {n}999) i")
        connection.execute("CHECKPOINT")
        error = caught(capture, Fatal)
    assert "is lost" in error.message
    assert "pg_drop_replication_slot" in error.hint


def test_nobody_listens() -> None:
    error = caught(Capture("postgresql://127.0.0.1:1/x"), Retriable)
    assert isinstance(error, Retriable)
    assert error.patient


def test_a_url_that_is_none() -> None:
    error = caught(Capture("postgresql://user:secret@[::1/x"), ConfigError)
    assert "secret" not in str(error)
    assert error.__cause__ is None
