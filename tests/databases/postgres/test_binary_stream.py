"""The stream in binary: the same events as text gives, and on as text where a table has no binary form, unnoticed."""

from __future__ import annotations

import random
import time

import pytest

from databases.postgres.capture import Capture, folded, try_to_open
from databases.postgres.test_binary_values import SETUP, TEXT_ONLY, VALUES
from databases.postgres.test_snapshot import KEYS, assert_equal, assert_every_version_once, icu
from databases.postgres.writers import create, writing
from servers.postgres import Database
from tailrace.event import Change

SHOP = "CREATE TABLE t (id int PRIMARY KEY, v numeric(12,2), at timestamptz, note text)"


def form(capture: Capture) -> object:
    return capture.source.report().details["values"]


def told(changes: list[Change]) -> list[object]:
    return [(c.op, c.table.id, repr(c.before), repr(c.after), c.moved) for c in changes]


def test_both_forms_tell_the_same_of_every_type(postgres: Database) -> None:
    refused = {"char", "int4[]", "mood[]", "timestamp", "interval"}  # values of these have no form in the schema
    types = [sql_type for sql_type in VALUES if sql_type.strip('"') not in refused | TEXT_ONLY]
    columns = ", ".join(f"c{place} {sql_type}" for place, sql_type in enumerate(types))
    postgres.execute(*SETUP, f"CREATE TABLE t (id int PRIMARY KEY, {columns})", "ALTER TABLE t REPLICA IDENTITY FULL")
    most = max(len(VALUES[sql_type]) for sql_type in types)
    rows = [[VALUES[sql_type][n % len(VALUES[sql_type])] for sql_type in types] for n in range(most)]
    marks = ", ".join(f"%s::{sql_type}" for sql_type in types)

    def write(first: int) -> None:
        with postgres.connect() as connection:
            for number, row in enumerate(rows):
                connection.execute(f"INSERT INTO t VALUES ({first + number}, {marks})".encode(), row)
            connection.execute(f"UPDATE t SET id = -id, c0 = NOT c0 WHERE id % 3 = 0 AND id >= {first}".encode())
            connection.execute(f"DELETE FROM t WHERE id % 4 = 0 AND id >= {first}".encode())

    write(1)
    with (
        Capture(postgres.url, "binary", slot="slot_b", publication="p") as binary,
        Capture(postgres.url, "text", slot="slot_t", publication="p", binary="never") as text,
    ):
        for capture in (binary, text):
            capture.open().catch_up()
        write(1000)
        for capture in (binary, text):
            capture.reopen()
        assert (form(binary), form(text)) == ("binary", "text")
        assert told(binary.changes) == told(text.changes)
        assert {change.op for change in binary.changes} == {"r", "c", "u", "d"}


def test_values_that_were_not_sent(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, n int, big text)", "CREATE TABLE f (LIKE t INCLUDING ALL)")
    postgres.execute(
        "ALTER TABLE f REPLICA IDENTITY FULL", "ALTER TABLE t ALTER big SET STORAGE external",
        "ALTER TABLE f ALTER big SET STORAGE external",
    )  # fmt: skip
    with Capture(postgres.url) as capture:
        capture.open().catch_up()
        for table in ("t", "f"):
            postgres.execute(f"INSERT INTO {table} VALUES (1, 1, repeat('x', 9000))", f"UPDATE {table} SET n = 2")
        capture.reopen()
        assert form(capture) == "binary"
        rows = folded(capture).rows
    assert [rows[name][1,]["n"] for name in ("public.t", "public.f")] == [2, 2]
    assert [rows[name][1,]["big"] for name in ("public.t", "public.f")] == ["x" * 9000] * 2


