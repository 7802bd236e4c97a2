"""Names that are made, globs that choose, keys that are chosen."""

from __future__ import annotations

import pytest

from tailrace_postgres.catalog import CatalogColumn, CatalogTable, Index, chosen
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.lsn import format_lsn, parse_lsn
from tailrace_postgres.order import array_literal
from tailrace_postgres.pgoutput import Relation, RelationColumn
from tailrace_postgres.publication import publication_name
from tailrace_postgres.slot import slot_name
from tailrace_postgres.table import key_of

CONFIG = PostgresConfig.model_validate({"url": "postgresql:///"})


@pytest.mark.parametrize(
    ("connector", "name"),
    [
        ("shop", "tailrace_db_shop"),
        ("Shop-1.x", "tailrace_db_shop_1_x"),
        ("ü" * 80, "tailrace_db_" + "_" * 42 + "_6aec5a57"),
    ],
)
def test_slot_names_are_ones_that_postgres_takes(connector: str, name: str) -> None:
    assert slot_name(CONFIG, connector, "db") == name


def test_long_slot_names_differ() -> None:
    names = {slot_name(CONFIG, "x" * 80 + end, "db") for end in "abc"}
    assert [len(name) for name in names] == [63, 63, 63]


def test_given_names_are_used() -> None:
    config = PostgresConfig.model_validate({"url": "postgresql:///", "slot": "s", "publication": "p"})
    assert (slot_name(config, "shop", "db"), publication_name(config, "shop")) == ("s", "p")
    assert publication_name(CONFIG, "Shop") == "tailrace_Shop"


@pytest.mark.parametrize(
    ("table", "tables", "exclude", "wanted"),
    [
        ("public.a", ["*"], [], True),
        ("public.a", ["public.*"], ["*.a"], False),
        ("public.A", ["public.a"], [], False),
        ("other.a", ["public.*"], [], False),
        ("public.a1", ["public.a[0-9]"], [], True),
    ],
)
def test_globs(table: str, tables: list[str], exclude: list[str], wanted: bool) -> None:
    assert chosen(table, tables, exclude) is wanted


def test_lsns() -> None:
    assert parse_lsn("16/B374D848") == 0x16B374D848
    assert format_lsn(0x16B374D848) == "16/B374D848"
    assert format_lsn(parse_lsn("FFFFFFFF/FFFFFFFF")) == "FFFFFFFF/FFFFFFFF"


def test_array_literals() -> None:
    assert array_literal(['a"b', "c\\d", "", "NULL"]) == '{"a\\"b","c\\\\d","","NULL"}'


def column(name: str, *, not_null: bool = True) -> CatalogColumn:
    return CatalogColumn(name, 23, -1, not_null, None, "", "", "integer", False)


def table(identity: str, *indexes: Index, nullable: str = "") -> CatalogTable:
    columns = tuple(column(name, not_null=name not in nullable) for name in "abc")
    return CatalogTable(1, "public", "t", "r", identity, columns, indexes, 0, "")


PRIMARY = Index("pk", ("b", "a"), primary=True, identity=False)


@pytest.mark.parametrize(
    ("found", "key"),
    [
        (table("d", PRIMARY), ("b", "a")),
        (table("f", PRIMARY), ("b", "a")),
        (table("n", PRIMARY), ("b", "a")),
        (table("d"), ()),
        (table("d", Index("u", ("c",), False, False)), ("c",)),
        (table("d", Index("u", ("c",), False, False), nullable="c"), ()),
        (table("i", PRIMARY, Index("u", ("c",), False, True)), ("c",)),
        (table("i", PRIMARY, Index("u", ("a", "b", "c"), False, True)), ("b", "a")),
        (table("d", Index("pk", ("hidden",), True, False)), ()),
    ],
)
def test_keys_of_the_catalogue(found: CatalogTable, key: tuple[str, ...]) -> None:
    assert found.key() == key


def relation(identity: str, marked: str) -> Relation:
    return Relation(1, "public", "t", identity, tuple(RelationColumn(n in marked, n, 23, -1) for n in "abc"))


@pytest.mark.parametrize(
    ("message", "now", "key"),
    [
        (relation("d", "ab"), table("d", PRIMARY), ("b", "a")),
        (relation("d", "c"), table("d", PRIMARY), ("c",)),  # the key was another one then
        (relation("d", "ab"), None, ("a", "b")),
        (relation("f", "abc"), table("f", PRIMARY), ("b", "a")),
        (relation("f", "abc"), None, ()),
        (relation("n", ""), table("n", PRIMARY), ("b", "a")),
        (relation("i", "c"), table("i", PRIMARY, Index("u", ("c",), False, True)), ("c",)),
        (relation("i", "abc"), table("i", PRIMARY, Index("u", ("a", "b", "c"), False, True)), ("b", "a")),
    ],
)
def test_keys_of_the_stream(message: Relation, now: CatalogTable | None, key: tuple[str, ...]) -> None:
    assert key_of(message, now) == key
