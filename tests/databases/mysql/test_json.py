"""JSON of MySQL's binlog against the server's own text of it, whole values and differences."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from databases.mysql.capture import Change, changes_since, end_of_binlog
from servers.mysql import MysqlDatabase
from servers.mysql_server import MysqlServer
from tailrace.schema import UNAVAILABLE
from tailrace_mysql import jsonb
from tailrace_mysql.row import BinlogRow

pytestmark = pytest.mark.mysql

EXPRESSIONS = [
    "'null'", "'true'", "'[]'", "'{}'", "'\"\"'", "'[1, -1, 32767, -32768, 65535, 2147483647, 4294967295]'",
    "'[-9223372036854775808, 9223372036854775807, 18446744073709551615]'",
    "'{\"b\": 1, \"aa\": 2, \"a\": [null, false]}'",
    "JSON_ARRAY(1.0e0, 1e20, 1e-20, 0.1e0, 1.5e300, -2.5e-7, 123456789012345e0, 1e15, 1e16)",
    "JSON_ARRAY(1.10, -0.001, 99999999999999999999999999999999.999, 0.00, 5.)",
    "JSON_ARRAY(DATE'2024-02-29', TIME'-838:59:59', TIME'10:11:12.345678', TIMESTAMP'2024-02-29 10:11:12.5')",
    "JSON_ARRAY(CAST('2024-02-29 10:11:12' AS DATETIME(3)), CAST('0000-00-00' AS DATE))",
    "JSON_ARRAY(x'00ff', b'101', CAST('x' AS BINARY), ST_AsGeoJSON(POINT(1, 2)), POINT(1, 2))",
    "JSON_QUOTE(CONCAT('q\" b\\\\ /', CHAR(8, 9, 10, 12, 13, 1, 31, 127 USING utf8mb4), 'é😀'))",
    "JSON_OBJECT('k\"\\n', 1, '', 2, 'é', 3, 'zz', JSON_OBJECT('x', JSON_ARRAY()))",
    "JSON_OBJECT('long', REPEAT('x', 70000), 'small', 7, 'number', 70000)",
    "JSON_ARRAY(REPEAT('a', 127), REPEAT('b', 128), REPEAT('c', 16384))",
    "CAST(CONCAT('[', REPEAT('[', 90), REPEAT(']', 90), ']') AS JSON)",
    "CAST(CONCAT('[', REPEAT('70000,', 20000), '1]') AS JSON)",
]  # fmt: skip


def cells(change: Change, place: int) -> list[Any]:
    cut = BinlogRow("t", change.map.widths)
    return [None if image is None else cut.cells(image)[place] for image in change.images]


def test_documents_read_as_the_server_prints_them(mysql: MysqlDatabase) -> None:
    mysql.execute("CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, j json)")
    numbers = random.Random(7)
    doubles = [struct.unpack("<d", struct.pack("<Q", numbers.getrandbits(64)))[0] for _ in range(300)]
    doubles += [numbers.uniform(-1, 1) * 10.0 ** numbers.randint(-20, 20) for _ in range(300)]
    finite = [number for number in doubles if abs(number) < 1e308]
    place = end_of_binlog(mysql.server)
    array = ", ".join([text if "e" in text else f"{text}e0" for text in map(repr, finite)])
    inserts = [f"INSERT INTO t (j) VALUES ({expression})" for expression in [*EXPRESSIONS, f"JSON_ARRAY({array})"]]
    mysql.execute("SET sql_mode = ''", *inserts)
    truth = [str(text) for (text,) in mysql.execute("SELECT CAST(j AS CHAR) FROM t ORDER BY id")]
    found = [jsonb.text(cells(change, 1)[1]) for change in changes_since(mysql.server, place)]
    assert found == truth


def test_a_null_that_was_forced_into_a_required_column_is_the_value_null(mysql: MysqlDatabase) -> None:
    mysql.execute("CREATE TABLE t (id int PRIMARY KEY, j json NOT NULL)")
    place = end_of_binlog(mysql.server)
    mysql.execute(
        "SET sql_mode = ''", "INSERT IGNORE INTO t (id) VALUES (1)", "INSERT IGNORE INTO t VALUES (2, NULL), (3, '1')"
    )
    found = [jsonb.text(cells(change, 1)[1]) for change in changes_since(mysql.server, place)]
    assert found == [text for (text,) in mysql.execute("SELECT CAST(j AS CHAR) FROM t ORDER BY id")]


UPDATES: Sequence[str] = [
    "j = JSON_SET(j, '$.a', 'short')",
    "j = JSON_SET(j, '$.list[1]', 7, '$.added', JSON_OBJECT('x', 1))",
    "j = JSON_REMOVE(j, '$.added', '$.list[0]')",
    "j = JSON_REPLACE(j, '$.deep.b[1].c', JSON_ARRAY(1, 2.5e0, '3'))",
    "j = JSON_SET(j, '$.\"q\\\\\"uo.ted\"', true, '$.é', null)",
    "j = JSON_SET(j, '$.\"q\\\\\"uo.ted\"', 'x')",
    "j = JSON_REPLACE(j, '$.list[2]', DATE'2024-02-29', '$.a', 1.50)",
    "j = JSON_SET(j, '$.list[9]', 'end')",
    "j = JSON_REMOVE(j, '$.deep.b[0]'), k = JSON_SET(k, '$.n', 2)",
    "k = JSON_SET(k, '$.n', 3), v = v + 1",
    "k = NULL",
    "k = '{\"n\": 4}'",
]


def test_every_difference_is_applied(partial: MysqlServer) -> None:
    found, truth = updated(partial, "FULL", UPDATES)
    assert [(jsonb.text(j), None if k is None else jsonb.text(k)) for j, k in found] == truth


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
def test_differences_from_a_value_that_is_not_there_are_unavailable(partial: MysqlServer, image: str) -> None:
    found, truth = updated(partial, image, UPDATES)
    told = [
        (jsonb.text(j) if isinstance(j, bytes) else j, jsonb.text(k) if isinstance(k, bytes) else k) for j, k in found
    ]
    for (j, k), expected in zip(told, truth, strict=True):
        assert (j if j is UNAVAILABLE else expected[0], k if k is UNAVAILABLE else expected[1]) == (j, k)
    # With NOBLOB the server writes a value before the update where it writes differences after it.
    assert any(j is UNAVAILABLE for j, _ in told) == (image == "MINIMAL")
    assert told[-1][1] == truth[-1][1]


@pytest.fixture(scope="module")
def partial(shared_mysql_servers: Any) -> MysqlServer:
    server: MysqlServer = shared_mysql_servers.get("mysql")
    return server


def updated(
    server: MysqlServer, image: str, updates: Sequence[str]
) -> tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]]:
    """Make updates one by one; return both JSON columns after each, from the binlog and as the server prints them."""
    document = """{"a": "a text that is long enough to be worth it", "list": [1, "two", 3, 4],
                   "deep": {"b": [0, {"c": "another text, so that the differences are smaller"}]}}"""
    database, truth = f"partial_{image.lower()}", []
    server.execute(f"DROP DATABASE IF EXISTS {database}", f"CREATE DATABASE {database}")
    server.execute(
        "CREATE TABLE t (id int PRIMARY KEY, j json, v int, k json)",
        f'INSERT INTO t VALUES (1, \'{document}\', 1, \'{{"n": 1, "t": "some text"}}\')',
        database=database,
    )
    place = end_of_binlog(server)
    settings = f"SET binlog_row_value_options = 'PARTIAL_JSON', binlog_row_image = '{image}'"
    for update in updates:
        server.execute(settings, f"UPDATE t SET {update}", database=database)
        ((j, k),) = server.execute("SELECT CAST(j AS CHAR), CAST(k AS CHAR) FROM t", database=database)
        truth.append((j, k))
    found = [(cells(change, 1)[1], cells(change, 3)[1]) for change in changes_since(server, place)]
    server.execute(f"DROP DATABASE {database}")
    return found, truth
