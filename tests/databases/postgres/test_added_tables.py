"""Tables that join a capture later: what they held before is read, and nothing is told twice."""

from __future__ import annotations

import pytest

from databases.postgres.capture import Capture, folded
from servers.postgres import Database
from tailrace.errors import Retriable


def ops(capture: Capture, table: str) -> list[tuple[str, object]]:
    """Return letter and id of every change of a table, in order."""
    changes = [change for change in capture.changes if change.table.id == table]
    return [(change.op, (change.after or change.before or {}).get("id")) for change in changes]


@pytest.fixture
def two_tables(postgres: Database) -> Database:
    postgres.execute(
        "CREATE TABLE a (id int PRIMARY KEY, v int)", "INSERT INTO a VALUES (1, 1)",
        "CREATE TABLE b (id int PRIMARY KEY, v int)", "INSERT INTO b VALUES (1, 1), (2, 2)",
    )  # fmt: skip
    return postgres


def test_a_table_that_the_configuration_chooses_later(two_tables: Database) -> None:
    first = Capture(two_tables.url, tables=["public.a"])
    first.open().catch_up()
    first.source.close()
    two_tables.execute("INSERT INTO b VALUES (3, 3)", "UPDATE b SET v = 9 WHERE id = 1", "INSERT INTO a VALUES (2, 2)")
    with Capture(two_tables.url, tables=["public.a", "public.b"]) as second:
        second.position = first.position
        second.open().catch_up()
        assert sorted(ops(second, "public.b")) == [("r", 1), ("r", 2), ("r", 3)]
        assert ops(second, "public.a") == [("c", 2)]
        two_tables.execute("DELETE FROM b WHERE id = 2")
        second.reopen().catch_up()
        assert ops(second, "public.b")[3:] == [("d", 2)]


def test_a_table_that_joins_a_publication_while_it_is_streamed(two_tables: Database) -> None:
    two_tables.execute("CREATE PUBLICATION tailrace_shop FOR TABLE a")
    with Capture(two_tables.url) as capture:
        capture.open().catch_up()
        two_tables.execute("ALTER PUBLICATION tailrace_shop ADD TABLE b", "INSERT INTO b VALUES (3, 3)")
        with pytest.raises(Retriable, match=r"public\.b was added to the publication"):
            capture.run(lambda: bool(ops(capture, "public.b")))
        capture.reopen().catch_up()
        two_tables.execute("UPDATE b SET v = 4 WHERE id = 3")
        capture.run(lambda: len(ops(capture, "public.b")) > 3)
        assert sorted(ops(capture, "public.b")) == [("r", 1), ("r", 2), ("r", 3), ("u", 3)]
        assert folded(capture).rows["public.b"][(3,)]["v"] == 4


def test_a_table_that_is_created_under_a_publication_of_all_comes_by_the_stream(postgres: Database) -> None:
    postgres.execute("CREATE PUBLICATION tailrace_shop FOR ALL TABLES")
    with Capture(postgres.url) as capture:
        capture.open().catch_up()
        postgres.execute("CREATE TABLE n (id int PRIMARY KEY, v int)", "INSERT INTO n VALUES (1, 1)")
        capture.run(lambda: bool(ops(capture, "public.n")))
        postgres.execute("CREATE TABLE m (id int PRIMARY KEY, v int)", "INSERT INTO m VALUES (1, 1)")
        capture.reopen().catch_up()
        assert ops(capture, "public.n") == [("c", 1)]
        assert ops(capture, "public.m") == [("c", 1)]


def test_somebody_elses_publication_is_taken_as_it_is(two_tables: Database) -> None:
    two_tables.execute("CREATE PUBLICATION tailrace_shop FOR TABLE a")
    with Capture(two_tables.url) as capture:
        capture.open().catch_up()
        assert ops(capture, "public.b") == []
        assert two_tables.execute("SELECT tablename FROM pg_publication_tables") == [("a",)]
