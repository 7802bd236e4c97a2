"""Streaming from a real server: every kind of change, identity and table, and shapes that change on the way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from databases.postgres.capture import Capture, folded
from servers.postgres import Database
from tailrace.event import Change, Message
from tailrace.schema import UNAVAILABLE

Told = tuple[str, Any, Any]


def told(changes: list[Change]) -> list[Told]:
    return [(change.op, change.before, change.after) for change in changes]


def stream(database: Database, *statements: str, **settings: Any) -> list[Change]:
    """Return the changes that `statements` make, the tables being there and captured before."""
    with Capture(database.url, **settings) as capture:
        capture.open().catch_up()
        before = len(capture.changes)
        database.execute(*statements)
        capture.reopen()
        return capture.changes[before:]


def test_inserts_updates_and_deletes(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    changes = stream(
        postgres,
        "INSERT INTO t VALUES (1, 'a'), (2, NULL)",
        "UPDATE t SET v = 'b' WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
        "UPDATE t SET id = 3 WHERE id = 1",
    )
    assert told(changes) == [
        ("c", None, {"id": 1, "v": "a"}),
        ("c", None, {"id": 2, "v": None}),
        ("u", None, {"id": 1, "v": "b"}),
        ("d", {"id": 2, "v": None}, None),
        ("u", {"id": 1, "v": None}, {"id": 3, "v": "b"}),
    ]
    assert [change.moved for change in changes] == [False, False, False, False, True]
    assert {change.table.topic for change in changes} == {"shop.public.t"}
    assert all(change.table is changes[0].table for change in changes)


def test_source_block(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    changes = stream(postgres, "INSERT INTO t VALUES (1), (2)", "INSERT INTO t VALUES (3)", topic_prefix="pre")
    blocks: list[dict[str, Any]] = []
    for change in changes:
        values = change.origin.source_block(change)
        fields = change.table.source.fields
        blocks.append({field.name: value for field, value in zip(fields, values, strict=True)})
    first, second, third = blocks
    assert first["connector"] == "postgresql"
    assert (first["name"], first["db"], first["schema"], first["table"]) == ("pre", postgres.name, "public", "t")
    assert (first["snapshot"], first["xmin"], first["origin"]) == ("false", None, None)
    assert first["txId"] == second["txId"] != third["txId"]
    assert first["ts_ns"] == first["ts_us"] * 1000
    assert first["ts_ms"] == first["ts_us"] // 1000
    assert first["lsn"] < second["lsn"] < third["lsn"]
    assert first["sequence"].endswith(f',"{first["lsn"]}"]')
    assert first["sequence"].split(",")[0] == second["sequence"].split(",")[0] != third["sequence"].split(",")[0]


def test_rollbacks_and_savepoints_tell_nothing(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    changes = stream(
        postgres,
        "DO $$ BEGIN INSERT INTO t VALUES (1); BEGIN INSERT INTO t VALUES (2); RAISE 'no'; EXCEPTION WHEN OTHERS THEN "
        "INSERT INTO t VALUES (3); END; END $$",
    )
    assert [change.after for change in changes] == [{"id": 1}, {"id": 3}]


def test_interleaved_transactions_come_in_the_order_of_their_commits(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with Capture(postgres.url) as capture, postgres.connect(autocommit=False) as first:
        capture.open().catch_up()
        first.execute("INSERT INTO t VALUES (1)")
        postgres.execute("INSERT INTO t VALUES (2)")
        first.execute("INSERT INTO t VALUES (3)")
        first.commit()
        capture.reopen()
        assert [change.after["id"] for change in capture.changes if change.after] == [2, 1, 3]


def test_unchanged_toast_values_are_unavailable(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, big text, n int)",
        "CREATE TABLE w (id int PRIMARY KEY, big text, n int)",
        "ALTER TABLE t ALTER big SET STORAGE EXTERNAL",
        "ALTER TABLE w ALTER big SET STORAGE EXTERNAL",
        "ALTER TABLE w REPLICA IDENTITY FULL",
    )
    big = "x" * 9000
    changes = stream(
        postgres,
        f"INSERT INTO t VALUES (1, '{big}', 1)",
        "UPDATE t SET n = 2",
        f"INSERT INTO w VALUES (1, '{big}', 1)",
        "UPDATE w SET n = 2",
    )
    assert [change.after["big"] for change in changes if change.after] == [big, UNAVAILABLE, big, big]
    assert changes[3].before == {"id": 1, "big": big, "n": 1}


def test_a_toasted_key(postgres: Database) -> None:
    key = "k" * 2500  # external, and still short enough for an index
    postgres.execute("CREATE TABLE t (id text PRIMARY KEY, n int)", "ALTER TABLE t ALTER id SET STORAGE EXTERNAL")
    changes = stream(postgres, f"INSERT INTO t VALUES ('{key}', 1)", "UPDATE t SET n = 2", "DELETE FROM t")
    assert [change.moved for change in changes] == [False, False, False]
    assert changes[1].after == {"id": key, "n": 2}
    assert changes[2].before == {"id": key, "n": None}


def test_replica_identities(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE f (id int PRIMARY KEY, v text)",
        "ALTER TABLE f REPLICA IDENTITY FULL",
        "CREATE TABLE i (id int PRIMARY KEY, v text NOT NULL, w int)",
        "CREATE UNIQUE INDEX iv ON i (v)",
        "ALTER TABLE i REPLICA IDENTITY USING INDEX iv",
        "CREATE TABLE n (id int PRIMARY KEY)",
        "ALTER TABLE n REPLICA IDENTITY NOTHING",
    )
    changes = stream(
        postgres,
        "INSERT INTO f VALUES (1, 'a')",
        "UPDATE f SET v = 'b'",
        "UPDATE f SET id = 2",
        "DELETE FROM f",
        "INSERT INTO i VALUES (1, 'a', 1)",
        "UPDATE i SET w = 2",
        "UPDATE i SET v = 'b'",
        "DELETE FROM i",
        "INSERT INTO n VALUES (1)",
    )
    assert told(changes)[1:4] == [
        ("u", {"id": 1, "v": "a"}, {"id": 1, "v": "b"}),
        ("u", {"id": 1, "v": "b"}, {"id": 2, "v": "b"}),
        ("d", {"id": 2, "v": "b"}, None),
    ]
    assert [change.moved for change in changes] == [False, False, True, False, False, False, True, False, False]
    assert changes[7].before == {"id": None, "v": "b", "w": None}
    keys = {change.table.id: [change.table.columns[k].name for k in change.table.key] for change in changes}
    assert keys == {"public.f": ["id"], "public.i": ["v"], "public.n": ["id"]}


def test_tables_without_a_key(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE t (a int, b text)",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "INSERT INTO t VALUES (1, 'x'), (1, 'x')",
        "CREATE TABLE log (a int)",
        "INSERT INTO log VALUES (1)",
    )
    with Capture(postgres.url) as capture:
        capture.open().catch_up()
        postgres.execute("UPDATE t SET b = NULL WHERE ctid = '(0,1)'", "DELETE FROM t WHERE b IS NULL")
        postgres.execute("INSERT INTO log VALUES (2)", "INSERT INTO t VALUES (2, '')")
        capture.reopen()
        fold = folded(capture)
    assert +fold.counted["public.t"] == {repr({"a": 1, "b": "x"}): 1, repr({"a": 2, "b": ""}): 1}
    assert +fold.counted["public.log"] == {repr({"a": 1}): 1, repr({"a": 2}): 1}
    assert all(not change.table.key for change in capture.changes)


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ("a int, b text, PRIMARY KEY (b, a)", ["b", "a"]),
        ("a int NOT NULL UNIQUE, b text", ["a"]),
        ("a int UNIQUE, b text", []),
        ("a int, b text, PRIMARY KEY (a) INCLUDE (b)", ["a"]),
    ],
)
def test_the_key_is_the_same_in_snapshot_and_stream(postgres: Database, columns: str, key: list[str]) -> None:
    postgres.execute(f"CREATE TABLE t ({columns})", "INSERT INTO t VALUES (1, 'x')")
    with Capture(postgres.url) as capture:
        capture.open().catch_up()
        postgres.execute("INSERT INTO t VALUES (2, 'y')")
        capture.reopen()
    assert [change.op for change in capture.changes] == ["r", "c"]
    assert [[c.table.columns[k].name for k in c.table.key] for c in capture.changes] == [key, key]
    assert [column.schema for column in capture.changes[0].table.columns] == [
        column.schema for column in capture.changes[1].table.columns
    ]


def test_truncate(postgres: Database) -> None:
    postgres.execute("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
    changes = stream(postgres, "INSERT INTO a VALUES (1)", "TRUNCATE a, b", "INSERT INTO a VALUES (1)")
    assert [(change.op, change.table.id) for change in changes] == [
        ("c", "public.a"), ("t", "public.a"), ("t", "public.b"), ("c", "public.a"),
    ]  # fmt: skip
    assert changes[1].before is None
    assert changes[1].after is None


@pytest.mark.parametrize("partitions", ["root", "leaf"])
def test_partitioned_tables(postgres: Database, partitions: str) -> None:
    postgres.execute(
        "CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
        "INSERT INTO p SELECT i, 'v' FROM generate_series(0, 19) i",
    )
    with Capture(postgres.url, partitions=partitions, chunk_rows=6) as capture:
        capture.open().catch_up()
        postgres.execute("UPDATE p SET v = 'w' WHERE id = 3", "DELETE FROM p WHERE id = 15")
        postgres.execute("UPDATE p SET id = 15 WHERE id = 4")
        capture.reopen()
        fold = folded(capture)
    rows = {key for table in fold.rows.values() for key in table}
    assert rows == {(i,) for i in range(20)} - {(4,)}
    assert set(fold.rows) == ({"public.p"} if partitions == "root" else {"public.p1", "public.p2"})


def test_shapes_that_change_between_rows(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    changes = stream(
        postgres,
        "INSERT INTO t VALUES (1, 'a')",
        "ALTER TABLE t ADD w int NOT NULL DEFAULT 7",
        "INSERT INTO t VALUES (2, 'b')",
        "ALTER TABLE t RENAME v TO text",
        "INSERT INTO t VALUES (3, 'c')",
        "ALTER TABLE t ALTER w TYPE numeric(5,1)",
        "INSERT INTO t VALUES (4, 'd', 1.5)",
        "ALTER TABLE t DROP text",
        "INSERT INTO t VALUES (5, 2)",
        "ALTER TABLE t RENAME TO u",
        "INSERT INTO u VALUES (6, 3)",
    )
    assert [change.after for change in changes] == [
        {"id": 1, "v": "a"},
        {"id": 2, "v": "b", "w": 7},
        {"id": 3, "text": "c", "w": 7},
        {"id": 4, "text": "d", "w": Decimal("1.5")},
        {"id": 5, "w": Decimal("2.0")},
        {"id": 6, "w": Decimal("3.0")},
    ]
    assert [change.table.id for change in changes] == ["public.t"] * 5 + ["public.u"]
    assert len({id(change.table) for change in changes}) == 6
    assert not changes[-1].table.columns[1].schema.optional


def test_nullability_is_that_of_the_catalogue(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, w int DEFAULT 5)")
    with Capture(postgres.url) as capture:
        capture.open().catch_up()
        postgres.execute("INSERT INTO t VALUES (1, 'a')")
        capture.run(lambda: len(capture.changes) == 1)
        postgres.execute("ALTER TABLE t ALTER v DROP NOT NULL")
        postgres.execute("INSERT INTO t VALUES (2, NULL)")
        capture.run(lambda: len(capture.changes) == 2)
    before, after = (change.table.columns for change in capture.changes)
    assert [column.schema.optional for column in before] == [False, False, True]
    assert [column.schema.optional for column in after] == [False, True, True]


def test_a_new_enum_label_is_in_the_schema(postgres: Database) -> None:
    postgres.execute("CREATE TYPE mood AS ENUM ('sad')", "CREATE TABLE t (id int PRIMARY KEY, m mood)")
    changes = stream(postgres, "ALTER TYPE mood ADD VALUE 'glad'", "INSERT INTO t VALUES (1, 'glad')")
    assert changes[0].table.columns[1].schema.parameters["allowed"] == "sad,glad"
    assert changes[0].after == {"id": 1, "m": "glad"}


def test_generated_columns_and_column_lists_are_the_same_in_snapshot_and_stream(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE g (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)",
        "CREATE TABLE l (id int PRIMARY KEY, seen int, hidden int)",
        "CREATE TABLE f (id int PRIMARY KEY, v int)",
        "INSERT INTO g VALUES (1, 1)",
        "INSERT INTO l VALUES (1, 1, 1)",
        "INSERT INTO f VALUES (1, 1), (100, 1)",
        "CREATE PUBLICATION own FOR TABLE g, l (seen, id), f WHERE (id < 50)",
    )
    with Capture(postgres.url, publication="own") as capture:
        capture.open().catch_up()
        postgres.execute("INSERT INTO g VALUES (2, 2)", "INSERT INTO l VALUES (2, 2, 2)")
        postgres.execute("INSERT INTO f VALUES (2, 2), (200, 2)")
        capture.reopen()
    rows = {(c.table.id, c.op): dict(c.after or {}) for c in capture.changes}
    assert rows == {
        ("public.g", "r"): {"id": 1, "a": 1}, ("public.g", "c"): {"id": 2, "a": 2},
        ("public.l", "r"): {"id": 1, "seen": 1}, ("public.l", "c"): {"id": 2, "seen": 2},
        ("public.f", "r"): {"id": 1, "v": 1}, ("public.f", "c"): {"id": 2, "v": 2},
    }  # fmt: skip


def test_published_generated_columns(postgres: Database) -> None:
    if postgres.version < 18:
        sql = "SELECT 1"  # older servers never send them: covered above
        assert postgres.execute(sql) == [(1,)]
        return
    postgres.execute(
        "CREATE TABLE g (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)",
        "INSERT INTO g VALUES (1, 1)",
        "CREATE PUBLICATION own FOR TABLE g WITH (publish_generated_columns = stored)",
    )
    with Capture(postgres.url, publication="own") as capture:
        capture.open().catch_up()
        postgres.execute("INSERT INTO g VALUES (2, 2)")
        capture.reopen()
    assert [c.after for c in capture.changes] == [{"id": 1, "a": 1, "b": 2}, {"id": 2, "a": 2, "b": 4}]


def test_names_that_need_quotes(postgres: Database) -> None:
    postgres.execute(
        'CREATE SCHEMA "Sch ema"', 'CREATE TABLE "Sch ema"."Ta.ble""x" ("Key Col" text PRIMARY KEY, "ü" int)',
        """INSERT INTO "Sch ema"."Ta.ble""x" VALUES ('a''\\b', 1), ('c', 2), ('d', 3)""",
    )  # fmt: skip
    with Capture(postgres.url, chunk_rows=1, name="Odd-Name.1") as capture:
        capture.open().catch_up()
        postgres.execute("""UPDATE "Sch ema"."Ta.ble""x" SET "ü" = 9 WHERE "Key Col" = 'c'""")
        capture.reopen()
        rows = folded(capture).rows['Sch ema.Ta.ble"x']
    assert rows[("c",)] == {"Key Col": "c", "ü": 9}
    assert {change.table.topic for change in capture.changes} == {"Odd-Name.1.Sch_ema.Ta.ble_x"}


def test_tables_and_exclude_choose(postgres: Database) -> None:
    postgres.execute("CREATE SCHEMA s", *(f"CREATE TABLE {t} (id int PRIMARY KEY)" for t in ("s.a", "s.b", "c")))
    inserts = [f"INSERT INTO {t} VALUES (1)" for t in ("s.a", "s.b", "c")]
    changes = stream(postgres, *inserts, tables=["s.*"], exclude=["*.b"])
    assert [change.table.id for change in changes] == ["s.a"]


def test_a_table_created_later_is_captured_from_its_first_row(postgres: Database) -> None:
    postgres.execute("CREATE TABLE a (id int PRIMARY KEY)")
    changes = stream(postgres, "CREATE TABLE b (id int PRIMARY KEY)", "INSERT INTO b VALUES (1)")
    assert told(changes) == [("c", None, {"id": 1})]


def test_snapshot_never_streams_only(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with Capture(postgres.url, snapshot="never") as capture:
        capture.open().catch_up()
        postgres.execute("INSERT INTO t VALUES (2)")
        capture.reopen()
    assert told(capture.changes) == [("c", None, {"id": 2})]


def test_heartbeats_come_back_as_messages(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with Capture(postgres.url, heartbeat_interval=0.5, topic_prefix="pre") as capture:
        capture.open()
        capture.run(lambda: len(capture.committed) >= 2)
        message = capture.committed[0]
        assert isinstance(message, Message)
        assert message.topic == "__debezium-heartbeat.pre"
        assert message.key == {"serverName": "pre"}
    with Capture(postgres.url) as again:
        again.position = capture.position
        again.open().catch_up()
        assert again.events == []  # those told before do not come again


def test_the_slot_moves_while_only_others_write(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE busy (id int PRIMARY KEY, v text)")
    with Capture(postgres.url, tables=["public.t"]) as capture:
        capture.open().catch_up()
        postgres.execute("INSERT INTO busy SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i")
        end = int(postgres.execute("SELECT pg_current_wal_lsn() - '0/0'")[0][0])
        capture.run(lambda: confirmed(postgres) >= end)
        assert capture.changes == []


def confirmed(database: Database) -> int:
    return int(
        database.execute(
            f"SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE database = '{database.name}'"
        )[0][0]
    )
