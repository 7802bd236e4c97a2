"""Records rows of every type as servers send them: `python -m databases.postgres.record_rows` from `tests`.

Writes one file per server version to `tests/golden`: the table, the types that it needs, its rows as COPY has them, as
text and in binary, and the messages that a transaction of inserts, updates and deletes becomes; bytes in hexadecimal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from psycopg import Connection as Psycopg

from servers.postgres import VERSIONS, bin_dir
from tailrace.core.copytext import drain_lines, drain_rows
from tailrace.core.pgoutput import Received
from tailrace.core.rows import RowQueue
from tailrace.demo.postgres import PostgresServer
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection
from tailrace_postgres.replication import Replication
from tailrace_postgres.types import TYPES_QUERY, TypeMapper, load_types

GOLDEN = Path(__file__).parents[2] / "golden"

COLUMNS: dict[str, tuple[str, str]] = {
    "int PRIMARY KEY": ("1", "-2147483648"),
    "bool NOT NULL": ("t", "f"),
    "int2": ("7", "-32768"),
    "int8": ("9223372036854775807", "-1"),
    "oid": ("4294967295", "0"),
    "float4": ("1.5", "-Infinity"),
    "float8": ("5e-324", "NaN"),
    "numeric": ("-12.340", "NaN"),
    "numeric(12,2) NOT NULL": ("9999999999.99", "-0.01"),
    "numeric(5,-2)": ("-12300", "0"),
    "money": ("$1.50", "-$0.05"),
    "text": ("grün\t\\.\n", ""),
    "varchar(20) NOT NULL": ("Größe", "€"),
    "char(5)": ("ab", "ü"),
    '"char"': ("x", ""),
    "name": ("n", ""),
    "bytea": ("\\x00ff5c09", "\\x"),
    "date": ("2024-02-29", "-infinity"),
    "time": ("23:59:59.999999", "24:00:00"),
    "time(3)": ("12:30:00.5", "00:00:00"),
    "timetz": ("12:00:00.5+05:30", "00:00:00-12"),
    "timestamp": ("2024-02-29 12:00:00.123456", "infinity"),
    "timestamp(3)": ("1969-12-31 23:59:59.999", "0044-03-15 BC"),
    "timestamptz": ("2024-02-29 12:00:00.5+00", "20000-01-01 00:00:00+00"),
    "timestamptz(0)": ("2000-01-01", "-infinity"),
    "interval": ("1 year 2 mons -3 days 04:05:06.789", "00:00:00"),
    "uuid": ("b68a35a7-17ad-35b3-af2a-ae46edb4545a",) * 2,
    "json": ('{"a": [1]}', "null"),
    "jsonb": ('{"b": "ü"}', "0"),
    "bit(3)": ("101", "000"),
    "bit(1)": ("1", "0"),
    "varbit(8)": ("10101", ""),
    "inet": ("10.0.0.1/8", "::1"),
    "cidr": ("10.0.0.0/8", "::/0"),
    "macaddr": ("08:00:2b:01:02:03",) * 2,
    "macaddr8": ("08:00:2b:01:02:03:04:05",) * 2,
    "int4range": ("[1,5)", "empty"),
    "int8range": ("[1,)", "(,)"),
    "numrange": ("(1.5,2]", "empty"),
    "tsrange": ("[2024-01-01,)", "empty"),
    "tstzrange": ("[2024-01-01 00:00+00,)", "empty"),
    "daterange": ("[2024-01-01,2024-02-01)", "empty"),
    "point": ("(1.5,-2)", "(0,0)"),
    "tsvector": ("'a':1 'b'", ""),
    "int4[]": ("{1,NULL,-3}", "{}"),
    "text[]": ('{a,"b c",NULL,"\\"q\\""}', "{}"),
    "bool[]": ("{t,f}", "{}"),
    "numeric[]": ("{1.50,NaN}", "{}"),
    "timestamptz[]": ("{2024-02-29 12:00:00+00}", "{}"),
    "uuid[]": ("{}", "{}"),
    "mood": ("glad", "sad"),
    "mood[]": ("{sad}", "{}"),
    "euros": ("1.00", "2.50"),
    "circle": ("<(0,0),1>", "<(1,1),2>"),
    "pg_lsn": ("0/1", "F/F"),
}
SETUP = (
    "CREATE TYPE mood AS ENUM ('sad', 'glad')",
    "CREATE DOMAIN euros AS numeric(8,2)",
    f"CREATE TABLE every ({', '.join(f'c{place} {kind}' for place, kind in enumerate(COLUMNS))}, big text)",
    "ALTER TABLE every ALTER big SET STORAGE EXTERNAL",
    "ALTER TABLE every REPLICA IDENTITY FULL",
    "CREATE PUBLICATION p FOR TABLE every",
    "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
)
CHANGES = (
    "UPDATE {table} SET c2 = 8 WHERE c0 = 1",
    "UPDATE {table} SET c0 = 2 WHERE c0 = 1",
    "ALTER TABLE {table} REPLICA IDENTITY DEFAULT",
    "UPDATE {table} SET c2 = 9 WHERE c0 = 2",
    "UPDATE {table} SET c0 = 3 WHERE c0 = 2",
    "DELETE FROM {table} WHERE c0 = 3",
)
COLUMNS_QUERY = """
SELECT attname, atttypid::text, atttypmod::text, attnotnull::text FROM pg_attribute
 WHERE attrelid = 'public.every'::regclass AND attnum > 0 ORDER BY attnum
