"""Iceberg tables: what becomes of changes, of columns that change, of crashes between two tables."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lake.records import GOODS, NOON, Topic, names, schema, table
from lake.tables import rename, scanned, stored, table_rows
from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, ConfigError, Fatal, Retriable
from tailrace.event import Table
from tailrace.position import Position
from tailrace.schema import Field, Schema, Value
from tailrace_archive.iceberg.config import IcebergConfig
from tailrace_archive.iceberg.sink import IcebergSink

NAME = "shop_public.goods"
HOUR = 3_600_000

Cell = tuple[Schema, Any]


class Lake:
    """A folder of tables, and one topic that goes into them."""

    def __init__(self, folder: Path, about: Table = GOODS, **settings: object) -> None:
        self.path = folder / "tables"
        self.topic = Topic(folder / "registry", about)
        self.settings = {"type": "iceberg", "topics": ["*"], "path": self.path, "spool": folder / "spool", **settings}
        self.refused: list[tuple[int, str]] = []

    def sink(self, **settings: object) -> IcebergSink:
        sink = IcebergSink("lake", IcebergConfig.model_validate(self.settings | settings))
        sink.reject_with(lambda delivery, error: self.refused.append((delivery.record.offset, error.message)))
        return sink

    def load(self, *deliveries: Delivery) -> Position | None:
        """Write in a life of its own, and commit."""
        with closing(self.sink()) as sink:
            position = sink.open("lake")
            sink.write(sorted(deliveries, key=lambda each: each.record.offset))
            sink.commit({"next": self.topic.next})
            return position

    def rows(self, by: str = "id") -> list[dict[str, Any]]:
        return table_rows(self.path, NAME, by)


def state(folder: Path, about: Table = GOODS, **settings: object) -> Lake:
    return Lake(folder, about, mode="state", **settings)


def good(number: int, name: str | None) -> dict[str, Any]:
    return {"id": number, "name": name}


def test_a_changelog_has_every_change_by_hour(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    topic = lake.topic
    lake.load(
        topic.change("c", good(1, "a")),
        topic.change("u", good(1, "b"), good(1, "a"), at=NOON + HOUR),
        topic.change("d", None, good(1, "b"), at=NOON + HOUR),
        topic.raw(None, None),
    )
    told = [(row["op"], row["before"], row["after"], row["__offset"]) for row in lake.rows("__offset")]
    assert told == [
        ("c", None, good(1, "a"), 0), ("u", good(1, "a"), good(1, "b"), 1), ("d", good(1, "b"), None, 2),
    ]  # fmt: skip
    before = topic.change("c", good(2, "x"))
    topic.table = table({"id": schema("int64", optional=False), "name": schema("string"), "more": schema("int16")})
    lake.load(before, topic.change("c", {**good(3, "y"), "more": 1}))
    assert [row["after"].get("more") for row in lake.rows("__offset")[-2:]] == [None, 1]
    late = scanned(lake.path, NAME, rows="__timestamp >= '2026-03-01T13:00:00+00:00'")
    assert late["__offset"].to_pylist() == [1, 2]


@pytest.mark.parametrize("mode", ["changelog", "state"])
def test_each_file_of_a_commit_is_a_sign_of_life(mode: str, tmp_path: Path) -> None:
    lake = Lake(tmp_path, mode=mode, roll_rows=1)
    signs: list[int] = []
    with closing(lake.sink()) as sink:
        sink.tell_with(lambda: signs.append(1))
        sink.open("lake")
        for number in range(3):
            sink.write([lake.topic.change("c", good(number, "a"))])
        assert not signs
        sink.commit({"next": 3})
    assert len(signs) == 4, "three files, and their table"


def test_a_state_has_the_rows_as_they_are_now(tmp_path: Path) -> None:
    lake = state(tmp_path)
    topic = lake.topic
    lake.load(*[topic.change("r", good(number, "first")) for number in range(6)])
    lake.load(
        topic.change("u", good(0, "second"), None),
        topic.change("d", None, good(1, None)),
        topic.change("d", None, good(2, None)),
        topic.change("c", good(2, "again"), None),
        topic.change("c", good(6, "new"), None),
        topic.change("d", None, good(6, None)),
    )
    assert lake.rows() == [
        good(0, "second"), good(2, "again"), good(3, "first"), good(4, "first"), good(5, "first"),
    ]  # fmt: skip
    lake.load(topic.change("t"), topic.change("c", good(9, "after")))
    assert lake.rows() == [good(9, "after")]


def test_a_truncate_before_all_else_is_none(tmp_path: Path) -> None:
    lake = state(tmp_path)
    lake.load(lake.topic.change("t"), lake.topic.change("t"))
    lake.load(lake.topic.change("t"), lake.topic.change("c", good(1, "a")))
    lake.load(lake.topic.change("u", good(1, "b")))
    assert lake.rows() == [good(1, "b")]


def test_another_key_is_the_key_from_then_on(tmp_path: Path) -> None:
    lake = state(tmp_path)
    inserts = [lake.topic.change("c", good(number, name)) for number, name in enumerate("abc")]
    lake.load(*inserts[:1])
    old = lake.topic.change("d", None, good(2, None))
    lake.topic.table = replace(GOODS, key=(1,))
    lake.load(
        *inserts[1:], old, lake.topic.change("u", good(3, "b")), lake.topic.change("d", None, {"id": 0, "name": "a"})
    )
    assert lake.rows() == [good(3, "b")]


def test_any_changes_make_the_state_that_a_dictionary_makes(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    choose = random.Random(seed)
    about = table({"id": schema("int64", optional=False), "name": schema("string"), "big": schema("string")})
    lake = state(tmp_path, about)
    truth: dict[int, dict[str, Any]] = {}
    for _ in range(5):
        deliveries = []
        for _ in range(choose.randrange(1, 30)):
            number = choose.randrange(8)
            row: dict[str, Any] = {"id": number, "name": f"{choose.random()}", "big": f"{choose.random()}"}
            match choose.choice("cuudpppt" if choose.random() < 0.1 else "cuudppp"):
                case "t":
                    truth.clear()
                    deliveries.append(lake.topic.change("t"))
                case "d":
                    truth.pop(number, None)
                    deliveries.append(lake.topic.change("d", None, {**row, "big": None}))
                case "p" if number in truth:  # an update that has not all values
                    truth[number] = {**row, "big": truth[number]["big"]}
                    told = (names("__tailrace.unavailable", "big"),)
                    deliveries.append(lake.topic.change("u", {**row, "big": "placeholder"}, None, headers=told))
                case op:
                    truth[number] = row
                    deliveries.append(lake.topic.change("c" if op == "p" else op, row))
        lake.load(*deliveries)
        assert lake.rows() == [truth[number] for number in sorted(truth)], f"seed {seed}"


def test_keys_of_several_columns_of_any_type(tmp_path: Path) -> None:
    columns = {
        "uid": schema("string", "io.debezium.data.Uuid", optional=False),
        "at": schema("int64", "io.debezium.time.Timestamp", optional=False),
        "name": schema("string"),
    }
    about = table(columns)
    lake = state(tmp_path, replace(about, key=(0, 1)))
    uid = "6f1b2c3d-0000-4000-8000-00000000000"
    rows: list[dict[str, Any]] = [
        {"uid": f"{uid}{number}", "at": NOON + at, "name": "a"} for number in range(2) for at in range(2)
    ]
    lake.load(*[lake.topic.change("c", row) for row in rows])
    lake.load(lake.topic.change("u", {**rows[1], "name": "b"}), lake.topic.change("d", None, rows[2]))
    assert sorted((str(row["uid"])[-1], row["at"].microsecond, row["name"]) for row in lake.rows("name")) == [
        ("0", 0, "a"), ("0", 1000, "b"), ("1", 1000, "a"),
    ]  # fmt: skip


def test_columns_are_added_dropped_and_widened(tmp_path: Path) -> None:
    lake = state(tmp_path, table({"id": schema("int32", optional=False), "old": schema("int16")}))
    lake.load(lake.topic.change("c", {"id": 1, "old": 7}), lake.topic.change("c", {"id": 2, "old": 8}))
    columns = {
        "id": schema("int64", optional=False),
        "price": schema("bytes", "org.apache.kafka.connect.data.Decimal", scale="2"),
    }
    lake.topic.table = table(columns)
    lake.load(
        lake.topic.change("c", {"id": 2**40, "price": Decimal("1.50")}),
        lake.topic.change("u", {"id": 2, "price": None}),
    )
    assert lake.rows() == [
        {"id": 1, "old": 7, "price": None}, {"id": 2, "old": None, "price": None},
        {"id": 2**40, "old": None, "price": Decimal("1.50")},
    ]  # fmt: skip


def test_rows_that_are_written_anew_keep_what_is_null_and_what_is_empty(tmp_path: Path) -> None:
    point = Schema("struct", name="io.debezium.data.geometry.Point", version=1, fields=(Field("x", Schema("float64")),))
    shape = {"id": schema("int64", optional=False), "way": Schema("array", items=point, optional=True)}
    lake = state(tmp_path, table(shape))
    ways: list[Value] = [None, [], [{"x": 0.5}], None]
    lake.load(*[lake.topic.change("c", {"id": number, "way": way}) for number, way in enumerate(ways)])
    lake.load(lake.topic.change("u", {"id": 3, "way": [{"x": 1.5}]}))
    ways[3] = [{"x": 1.5}]
    assert stored(lake.path, NAME).sort_by("id")["way"].to_pylist() == ways


def test_a_column_that_somebody_has_renamed_keeps_its_values(tmp_path: Path) -> None:
    lake = state(tmp_path)
    lake.load(lake.topic.change("c", good(1, "a")), lake.topic.change("c", good(2, "b")))
    rename(lake.path, NAME, "name", "title")
    lake.load(lake.topic.change("u", good(2, "c")))
    assert lake.rows() == [{"id": 1, "title": "a", "name": None}, {"id": 2, "title": None, "name": "c"}]


def decimal(precision: int, scale: int) -> Schema:
    told: dict[str, str] = {"scale": f"{scale}", "connect.decimal.precision": f"{precision}"}
    return replace(schema("bytes", "org.apache.kafka.connect.data.Decimal"), parameters=told)


@pytest.mark.parametrize(
    ("before", "after"),
    [((schema("string"), "x"), (schema("int64"), 1)), ((decimal(9, 2), Decimal("1.50")), (decimal(12, 4), Decimal(1)))],
    ids=["a number", "a scale"],
)
def test_a_type_that_is_at_odds_stops_the_task(before: Cell, after: Cell, tmp_path: Path) -> None:
    lake = Lake(tmp_path, table({"id": schema("int64", optional=False), "what": before[0]}))
    lake.load(lake.topic.change("c", {"id": 1, "what": before[1]}))
    lake.topic.table = table({"id": schema("int64", optional=False), "what": after[0]})
    with pytest.raises(Fatal, match=r"shop_public.goods cannot have the columns of topic shop.public.goods.*what"):
        lake.load(lake.topic.change("c", {"id": 2, "what": after[1]}))
    assert len(lake.rows("__offset")) == 1


def test_tables_without_a_key(tmp_path: Path) -> None:
    about = table({"id": schema("int64", optional=False), "name": schema("string")}, key=False)
    lake = state(tmp_path, about)
    changes = [lake.topic.change("c", good(1, "a")), lake.topic.change("c", good(1, "a"))]
    lake.load(*changes, lake.topic.change("u", good(1, "b")), lake.topic.change("d", None, good(1, "a")))
    assert lake.rows() == [good(1, "a"), good(1, "a")]
    assert [offset for offset, _ in lake.refused] == [2, 3]
    refusing = state(tmp_path / "refusing", about, without_key="refuse")
    refusing.load(refusing.topic.change("c", good(1, "a")))
    assert refusing.refused == [(0, "table of shop.public.goods has no key")]


def test_a_commit_that_died_between_tables_is_finished_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    first, second = (
        lake.topic,
        Topic(tmp_path / "registry", table({"id": schema("int64", optional=False)}, topic="shop.public.others")),
    )
    records = [first.change("c", good(1, "a")), second.change("c", {"id": 1}), first.change("c", good(2, "a"))]
    with closing(lake.sink()) as sink:
        sink.open("lake")
        sink.write(records)
        bring = sink._tables._apply
        monkeypatch.setattr(
            sink._tables, "_apply", lambda topic, files: bring(topic, files) if topic.endswith("goods") else die()
        )
        with pytest.raises(KeyboardInterrupt):
            sink.commit({"next": 3})
    assert len(lake.rows("__offset")) == 2
    assert not table_rows(lake.path, "shop_public.others", "__offset")
    with closing(lake.sink()) as sink:
        assert sink.open("lake") is None
        sink.write(records)
        sink.commit({"next": 3})
    assert [row["__offset"] for row in lake.rows("__offset")] == [0, 1]
    assert [row["__offset"] for row in table_rows(lake.path, "shop_public.others", "__offset")] == [0]


def die() -> None:
    raise KeyboardInterrupt


def test_a_writer_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with closing(lake.sink()) as old, closing(lake.sink(spool=tmp_path / "elsewhere")) as new:
        record = lake.topic.change("c", good(1, "a"))
        old.open("lake")
        old.write([record])
        new.open("lake")
        new.write([record])
        with pytest.raises(Retriable, match="another writer has taken the tables over"):
            old.commit({"next": 1})
        # Even where he was about to commit: the table itself has changed under him.
        old._tables._catalogue.confirm = lambda: None  # type: ignore[method-assign]
        new.commit({"next": 1})
        with pytest.raises(Retriable, match=r"commit to table shop_public.goods"):
            old.commit({"next": 1})
    assert len(lake.rows("__offset")) == 1


def test_after_a_reset_all_comes_again(tmp_path: Path) -> None:
    lake = state(tmp_path)
    records = [lake.topic.change("c", good(number, "a")) for number in range(3)]
    lake.load(*records)
    sink = lake.sink()
    assert sink.position("lake") == {"next": 3}
    sink.set_position("lake", None)
    assert lake.load(lake.topic.change("u", good(2, "b")), *records[:2]) is None
    assert lake.rows() == [good(0, "a"), good(1, "a"), good(2, "b")]


def test_a_table_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path, namespace="shop")
    lake.load(lake.topic.change("c", good(1, "a")))
    other = Topic(tmp_path / "registry", table({"id": schema("int64", optional=False)}, topic="shop.sales.goods"))
    with pytest.raises(ConfigError, match=r"table shop.goods belongs to the topic shop.public.goods"):
        lake.load(other.change("c", {"id": 1}))


def test_what_cannot_be_a_row_is_rejected(tmp_path: Path) -> None:
    lake = state(tmp_path)
    sound = lake.topic.change("c", good(1, "a"))
    broken = lake.topic.raw(sound.record.key, (sound.record.value or b"")[:-3])
    moved = lake.topic.change(
        "c", good(2, "x"), headers=(("__debezium.oldkey", b""), names("__tailrace.unavailable", "name"))
    )
    lake.load(sound, broken, lake.topic.raw(None, b'{"no": "avro"}'), moved)
    assert sorted(offset for offset, _ in lake.refused) == [1, 2, 3]
    assert lake.rows() == [good(1, "a")]


def test_a_default_rejection_stops_the_sink(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    sink = IcebergSink("lake", IcebergConfig.model_validate(lake.settings))
    with closing(sink), pytest.raises(BadRecord):
        sink.open("lake")
        sink.write([lake.topic.raw(None, b"{}")])


def test_check_makes_a_table_and_drops_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert [finding.ok for finding in lake.sink().check()] == [True]
    wrong = lake.sink(catalog={"uri": f"sqlite:///{tmp_path}/nowhere/catalog.db"}).check()
    assert [finding.ok for finding in wrong] == [False]
    assert "unable to open database file" in wrong[0].what
