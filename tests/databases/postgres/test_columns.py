"""Columns that are left out or disguised: nothing that comes out of a capture has what they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import structlog

from crash.worker import Worker
from databases.postgres.capture import Capture
from servers.postgres import Database
from tailrace.codec.decoder import Decoder
from tailrace.errors import Fatal
from tailrace.event import NarrowFormat
from tailrace.log.store.backend import BundledLog
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.source import PostgresSource

SALT = "pepper"
RULES: dict[str, Any] = {
    "exclude": ["public.users.password", "*.photo"],
    "mask": {"public.users.email": 4},
    "hash": {"*.ssn": {"algorithm": "sha256", "salt": SALT}},
    "truncate": {"*.notes": 6},
}
TABLES = (
    """CREATE TABLE users (id int PRIMARY KEY, password text NOT NULL DEFAULT 'cleardefault',
    email varchar(40) NOT NULL DEFAULT 'cleardefault', ssn text, notes text, photo bytea, city text)""",
    "CREATE TABLE owners (ssn text PRIMARY KEY, car text)",
    "ALTER TABLE users REPLICA IDENTITY FULL",
    "ALTER TABLE users ALTER notes SET STORAGE EXTERNAL, ALTER email SET STORAGE EXTERNAL",
)
CLEAR = [b"cleardefault", b"clearword", b"clear@mail", b"clearssn", b"nclear", b"636c656172"]
"""What is in the database, and nowhere else."""


def rows(number: int) -> list[str]:
    return [
        f"INSERT INTO users VALUES ({number}, 'clearword', 'clear@mail', 'clearssn', 'Größenclear', 'clear', 'Ulm')",
        f"INSERT INTO owners VALUES ('clearssn{number}', 'car')",
    ]


def digest(text: str) -> str:
    return hashlib.sha256((SALT + text).encode()).hexdigest()


TOLD = {"email": "****", "ssn": digest("clearssn"), "notes": "Größen", "city": "Ulm"}
CHANGES = [
    "UPDATE users SET city = 'Bern' WHERE id = 1",
    "UPDATE users SET id = 3 WHERE id = 2",
    "DELETE FROM users WHERE id = 3",
    "UPDATE users SET ssn = NULL, notes = NULL WHERE id = 1",
    "UPDATE owners SET ssn = 'clearssn9' WHERE ssn = 'clearssn1'",
    "DELETE FROM owners WHERE ssn = 'clearssn2'",
]


def test_whoever_looks_at_a_change_sees_the_disguise(postgres: Database) -> None:
    postgres.execute(*TABLES, *rows(1))
    with Capture(postgres.url, columns=RULES) as capture:
        capture.open().catch_up()
        postgres.execute(*rows(2), *CHANGES)
        capture.reopen()
        changes = [change for change in capture.changes if change.table.id == "public.users"]
        owners = [change for change in capture.changes if change.table.id == "public.owners"]
    assert [(change.op, change.before, change.after) for change in changes] == [
        ("r", None, {"id": 1, **TOLD}),
        ("c", None, {"id": 2, **TOLD}),
        ("u", {"id": 1, **TOLD}, {"id": 1, **TOLD, "city": "Bern"}),
        ("u", {"id": 2, **TOLD}, {"id": 3, **TOLD}),
        ("d", {"id": 3, **TOLD}, None),
        ("u", {"id": 1, **TOLD, "city": "Bern"}, {"id": 1, **TOLD, "city": "Bern", "ssn": None, "notes": None}),
    ]
    keys = [((change.before or {}).get("ssn"), (change.after or {}).get("ssn")) for change in owners]
    first, second, last = (digest(f"clearssn{number}") for number in (1, 2, 9))
    assert keys == [(None, first), (None, second), (first, last), (second, None)]
    assert [change.moved for change in owners] == [False, False, True, False]
    assert not [change for change in changes if "cleardefault" in repr(change.table.columns)]


def test_large_values_that_an_update_left_alone(postgres: Database) -> None:
    postgres.execute(*TABLES, "ALTER TABLE users REPLICA IDENTITY DEFAULT")
    large = "repeat('clearword', 400)"
    with Capture(postgres.url, columns=RULES) as capture:
        capture.open().catch_up()
        postgres.execute("ALTER TABLE users ALTER email TYPE text")
        postgres.execute(f"INSERT INTO users (id, password, email, notes) VALUES (1, {large}, {large}, {large})")
        postgres.execute("UPDATE users SET city = 'Ulm'")
        capture.reopen()
        inserted, updated = capture.changes
    assert dict(inserted.after or {}) == {
        "id": 1, "email": "****", "ssn": None, "notes": "clearw", "city": None
    }  # fmt: skip
    (email,) = [column for column in updated.table.columns if column.name == "email"]
    assert email.placeholder == "****"
    assert "clear" not in repr(updated.after)


@pytest.mark.parametrize("format_", ["avro", "json"])
def test_the_log_does_not_have_it(postgres: Database, tmp_path: Path, format_: str) -> None:
    postgres.execute(*TABLES, *rows(1))
    options = {"columns": RULES, "format": format_, "errors": "dead_letter", "slot": "tailrace_columns"}
    worker = Worker(tmp_path, postgres.url, ("public.*",), options)
    worker.write_config()
    worker.start("--until-current")
    assert worker.wait(timeout=240) == 0, worker.last_words()
    postgres.execute(*rows(2), *CHANGES)
    worker.start("--until-current")
    assert worker.wait(timeout=240) == 0, worker.last_words()
    files = [path for path in worker.log_path.rglob("*") if path.is_file()]
    everything = b"".join(path.read_bytes() for path in (*files, worker.output))
    # Snappy, lz4 and zstd would hide it: the log is not compressed unless told.
    assert digest("clearssn").encode() in everything
    assert [clear for clear in CLEAR if clear in everything] == []
    if format_ == "avro":
        log = BundledLog.at(worker.log_path)
        decoder = Decoder(log.registry())
        told = [decoder.value(record.value) for record in log.records("crash.public.users", 0, 0)]
        assert isinstance(told[0], dict)
        assert told[0]["after"] == {"id": 1, **TOLD}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"exclude": ["*.id"]}, "columns.exclude *.id would leave public.t.id out"),
        ({"mask": {"public.t.*": 4}}, "cannot disguise public.t.id: it is no text but int32"),
        ({"hash": {"*.code": {"salt": "s"}}}, "64 digits do not fit its 8 characters"),
    ],
)
def test_rules_that_cannot_be_followed_are_told_at_the_start(
    postgres: Database, rules: dict[str, object], words: str
) -> None:
    postgres.execute("CREATE TABLE t (id int, code varchar(8), v text, PRIMARY KEY (id, code))")
    with Capture(postgres.url, columns=rules) as capture, pytest.raises(Fatal) as caught:
        capture.open()
    assert words in caught.value.message
    source = PostgresSource("shop", PostgresConfig.model_validate({"url": postgres.url, "columns": rules}))
    faults = [finding for finding in source.check() if words in finding.what]
    assert [(fault.ok, bool(fault.mend)) for fault in faults] == [(False, True)]


def test_a_column_that_becomes_a_number_stops_the_capture(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, pin text)")
    with Capture(postgres.url, columns={"mask": {"*.pin": 4}}) as capture:
        capture.open().catch_up()
        postgres.execute("ALTER TABLE t ALTER pin TYPE int USING 1", "INSERT INTO t VALUES (1, 1234)")
        with pytest.raises(Fatal, match=r"columns\.mask"):
            capture.run(lambda: bool(capture.changes))


def test_patterns_without_a_column_are_told(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text, w text)")
    rules = {"exclude": ["*.pasword"], "mask": {"public.t.v": 3}}
    config = PostgresConfig.model_validate({"url": postgres.url, "columns": rules})
    unpublished = [finding for finding in PostgresSource("shop", config).check() if "columns" in finding.what]
    with structlog.testing.capture_logs() as logs, Capture(postgres.url, columns=rules) as capture:
        capture.open()
        published = [finding for finding in capture.source.check() if "columns" in finding.what]
    assert [log["patterns"] for log in logs if log["log_level"] == "warning" and "patterns" in log] == [
        ["columns.exclude *.pasword"]
    ]
    expected = [
        (False, "columns.exclude *.pasword matches no column of a captured table"),
        (True, "columns of public.t: left out: none; disguised: v"),
    ]
    for findings in (unpublished, published):
        assert [(finding.ok, finding.what) for finding in findings] == expected


@pytest.mark.parametrize("binary", ["auto", "never"])
def test_the_snapshot_does_not_read_what_is_left_out(postgres: Database, binary: str) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text, w text)",
        "INSERT INTO t VALUES (1, 'v', 'w'), (2, 'v', 'w')",
    )
    with Capture(postgres.url, columns={"exclude": ["*.v"]}, binary=binary) as capture:
        capture.open().catch_up()
    for change in capture.changes:
        assert isinstance(change.table.format, NarrowFormat)
        assert change.table.format.whole.cells(change.after_wire or b"")[1] is None
    assert [dict(change.after or {}) for change in capture.changes] == [{"id": 1, "w": "w"}, {"id": 2, "w": "w"}]