"""


def record(version: int) -> None:
    folder = bin_dir(version)
    if folder is None:
        raise SystemExit(f"postgres {version} is not installed")
    with PostgresServer(folder) as server, server.connect() as connection:
        for statement in SETUP:
            connection.execute(statement.encode())
        _fill(connection)
        control = Connection.open(PostgresConfig.model_validate({"url": server.dsn()}), "golden", "control")
        columns = control.query(COLUMNS_QUERY)
        rows = control.query(TYPES_QUERY)
        mapper = TypeMapper(load_types(rows), PostgresConfig.model_validate({"url": "x"}))
        names = [str(name) for name, *_ in columns]
        in_binary = [str(name) for name, oid, *_ in columns if mapper.binary(int(oid or 0)) is not None]
        golden = {
            "columns": columns,
            "in_binary": in_binary,
            "types": _needed(rows, {oid or "" for _, oid, *_ in columns}),
            "copy": _copied(control, names, "text"),
            "binary_copy": _copied(control, in_binary, "binary"),
        }
        _copy_table(connection, in_binary)
        for statement in CHANGES:
            for table in ("every", "known"):
                connection.execute(statement.format(table=table).encode())
        connection.execute("SELECT pg_logical_emit_message(false, 'end', '')")
        golden["messages"] = _messages(server.dsn(), "s", "p", binary=False)
        golden["binary_messages"] = _messages(server.dsn(), "b", "known", binary=True)
        control.close()
    text = json.dumps(golden, ensure_ascii=False, indent=0)
    (GOLDEN / f"postgres-rows-{version}.json").write_text(f"{text}\n", encoding="utf-8")


def _fill(connection: Psycopg[tuple[object, ...]]) -> None:
    places = ", ".join(["%s"] * len(COLUMNS))
    big = "t" * 2100
    first, second = ([pair[which] for pair in COLUMNS.values()] for which in (0, 1))
    nulls = [value if "NOT NULL" in kind else None for kind, value in zip(COLUMNS, first, strict=True)]
    for row, value in ((first, big), (second, None), (["0", *nulls[1:]], "")):
        connection.execute(f"INSERT INTO every VALUES ({places}, %s)".encode(), [*row, value])


def _needed(rows: Sequence[Sequence[str | None]], oids: set[str]) -> list[Sequence[str | None]]:
    """Return the types of the columns, and those that they are made of."""
    while True:
        found = [row for row in rows if row[0] in oids]
        more = {part or "" for row in found for part in (row[4], row[5])} | oids
        if more == oids:
            return found
        oids = more


def _copied(control: Connection, names: list[str], form: str) -> list[str]:
    # What an update left alone is large; in COPY it would only be long.
    selected = ", ".join("left(big, 9)" if name == "big" else name for name in names)
    control.pgconn.exec_(f"COPY (SELECT {selected} FROM public.every ORDER BY c0) TO STDOUT (FORMAT {form})".encode())
    rows = RowQueue()
    drain = drain_rows if form == "binary" else drain_lines
    got = drain(lambda _: control.pgconn.get_copy_data(0), rows, 10)
    assert got is not None and got[0] == -1
    while control.pgconn.get_result() is not None:
        pass
    return [row.hex() for row in rows.take(len(rows), rows.size)]


def _copy_table(connection: Psycopg[tuple[object, ...]], names: list[str]) -> None:
    """Make a table of the columns that can be sent in binary, and let what happens to it be sent so."""
    connection.execute(f"CREATE TABLE known AS SELECT {', '.join(names)} FROM every LIMIT 0".encode())
    connection.execute("ALTER TABLE known ADD PRIMARY KEY (c0)")
    connection.execute("ALTER TABLE known ALTER big SET STORAGE EXTERNAL")
    connection.execute("ALTER TABLE known REPLICA IDENTITY FULL")
    connection.execute("CREATE PUBLICATION known FOR TABLE known")
    connection.execute("SELECT pg_create_logical_replication_slot('b', 'pgoutput')")
    connection.execute(f"INSERT INTO known SELECT {', '.join(names)} FROM every".encode())


def _messages(dsn: str, slot: str, publication: str, *, binary: bool) -> list[str]:
    replication = Replication(Connection.open(PostgresConfig.model_validate({"url": dsn}), "golden", "replication"), 60)
    replication.start(slot, 0, publication, confirmed=0, sender_timeout=0, binary=binary)
    received: list[Received] = []
    while not any(one.data is not None and one.data.startswith(b"M") for one in received):
        received += replication.receive(1000, 10**6)
    replication.connection.close()
    return [one.data.hex() for one in received if one.data is not None and one.data[:1] in {b"R", b"I", b"U", b"D"}]


if __name__ == "__main__":
    for each in VERSIONS:
        record(each)
