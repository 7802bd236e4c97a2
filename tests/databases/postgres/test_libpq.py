"""Messages of COPY by libpq's own functions: the same as by psycopg, and the same errors."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from servers.postgres import Database
from tailrace.core.copytext import drain_rows
from tailrace.core.messages import Tap
from tailrace.core.rows import RowQueue
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection
from tailrace_postgres.libpq import copy_messages

if TYPE_CHECKING:
    from tailrace.core.messages import Source

COPY = "COPY (SELECT n, repeat('x', n % 900) FROM generate_series(1, 5000) n) TO STDOUT (FORMAT binary)"


def connect(database: Database) -> Connection:
    config = PostgresConfig.model_validate({"type": "postgres", "url": database.url, "tables": ["public.*"]})
    return Connection.open(config, "shop", "snapshot")


def copied(connection: Connection, source: Source) -> list[bytes]:
    """Return all rows of the COPY, with the end of it taken as well."""
    connection.send(COPY)
    connection.results(time.monotonic() + 60)
    rows = RowQueue()
    while True:
        got = drain_rows(source, rows, 700)
        if got is not None and got[0] < 0:
            assert got[0] == -1
            connection.results(time.monotonic() + 60)
            return list(rows.take(len(rows), rows.size))
        if got is not None:
            assert (got[0], bytes(got[1])) == (0, b"")
            select.select([connection.pgconn.socket], [], [], 60)
            connection.pgconn.consume_input()


def test_libpq_itself_gives_what_psycopg_gives(postgres: Database) -> None:
    connection = connect(postgres)
    messages = copy_messages(connection.pgconn)
    assert isinstance(messages, Tap), "psycopg's compiled modules are linked with a libpq"
    assert len(copied(connection, messages)) == 5000
    assert copied(connection, messages) == copied(connection, connection.pgconn.get_copy_data)
    connection.close()


def test_errors_are_psycopgs(postgres: Database) -> None:
    connection = connect(postgres)
    messages = copy_messages(connection.pgconn)
    with pytest.raises(psycopg.OperationalError, match="no COPY in progress"):
        drain_rows(messages, RowQueue(), 1)
    connection.close()
    with pytest.raises(psycopg.OperationalError):
        drain_rows(messages, RowQueue(), 1)


def test_a_binding_without_a_libpq_is_used_as_it_is() -> None:
    class Bare:
        def get_copy_data(self, _: int) -> tuple[int, memoryview]:
            return 0, memoryview(b"")

    bare = Bare()
    assert copy_messages(bare) == bare.get_copy_data  # type: ignore[arg-type]


def test_no_address_is_no_function() -> None:
    with pytest.raises(ValueError, match="no address"):
        Tap(object(), Exception, get=0, free=1)
