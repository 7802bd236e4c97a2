"""Columns that are left out, masked, hashed and truncated; the rules that cannot be followed."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import fastavro
import pytest
from pydantic import ValidationError

from databases.debezium.oracle import reader_schema
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.envelope import value_schema
from tailrace.codec.projection import Projection
from tailrace.codec.registry_store import BundledRegistry
from tailrace.columns import ColumnRules
from tailrace.errors import Fatal
from tailrace.event import Column, Table
from tailrace.schema import UNAVAILABLE, Schema
from unit.codec.shop import ID, NOW_NS, change, column, config, table, text, wire

SALT = "pepper"
NOTES = Column("notes", Schema("string", "io.debezium.data.Json", 1, optional=True, default="{}"), text, "unsent")
USERS = table(ID, Column("email", Schema("string", default="nobody@example.com"), text, "unsent", "text"), NOTES)


def projected(of: Table = USERS, /, **rules: object) -> Table:
    return Projection(ColumnRules.model_validate(rules)).table(of)


def hashed(value: str) -> str:
    return hashlib.sha256((SALT + value).encode()).hexdigest()


def test_without_rules_a_table_is_itself() -> None:
    assert projected() is USERS
    assert not USERS.hides


def test_columns_are_left_out_of_schema_and_rows() -> None:
    told = projected(exclude=["*.email"])
    assert [field.name for field in value_schema(told).fields] == ["id", "notes"]
    assert told.on_the_wire == [0, None, 1]
    assert told.hides
    seen = change(told, "u", wire(1, "old", None), wire(1, "secret", "n"))
    assert (seen.before, seen.after) == ({"id": 1, "notes": None}, {"id": 1, "notes": "n"})


def test_included_are_the_named_columns_and_the_key() -> None:
    assert [column.name for column in projected(include=["public.users.notes"]).columns] == ["id", "notes"]
    assert [column.name for column in projected(include=["public.*.e*"], exclude=["*.email"]).columns] == ["id"]


def test_the_key_stays_the_key_when_columns_before_it_are_gone() -> None:
    told = projected(table(NOTES, USERS.columns[1], ID, key=(2,)), exclude=["*.notes"])
    assert [told.columns[place].name for place in told.key] == ["id"]
    assert told.on_the_wire == [None, 0, 1]


@pytest.mark.parametrize(
    ("rules", "email", "parameters", "default"),
    [
        ({"mask": {"*.email": 5}}, "*****", {"masked": "true"}, "*****"),
        ({"mask": {"*.email": 0}}, "", {"masked": "true"}, ""),
        ({"truncate": {"*.email": 3}}, "jör", {"truncateLength": "3"}, "nob"),
        (
            {"hash": {"*.email": {"salt": SALT}}},
            hashed("jörg@example.com"), {"masked": "true"}, hashed("nobody@example.com"),
        ),
    ],
)  # fmt: skip
def test_disguises(rules: dict[str, object], email: str, parameters: dict[str, str], default: str) -> None:
    told = projected(**rules)
    seen = change(told, "u", wire(1, "jörg@example.com", None), wire(1, "jörg@example.com", "n"))
    assert seen.before == {"id": 1, "email": email, "notes": None}
    assert seen.after == {"id": 1, "email": email, "notes": "n"}
    assert told.columns[1].schema == Schema("string", parameters=parameters, default=default)


def test_a_hash_is_shortened_to_the_length_of_its_column() -> None:
    short = replace(USERS.columns[1], length=10)
    rule = {"*.email": {"algorithm": "md5", "salt": SALT}}
    told = projected(table(ID, short), hash=rule)
    assert told.columns[1].decode(b"a") == hashlib.md5(b"peppera").hexdigest()[:10]
    assert projected(table(ID, short), truncate={"*.email": 10}).columns[1] is short


def test_nulls_stay_null_and_unsent_values_unsent() -> None:
    told = projected(mask={"*.notes": 3})
    seen = change(told, "u", wire(1, "a", None), wire(1, "a", UNAVAILABLE))
    assert (seen.before or {})["notes"] is None
    assert (seen.after or {})["notes"] is UNAVAILABLE
    assert told.columns[2].placeholder == "***"
    assert told.columns[2].schema.optional
    assert projected(hash={"*.notes": {"salt": SALT}}).columns[2].placeholder == "unsent"


def test_a_disguise_has_no_semantic_name() -> None:
    assert projected(truncate={"*.notes": 9}).columns[2].schema == Schema(
        "string", parameters={"truncateLength": "9"}, optional=True, default="{}"
    )


def test_keys_can_be_hashed() -> None:
    code = column("code", Schema("string"))
    told = projected(table(code), hash={"public.users.code": {"salt": SALT}})
    assert told.columns[0].decode(b"a") == hashed("a")


CODE = Column("code", Schema("string"), text, length=20)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"exclude": ["*.code"]}, "columns.exclude *.code would leave public.users.code out"),
        ({"mask": {"*.code": 3}}, "columns.mask *.code would give different rows the same key"),
        ({"truncate": {"*.code": 3}}, "columns.truncate *.code would give different rows the same key"),
        ({"hash": {"*.code": {"salt": SALT}}}, "64 digits do not fit its 20 characters"),
        ({"mask": {"*.size": 3}}, "cannot disguise public.users.size: it is no text but int32"),
        ({"hash": {"*.day": {"salt": SALT}}}, "it is no text but io.debezium.time.Date"),
        ({"mask": {"*.name": 3}, "truncate": {"*.n*": 3}}, "columns.mask *.name and columns.truncate *.n* both match"),
    ],
)
def test_rules_that_cannot_be_followed(rules: dict[str, object], words: str) -> None:
    size, day = column("size", Schema("int32")), column("day", Schema("int32", "io.debezium.time.Date", 1))
    with pytest.raises(Fatal) as caught:
        projected(table(CODE, size, day, column("name", Schema("string"))), **rules)
    assert words in caught.value.message
    assert caught.value.hint


def test_patterns_that_match_nothing() -> None:
    rules = ColumnRules.model_validate({"exclude": ["*.password"], "mask": {"public.users.email": 3, "a.b.c": 1}})
    assert Projection(rules).unmatched(["public.users.email"]) == ["columns.exclude *.password", "columns.mask a.b.c"]


@pytest.mark.parametrize(
    "rules",
    [
        {"hash": {"*.a": {}}}, {"hash": {"*.a": {"salt": ""}}}, {"hash": {"*.a": {"salt": "s", "algorithm": "crc"}}},
        {"mask": {"*.a": -1}}, {"truncate": {"*.a": 0}}, {"masks": {}},
    ],
)  # fmt: skip
def test_settings_that_are_wrong(rules: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ColumnRules.model_validate(rules)


def test_a_salt_is_not_shown() -> None:
    rules = ColumnRules.model_validate({"hash": {"*.a": {"salt": SALT}}})
    assert SALT not in repr(rules)
    assert SALT not in rules.model_dump_json()


@pytest.mark.parametrize("format_", ["avro", "json", "json_schema"])
def test_no_format_has_the_clear_text(tmp_path: Path, format_: str) -> None:
    told = projected(exclude=["*.notes"], hash={"*.email": {"salt": SALT}})
    encoder = ChangeEncoder(BundledRegistry(tmp_path), config(format=format_), clock=lambda: NOW_NS)
    records = encoder.encode(
        [
            change(told, "u", wire(1, "secret", "secret"), wire(1, "secret", "secret")),
            change(told, "u", wire(1, "secret", None), wire(2, "secret", UNAVAILABLE), moved=True),
            change(told, "d", wire(1, "secret", "secret"), None),
        ]
    )
    assert len(records) == 6
    everything = b"".join(
        (record.key or b"") + (record.value or b"") + repr(record.headers).encode() for record in records
    )
    assert b"secret" not in everything
    assert hashed("secret").encode() in everything
    registered = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"nobody" not in registered + everything


def test_readers_of_avro_see_the_disguise(tmp_path: Path) -> None:
    told = projected(exclude=["*.notes"], truncate={"*.email": 4})
    registry = BundledRegistry(tmp_path)
    encoder = ChangeEncoder(registry, config(), clock=lambda: NOW_NS)
    [record] = encoder.encode([change(told, "c", None, wire(7, "jörg@example.com", "x"))])
    assert record.value is not None
    schema = registry.by_id(int.from_bytes(record.value[1:5], "big"))
    value = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), reader_schema(schema), None)
    assert isinstance(value, dict)
    assert value["after"] == {"id": 7, "email": "jörg"}
    assert "notes" not in json.dumps(schema)
