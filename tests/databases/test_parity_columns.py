"""Debezium's options for columns and our `columns`: the same schemas and the same values."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from databases.debezium import install
from databases.debezium.oracle import Debezium, DebeziumRun
from databases.debezium.pair import PREFIX, Tailrace, TailraceRun
from servers.postgres import Database

TOPIC = f"{PREFIX}.app.people"
THEIRS = {
    "column.exclude.list": r"app\.people\.secret",
    "column.mask.with.5.chars": r"app\.people\.(email|city)",
    "column.mask.hash.v2.SHA-256.with.salt.pepper": r"app\.people\.(id|ssn|code|zip)",
    "column.truncate.to.4.chars": r"app\.people\.(notes|long|tight)",
}
HASH = {"algorithm": "sha256", "salt": "pepper"}
OURS = {
    "exclude": ["app.people.secret"],
    "mask": {"*.email": 5, "*.city": 5},
    "hash": {"app.people.id": HASH, "*.ssn": HASH, "*.code": HASH, "*.zip": HASH},
    "truncate": {"*.notes": 4, "*.long": 4, "*.tight": 4},
}
TABLE = """
CREATE TABLE app.people (id text PRIMARY KEY, secret bytea, email varchar(40) NOT NULL, city text, ssn text,
  code varchar(10) NOT NULL, zip char(6), notes text, long varchar(80) NOT NULL, tight varchar(3), age int)
"""
ROW = """INSERT INTO app.people VALUES
 ('{0}', 'secret', 'jo@example.com', 'Köln', 'ssn ü{0}', 'code', 'zip', 'größer', 'longer', 'abc', 7)"""
CHANGES = (
    "UPDATE app.people SET age = 8, notes = NULL, zip = NULL, ssn = NULL, tight = NULL WHERE id = 'a'",
    "UPDATE app.people SET id = 'c', notes = 'x', ssn = '' WHERE id = 'a'",
    "DELETE FROM app.people WHERE id = 'b'",
)

pytestmark = [pytest.mark.java, pytest.mark.slow]


@pytest.fixture(autouse=True)
def java() -> None:
    if missing := install.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


def told(run: DebeziumRun | TailraceRun) -> list[object]:
    """Return operation and rows of each record, and None for a tombstone."""
    values = [run.decode(record.value) for record in run.of(TOPIC)]
    return [{name: value[name] for name in ("op", "before", "after")} if isinstance(value, dict) else value
            for value in values]  # fmt: skip


def keys(run: DebeziumRun | TailraceRun) -> list[object]:
    return [run.decode(record.key) for record in run.of(TOPIC)]


@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_the_same_disguises(postgres: Database, tmp_path: Path) -> None:
    postgres.execute("CREATE SCHEMA app", TABLE, "ALTER TABLE app.people REPLICA IDENTITY FULL", ROW.format("a"))
    oracle = Debezium(postgres.url, prefix=PREFIX, tables=[r"app\.people"], settings=THEIRS)
    with oracle as debezium, Tailrace(postgres.url, tmp_path, columns=OURS) as tailrace:
        tailrace.wait(lambda run: len(run.of(TOPIC)) >= 1)
        debezium.wait(lambda run: len(run.of(TOPIC)) >= 1)
        postgres.execute(ROW.format("b"), *CHANGES)
        tailrace.wait(lambda run: len(run.of(TOPIC)) >= 8)
        debezium.wait(lambda run: len(run.of(TOPIC)) >= 8)
    [ours] = tailrace.run.registry.versions(f"{TOPIC}-value")
    assert ours.schema == debezium.run.schema(f"{TOPIC}-value")
    assert told(tailrace.run) == told(debezium.run)
    # Debezium's keys are in the clear; ours are what the rows have.
    clear = ["a", "b", "a", "a", "a", "c", "b", "b"]
    assert keys(debezium.run) == [{"id": key} for key in clear]
    assert keys(tailrace.run) == [{"id": hashlib.sha256(f"pepper{key}".encode()).hexdigest()} for key in clear]
