"""The captured tables of the crash harness, and the journal in which the database itself keeps what was committed.

Every captured table (but `twins`) has the columns ver, writer, tx. A BEFORE trigger draws `ver` from one sequence while
it holds the row's lock; whatever makes or removes a key takes an advisory lock on the key first, since a key that is
not there has no row to lock. So the versions of a key grow in the order of its commits. An AFTER trigger writes what
happened into `journal`, in the same transaction: what the journal holds is what was committed, no more and no less.
The journal is not captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

SCHEMA = "crash"

Content = tuple[str | None, ...]
"""A row as text, one per column of `CrashTable.columns`; big columns as the MD5 of their text."""

BULK_KEYS = 10_000_000
"""Integer keys from here on are written in bulk by one transaction each, so their inserts need no lock."""


@dataclass(frozen=True, slots=True)
class CrashTable:
    """One captured table.

    `key` names the columns that identify a row to the verifier; `keyless` tables have them too, but without an index.
    `big` are the columns that rest out of line (TOAST). A `versioned` table has ver, writer and tx and is journalled.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    keyless: bool = False
    full: bool = False
    big: tuple[str, ...] = ()
    versioned: bool = True
    truncated: bool = False

    @property
    def topic(self) -> str:
        """The topic's name after the prefix."""
        return f"{SCHEMA}.{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        bookkeeping = ("ver", "writer", "tx") if self.versioned else ()
        return (*(name for name, _ in self.columns), *bookkeeping)

    def index(self, column: str) -> int:
        """Position of `column` in a `Content`."""
        return self.names.index(column)


TABLES = (
    CrashTable(
        "accounts",
        (("id", "bigint"), ("owner", "text"), ("balance", "numeric(12,2)"), ("active", "boolean")),
        ("id",),
    ),
    CrashTable(
        "order_lines",
        (("order_id", "integer"), ("line", "integer"), ("item", "text"), ("quantity", "integer")),
        ("order_id", "line"),
    ),
    CrashTable("people", (("name", "text COLLATE {collation}"), ("email", "text")), ("name",)),
    CrashTable("notes", (("row_id", "bigint"), ("note", "text")), ("row_id",), keyless=True, full=True),
    CrashTable("documents", (("id", "integer"), ("title", "text"), ("body", "text")), ("id",), big=("body",)),
    CrashTable("pages", (("id", "integer"), ("title", "text"), ("body", "text")), ("id",), full=True, big=("body",)),
    CrashTable("scratch", (("id", "integer"), ("mark", "text")), ("id",), truncated=True),
    CrashTable("twins", (("a", "integer"), ("b", "text")), ("a", "b"), keyless=True, full=True, versioned=False),
)

JOURNAL = """
CREATE SEQUENCE {schema}.versions;
CREATE TABLE {schema}.journal (tbl text NOT NULL, key text, ver bigint NOT NULL, op "char" NOT NULL, content text[]);
"""

BEFORE = """
CREATE FUNCTION {schema}.{name}_draw() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('crash.bulk', true) IS DISTINCT FROM 'on' THEN
        IF TG_OP = 'DELETE' THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('{name}|' || {old_key}, 0));
            RETURN OLD;
        ELSIF TG_OP = 'INSERT' THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('{name}|' || {new_key}, 0));
        ELSIF {old_key} <> {new_key} THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('{name}|' || {old_key}, 0));
            PERFORM pg_advisory_xact_lock(hashtextextended('{name}|' || {new_key}, 0));
        END IF;
    END IF;
    NEW.ver := nextval('{schema}.versions');
    RETURN NEW;
END $$;
CREATE TRIGGER draw BEFORE INSERT OR UPDATE OR DELETE ON {schema}.{name}
    FOR EACH ROW EXECUTE FUNCTION {schema}.{name}_draw();
"""

