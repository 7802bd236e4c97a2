"""What MySQL's and MariaDB's errors mean to a replica; and where the file of a url lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pymysql
import pytest

from tailrace.config.validation import validate
from tailrace.errors import Fatal, Retriable
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.mysql_fault import meaning, refuses_row

ALTERED = "Table definition has changed, please retry transaction"


@pytest.mark.parametrize(
    ("code", "told"),
    [(1412, ALTERED), (1020, "Record has changed since last read"), (1213, "Deadlock found"), (1050, "already exists")],
)
def test_what_another_try_mends(code: int, told: str) -> None:
    error = meaning("write to table items", pymysql.err.OperationalError(code, told))
    assert isinstance(error, Retriable)
    assert not error.patient
    assert error.message == f"write to table items: the server says: {told} ({code})"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ((1114, "The table 'items' is full"), "room"),
        ((1030, 'Got error 28 "No space left on device" from storage engine InnoDB'), "room"),
        ((3, "Error writing file (Errcode: 28)"), "room"),
        ((1040, "Too many connections"), "room"),
        ((1290, "The server is running with the --read-only option"), "primary"),
        ((2013, "Lost connection to server during query"), "is the server up"),
        ((1927, "Connection was killed"), "is the server up"),
        (("Packet sequence number wrong - got 1 expected 2",), "is the server up"),
        ((), "is the server up"),
    ],
)
def test_what_is_waited_for(arguments: tuple[Any, ...], hint: str) -> None:
    error = meaning("commit", pymysql.err.InternalError(*arguments))
    assert isinstance(error, Retriable)
    assert error.patient
    assert hint in error.hint


@pytest.mark.parametrize(("code", "hint"), [(1045, "password"), (1130, "hosts"), (1142, "grant"), (3159, "ssl-ca")])
def test_what_an_operator_has_to_mend(code: int, hint: str) -> None:
    error = meaning("connect to the replica", pymysql.err.OperationalError(code, "denied"))
    assert isinstance(error, Fatal)
    assert hint in error.hint


def test_a_storage_engine_that_fails_otherwise_stops_the_task() -> None:
    assert isinstance(meaning("write", pymysql.err.OperationalError(1030, "Got error 122 from storage engine")), Fatal)


def test_which_errors_are_about_a_row() -> None:
    assert refuses_row(pymysql.err.DataError(1406, "Data too long"))
    assert refuses_row(pymysql.err.OperationalError(1292, "Incorrect datetime value"))
    assert not refuses_row(pymysql.err.OperationalError(1213, "Deadlock found"))


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("sqlite:shop.db", "sqlite:/etc/tailrace/shop.db"),
        ("duckdb:../shop.duckdb", "duckdb:/etc/tailrace/../shop.duckdb"),
        ("sqlite:///srv/shop.db", "sqlite:/srv/shop.db"),
        ("duckdb:/srv/shop.duckdb", "duckdb:/srv/shop.duckdb"),
        ("mysql://me:sqlite:x@host/shop", "mysql://me:sqlite:x@host/shop"),
    ],
)
def test_files_of_urls_are_taken_from_the_config_files_folder(url: str, taken: str) -> None:
    block = {"type": "replica", "topics": ["*"], "url": url}
    config = validate(ReplicaConfig, block, "sinks.warehouse", folder=Path("/etc/tailrace"))
    assert config.url.get_secret_value() == taken