def test_a_table_that_is_altered_goes_on_as_text(postgres: Database) -> None:
    postgres.execute(SHOP, "CREATE TABLE other (id int PRIMARY KEY)", "INSERT INTO t VALUES (0, 1, now(), 'old')")
    with Capture(postgres.url, batch_changes=1) as capture:
        capture.open().catch_up()
        assert form(capture) == "binary"
        with postgres.connect() as connection, connection.transaction():  # the change comes in a transaction's midst
            for n in range(1, 20):
                connection.execute("INSERT INTO t VALUES (%s, 1.5, now(), 'x'), (-%s, NULL, NULL, NULL)", [n, n])
                if n == 10:
                    connection.execute("ALTER TABLE t ADD COLUMN m money DEFAULT 2.5")
                connection.execute("INSERT INTO other VALUES (%s)", [n])
        postgres.execute("UPDATE t SET v = 7 WHERE id = 3", "DELETE FROM t WHERE id = 4")
        source = capture.source
        capture.run(lambda: len(capture.changes) == 60)
        assert capture.source is source
        assert form(capture) == "text"
        rows = folded(capture).rows["public.t"]
        assert {key[0] for key in rows} == set(range(-19, 20)) - {4}
        assert [str(rows[n,].get("m")) for n in (1, 3, 11, 19)] == ["None", "2.50", "2.50", "2.50"]
        capture.reopen()
        assert form(capture) == "text"  # the catalogue says so
        postgres.execute("ALTER TABLE t DROP COLUMN m", "INSERT INTO t VALUES (50, 1, now(), 'y')")
        capture.reopen()
        capture.reopen()  # now no transaction is resumed that has the shape of before
        assert form(capture) == "binary"
        assert len(capture.changes) == 61


def test_a_shape_that_the_catalogue_no_longer_shows(postgres: Database) -> None:
    postgres.execute(SHOP)
    with Capture(postgres.url) as capture:
        capture.open().catch_up()
        capture.source.close()
        with postgres.connect() as connection:
            for n in range(5):
                connection.execute("INSERT INTO t VALUES (%s, 1, now(), '1')", [n])
            connection.execute("ALTER TABLE t ADD COLUMN m money DEFAULT 1")
            connection.execute("INSERT INTO t VALUES (5, 1, now(), 'm', 3)")
            connection.execute("ALTER TABLE t DROP COLUMN m")
            connection.execute("INSERT INTO t VALUES (6, 1, now(), '2')")
        try_to_open(capture)
        assert form(capture) == "binary"
        deadline = time.monotonic() + 30
        while form(capture) == "binary":
            capture.step(commit=False)
            assert time.monotonic() < deadline
        capture.crash()
        try_to_open(capture)  # nothing of that was committed: the same again
        assert form(capture) == "binary"
        capture.run(lambda: len(capture.changes) == 7)
        assert form(capture) == "text"
        capture.catch_up()
        assert len(folded(capture).rows["public.t"]) == 7


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_crashes_around_the_change_of_form_lose_and_double_nothing(postgres: Database, seed: int) -> None:
    postgres.execute(SHOP)
    rng = random.Random(seed)
    with Capture(postgres.url, batch_changes=3) as capture:
        capture.open().catch_up()
        capture.source.close()
        with postgres.connect() as connection:
            for n in range(60):
                if n % 20 == 10:
                    connection.execute("ALTER TABLE t ADD COLUMN m money DEFAULT 1")
                if n % 20 == 15:
                    connection.execute("ALTER TABLE t DROP COLUMN m")
                with connection.transaction():
                    for part in range(5):
                        connection.execute("INSERT INTO t VALUES (%s, 1, now(), '1')", [n * 5 + part])
        deadline = time.monotonic() + 60
        while len(capture.committed) < 300:
            try_to_open(capture)
            for _ in range(rng.randrange(1, 25)):
                capture.step(0.005, commit=rng.random() < 0.4)
            capture.crash()
            assert time.monotonic() < deadline
        assert len(folded(capture).rows["public.t"]) == 300


@pytest.mark.parametrize("binary", ["auto", "never"])
def test_the_form_changes_while_others_write_and_the_snapshot_reads(postgres: Database, binary: str) -> None:
    create(postgres, KEYS, icu=icu(postgres))
    postgres.execute("CREATE TABLE dear (id int PRIMARY KEY, v int)")
    with Capture(postgres.url, chunk_rows=23, snapshot_readers=3, binary=binary) as capture:
        with writing(postgres, KEYS):
            capture.open()
            capture.run(lambda: len(capture.changes) > 100)
            assert form(capture) == ("binary" if binary == "auto" else "text")
            postgres.execute("ALTER TABLE dear ADD COLUMN m money DEFAULT 1", "INSERT INTO dear VALUES (1, -1)")
            capture.catch_up()
            capture.run(lambda: form(capture) == "text")
        capture.run(lambda: any(change.table.id == "public.dear" for change in capture.changes))
        capture.reopen()
        assert_equal(postgres, folded(capture))
        assert_every_version_once(capture)