AFTER = """
CREATE FUNCTION {schema}.{name}_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO {schema}.journal VALUES ('{name}', NULL, nextval('{schema}.versions'), 't', NULL);
        RETURN NULL;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO {schema}.journal VALUES ('{name}', {old_key}, nextval('{schema}.versions'), 'd', NULL);
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO {schema}.journal VALUES ('{name}', {new_key}, NEW.ver, 'c', {content});
        RETURN NULL;
    END IF;
    IF {old_key} <> {new_key} THEN
        INSERT INTO {schema}.journal VALUES ('{name}', {old_key}, NEW.ver, 'd', NULL),
            ('{name}', {new_key}, NEW.ver, 'c', {content});
    ELSE
        INSERT INTO {schema}.journal VALUES ('{name}', {new_key}, NEW.ver, 'u', {content});
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER journal AFTER INSERT OR UPDATE OR DELETE ON {schema}.{name}
    FOR EACH ROW EXECUTE FUNCTION {schema}.{name}_journal();
CREATE TRIGGER journal_truncate AFTER TRUNCATE ON {schema}.{name}
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{name}_journal();
"""

COLLATIONS = ("en-x-icu", "en_US.utf8", "en_US", "pg_unicode_fast", "C")
"""The first that the server has is taken: those in front order text other than by its bytes."""


def create_tables(connection: psycopg.Connection[Any]) -> str:
    """Create the schema, tables, triggers and journal; return the collation that the text key has."""
    collation = _collation(connection)
    execute(connection, f"CREATE SCHEMA {SCHEMA}")
    execute(connection, JOURNAL.format(schema=SCHEMA))
    for table in TABLES:
        for statement in _table_ddl(table, collation):
            execute(connection, statement)
    return collation


def execute(connection: psycopg.Connection[Any], statement: str) -> None:
    """Run SQL text of our own making."""
    connection.execute(sql.SQL(statement))


def key_text(alias: str, table: CrashTable) -> str:
    """Return SQL for the text that names a row of `table`: its key's values with `|` between."""
    return " || '|' || ".join(f"{alias}.{column}::text" for column in table.key)


def content_array(alias: str, table: CrashTable) -> str:
    """Return SQL for a row's `Content`, as text[]."""
    cells = (f"md5({alias}.{name})" if name in table.big else f"{alias}.{name}::text" for name in table.names)
    return f"ARRAY[{', '.join(cells)}]"


def _table_ddl(table: CrashTable, collation: str) -> Sequence[str]:
    quoted = f'"{collation}"'
    columns = [f"{name} {kind.format(collation=quoted)}" for name, kind in table.columns]
    if table.versioned:
        columns += ["ver bigint NOT NULL", "writer integer NOT NULL", "tx bigint NOT NULL"]
    if not table.keyless:
        columns.append(f"PRIMARY KEY ({', '.join(table.key)})")
    qualified = f"{SCHEMA}.{table.name}"
    ddl = [f"CREATE TABLE {qualified} ({', '.join(columns)})"]
    # Stored apart and uncompressed, so that a text of a few kilobytes is enough to be left out of updates.
    ddl += [f"ALTER TABLE {qualified} ALTER COLUMN {name} SET STORAGE EXTERNAL" for name in table.big]
    if table.keyless:
        ddl.append(f"CREATE INDEX ON {qualified} ({', '.join(table.key)})")
    if table.full:
        ddl.append(f"ALTER TABLE {qualified} REPLICA IDENTITY FULL")
    if table.versioned:
        words = {
            "schema": SCHEMA,
            "name": table.name,
            "old_key": f"({key_text('OLD', table)})",
            "new_key": f"({key_text('NEW', table)})",
            "content": content_array("NEW", table),
        }
        ddl += [BEFORE.format(**words), AFTER.format(**words)]
    return ddl


def _collation(connection: psycopg.Connection[Any]) -> str:
    rows = connection.execute("SELECT collname FROM pg_collation WHERE collname = ANY(%s)", [list(COLLATIONS)])
    present = {name for (name,) in rows}
    return next(name for name in COLLATIONS if name in present)
