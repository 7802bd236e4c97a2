"""The schema history in its topic: kept, read again, set back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tailrace.errors import Fatal
from tailrace.event import Message
from tailrace.source import Recalled
from tailrace.testing.memory import MemorySink
from tailrace_mysql.declaration import DeclaredDatabase
from tailrace_mysql.history import History, history_topic
from tailrace_mysql.statement import Dialect

STATEMENTS = (
    "CREATE DATABASE shop CHARSET latin1",
    "CREATE TABLE t (a int PRIMARY KEY, b varchar(9) DEFAULT 'x', c enum('p','q'))",
    "ALTER TABLE t ADD d decimal(20,4) UNSIGNED DEFAULT 1.5 COMMENT 'price'",
    "CREATE TABLE u LIKE t",
    "RENAME TABLE t TO v",
    "ALTER TABLE u ADD e nonsense",
    "DROP TABLE v",
)


def follow(history: History, statements: Sequence[str]) -> list[Message]:
    messages = []
    for statement in statements:
        applied = history.apply(statement, "shop", Dialect())
        messages += [history.message(entry, statement, 1_700_000_000_000) for entry in applied.entries]
    return messages


def recalled(messages: Sequence[Message], version: int | None = None) -> History:
    history = History("shop")
    history.recall([Recalled(message.key, message.value) for message in messages], version)
    return history


def test_the_topic_gives_the_state_at_every_position() -> None:
    told: list[Message] = []
    history = History("shop")
    for statement in STATEMENTS:
        told += follow(history, [statement])
        again = recalled(told)
        assert list(again.tables) == list(history.tables)
        assert again.version == history.version == len(told)


def test_a_position_before_the_end_has_its_own_state() -> None:
    history = History("shop")
    told = follow(history, STATEMENTS[:2])
    version, tables = history.version, list(history.tables)
    told += follow(history, STATEMENTS[2:])
    assert list(recalled(told, version).tables) == tables


def test_what_followed_a_position_that_was_set_back_counts_no_longer() -> None:
    history = History("shop")
    told = follow(history, STATEMENTS[:3])
    follow_up = follow(history, STATEMENTS[3:])
    back = recalled([*told, *follow_up], len(told))
    other = follow(back, ["CREATE TABLE w (a int)"])
    assert list(recalled([*told, *follow_up, *other]).tables) == list(back.tables)


def test_a_version_that_the_topic_lacks_stops_the_source() -> None:
    with pytest.raises(Fatal, match="has no version 7") as caught:
        recalled([], 7)
    assert "new snapshot" in caught.value.hint
    assert recalled([], 0).version == 0


def test_tables_found_on_the_server_are_kept_as_well() -> None:
    history = History("shop")
    made = History("other")
    follow(made, STATEMENTS[:2])
    table = made.table("shop", "t")
    assert table is not None
    entries = [history.put(DeclaredDatabase("shop", "latin1")), history.put(table)]
    again = recalled([history.message(entry, None, 0) for entry in entries])
    assert again.table("shop", "t") == table
    follow(again, ["CREATE TABLE n (a char(1))"])
    inherited = again.table("shop", "n")
    assert inherited is not None
    assert inherited.columns[0].charset == "latin1"


def test_committed_messages_alone_are_recalled() -> None:
    sink: MemorySink[Message] = MemorySink()
    history = History("shop")
    told = follow(history, STATEMENTS[:2])
    sink.open("shop")
    sink.write(told)
    sink.commit({"version": history.version})
    sink.write(follow(history, STATEMENTS[2:3]))
    sink.close()
    again = History("shop")
    again.recall(sink.recall(history_topic("shop")), 2)
    assert again.version == 2
