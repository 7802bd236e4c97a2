"""The captured tables on MySQL and MariaDB, and the journal, as `tables.py` has them for Postgres.

Versions are drawn from an AUTO_INCREMENT, which no transaction holds; the lock on a key is one of 4096 rows, which are
held until the commit as an advisory lock would be. Nothing is truncated, since no trigger hears of that.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from crash.history import Entry, History
from crash.tables import SCHEMA, Content, CrashTable
from servers.mysql_server import MysqlServer

MYSQL_TABLES = (
    CrashTable(
        "accounts",
        (("id", "bigint"), ("owner", "varchar(100)"), ("balance", "decimal(12,2)"), ("active", "tinyint(1)")),
        ("id",),
        full=True,
    ),
    CrashTable(
        "order_lines",
        (("order_id", "integer"), ("line", "integer"), ("item", "varchar(50)"), ("quantity", "integer")),
        ("order_id", "line"),
        full=True,
    ),
    CrashTable(
        "people", (("name", "varchar(100) COLLATE {collation}"), ("email", "varchar(100)")), ("name",), full=True
    ),
    CrashTable("notes", (("row_id", "bigint"), ("note", "text")), ("row_id",), keyless=True, full=True),
    CrashTable(
        "documents", (("id", "integer"), ("title", "text"), ("body", "mediumtext")), ("id",), full=True, big=("body",)
    ),
    CrashTable("twins", (("a", "integer"), ("b", "varchar(10)")), ("a", "b"), keyless=True, full=True, versioned=False),
)

COLLATIONS = {"mysql": "utf8mb4_0900_as_cs", "mariadb": "utf8mb4_uca1400_as_cs"}
"""They order text other than by its bytes, and tell all of the writers' names apart."""

JOURNAL = (
    "CREATE DATABASE {schema} CHARACTER SET utf8mb4",
    "CREATE TABLE {schema}.versions (v bigint AUTO_INCREMENT PRIMARY KEY)",
    "CREATE TABLE {schema}.locks (id integer PRIMARY KEY)",
    (
        "INSERT INTO {schema}.locks WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 63)"
        " SELECT a.i * 64 + b.i FROM n a, n b"
    ),
    "CREATE TABLE {schema}.numbers AS SELECT id FROM {schema}.locks",
    (
        "CREATE TABLE {schema}.journal (n bigint AUTO_INCREMENT PRIMARY KEY, tbl varchar(40),"
        " k varchar(200) COLLATE utf8mb4_bin, ver bigint, op char(1), content longtext, KEY (tbl))"
    ),
)

_LOCK = "SELECT id INTO held FROM {schema}.locks WHERE id = CRC32(CONCAT('{name}|', {key})) % 4096 FOR UPDATE;"
_DRAW = "INSERT INTO {schema}.versions () VALUES ();"
_WRITE = "INSERT INTO {schema}.journal (tbl, k, ver, op, content) VALUES ('{name}', {key}, {ver}, '{op}', {content});"


def create_tables(server: MysqlServer) -> str:
    """Create the database, tables, triggers and journal; return the collation that the text key has."""
    collation = COLLATIONS[server.flavour]
    if server.flavour == "mysql":
        server.execute("INSTALL COMPONENT 'file://component_classic_hashing'")  # MD5, which 9.7 has there
    server.execute(*(statement.format(schema=SCHEMA) for statement in JOURNAL))
    for table in MYSQL_TABLES:
        server.execute(*_table_ddl(table, collation))
    return collation


def last_version(server: MysqlServer) -> int:
    """Return a version that is not below any that was drawn so far."""
    rows = server.execute(_DRAW.format(schema=SCHEMA).rstrip(";"), "SELECT 1", f"SELECT MAX(v) FROM {SCHEMA}.versions")
    return int(rows[0][0])


def load_history(server: MysqlServer, table: CrashTable, *, settled: int | None = None) -> History:
    """Read all that the database knows of `table`; nobody may write meanwhile."""
    rows = _rows(server, table)
    if not table.versioned:
        return History(table, twins=Counter(content for _, content in rows), settled=settled)
    entries: dict[str, list[Entry]] = {}
    journal = server.execute(
        f"SELECT k, ver, op, content FROM {SCHEMA}.journal WHERE tbl = '{table.name}' ORDER BY ver"
    )
    for key, ver, op, content in journal:
        entries.setdefault(key, []).append(Entry(ver, op, _content(content) if content is not None else None))
    return History(table, entries, rows=dict(rows), settled=settled)


def _rows(server: MysqlServer, table: CrashTable) -> Sequence[tuple[str, Content]]:
    query = f"SELECT {_key('t', table)}, {_cells('t', table)} FROM {SCHEMA}.{table.name} t"
    return [(key, _content(content)) for key, content in server.execute(query)]


def _content(text: str) -> Content:
    return tuple(json.loads(text))


def _key(alias: str, table: CrashTable) -> str:
    return f"CONCAT_WS('|', {', '.join(f'{alias}.{column}' for column in table.key)})"


def _cells(alias: str, table: CrashTable) -> str:
    cells = (f"MD5({alias}.{name})" if name in table.big else f"{alias}.{name}" for name in table.names)
    return f"JSON_ARRAY({', '.join(f'CAST({cell} AS CHAR)' for cell in cells)})"


def _table_ddl(table: CrashTable, collation: str) -> Iterator[str]:
    columns = [f"{name} {kind.format(collation=collation)}" for name, kind in table.columns]
    if table.versioned:
        columns += ["ver bigint NOT NULL", "writer integer NOT NULL", "tx bigint NOT NULL"]
    columns.append(f"{'KEY' if table.keyless else 'PRIMARY KEY'} ({', '.join(table.key)})")
    yield f"CREATE TABLE {SCHEMA}.{table.name} ({', '.join(columns)})"
    if table.versioned:
        yield from _triggers(table)


def _triggers(table: CrashTable) -> Iterator[str]:
    old, new, content = _key("OLD", table), _key("NEW", table), _cells("NEW", table)
    lock_old, lock_new = (_LOCK.format(schema=SCHEMA, name=table.name, key=key) for key in (old, new))
    draw = _DRAW.format(schema=SCHEMA)

    def write(key: str, op: str, ver: str = "NEW.ver", content: str = "NULL") -> str:
        return _WRITE.format(schema=SCHEMA, name=table.name, key=key, ver=ver, op=op, content=content)

    bodies = {
        "BEFORE INSERT": f"IF @crash_bulk IS NULL THEN {lock_new} END IF; {draw} SET NEW.ver = LAST_INSERT_ID();",
        "BEFORE UPDATE": f"IF {old} <> {new} THEN {lock_old} {lock_new} END IF; {draw} SET NEW.ver = LAST_INSERT_ID();",
        "BEFORE DELETE": lock_old,
        "AFTER INSERT": write(new, "c", content=content),
        "AFTER UPDATE": f"IF {old} <> {new} THEN {write(old, 'd')} {write(new, 'c', content=content)}"
        f" ELSE {write(new, 'u', content=content)} END IF;",
        "AFTER DELETE": f"{draw} {write(old, 'd', ver='LAST_INSERT_ID()')}",
    }
    for moment, body in bodies.items():
        name = f"{table.name}_{moment.lower().replace(' ', '_')}"
        yield (f"CREATE TRIGGER {SCHEMA}.{name} {moment} ON {SCHEMA}.{table.name} FOR EACH ROW"
               f" BEGIN DECLARE held integer; {body} END")  # fmt: skip
