"""Tables of a Postgres replica: made from a shape, and changed when the shape does. DDL is part of the transaction."""

from __future__ import annotations

import psycopg
from psycopg import sql

from tailrace.errors import Fatal
from tailrace_replica.postgres_type import type_of, widens
from tailrace_replica.target import Name, Target

_COLUMNS = """\
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
_UNIQUE = """\
SELECT 1 FROM pg_index i
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
AND i.indnatts = cardinality(%s::text[]) AND NOT EXISTS (
    SELECT FROM unnest(i.indkey) AS place LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = place
    WHERE place = 0 OR a.attname <> ALL (%s::text[])
)
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tailrace replica tables', 0))"
"""Held until the commit: `IF NOT EXISTS` does not help two that make the same table at the same moment."""


def typed(kind: str) -> sql.SQL:
    """Return a type's name, which is our own word."""
    return sql.SQL(kind)


def one_at_a_time(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Wait until no other task of a replica makes or changes tables in this database, and keep them waiting."""
    connection.execute(_LOCK)


def identifier(name: Name) -> sql.Identifier:
    """Return a table's name, quoted."""
    return sql.Identifier(*name)


class PostgresTables:
    """What tables there are, as far as this session has looked. Made anew with each connection."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], *, drop: bool) -> None:
        self._connection = connection
        self._drop = drop
        self._ready: Target | None = None
        self._fitting: dict[Name, Target] = {}
        self._temporary: dict[Target, sql.Identifier] = {}

    def types_of(self, name: Name) -> dict[str, str] | None:
        """Return the types of a table's columns by name; None where there is no such table."""
        quoted = identifier(name).as_string(self._connection)
        found = self._connection.execute(_COLUMNS, (quoted,)).fetchall()
        return {str(column): str(kind) for column, kind in found} or None

    def prepare(self, target: Target) -> None:
        """Have the table take rows of `target`; raises `Fatal` where a column's type is at odds with it."""
        if self._fitting.get(target.name) is target:
            return
        types = self.types_of(target.name)
        if types is None or self._steps(target, types):
            one_at_a_time(self._connection)
            types = self.types_of(target.name)  # another task may have been quicker
        if types is None:
            self._create(target)
        else:
            self._alter(target, types)
            self._check_key(target)
        self._fitting[target.name] = target

    def temporary(self, target: Target) -> sql.Identifier:
        """Return the session's temporary table for rows of `target`."""
        name = self._temporary.get(target)
        if name is None:
            name = self._temporary[target] = sql.Identifier(f"tailrace_merge_{len(self._temporary)}")
            self._run(
                sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} ({}) ON COMMIT DELETE ROWS").format(
                    name, sql.SQL(", ").join(_columns(target))
                )
            )
        return name

    def _create(self, target: Target) -> None:
        if len(target.name) > 1:
            found = self._connection.execute(
                "SELECT 1 FROM pg_namespace WHERE nspname = %s", target.name[:1]
            ).fetchone()
            if found is None:
                self._run(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(target.name[0])))
        parts = _columns(target)
        if target.key:
            keys = sql.SQL(", ").join(map(sql.Identifier, target.key))
            parts.append(sql.SQL("PRIMARY KEY ({})").format(keys))
        self._run(sql.SQL("CREATE TABLE {} ({})").format(identifier(target.name), sql.SQL(", ").join(parts)))

    def _alter(self, target: Target, types: dict[str, str]) -> None:
        if steps := self._steps(target, types):
            self._run(sql.SQL("ALTER TABLE {} {}").format(identifier(target.name), sql.SQL(", ").join(steps)))

    def _steps(self, target: Target, types: dict[str, str]) -> list[sql.Composable]:
        """Return what is to be changed; raises `Fatal` where it cannot be."""
        steps: list[sql.Composable] = []
        for column in target.columns:
            new, old = type_of(column.kind), types.get(column.name)
            quoted, kind = sql.Identifier(column.name), typed(new)
            if old is None:
                steps.append(sql.SQL("ADD COLUMN {} {}").format(quoted, kind))
            elif widens(old, new):
                steps.append(sql.SQL("ALTER COLUMN {0} TYPE {1} USING {0}::{1}").format(quoted, kind))
            elif old != new and not widens(new, old):
                raise Fatal(
                    f"table {target.label} column {column.name} is {old}, and the source has {new} now",
                    hint="change the column by hand so that it takes both, or drop the table and reset the sink",
                )
        if self._drop:
            gone = [name for name in types if name not in {column.name for column in target.columns}]
            steps += [sql.SQL("DROP COLUMN {}").format(sql.Identifier(name)) for name in gone]
        return steps

    def _check_key(self, target: Target) -> None:
        """Somebody else's table may lack what rows are found by."""
        quoted, key = identifier(target.name).as_string(self._connection), list(target.key)
        if key and self._connection.execute(_UNIQUE, (quoted, key, key)).fetchone() is None:
            names = ", ".join(key)
            raise Fatal(
                f"table {target.label} has no unique index on its key ({names})",
                hint=f"ALTER TABLE {target.label} ADD PRIMARY KEY ({names}), or drop the table and reset the sink",
            )

    def _run(self, statement: sql.Composed) -> None:
        self._connection.execute(statement)


def _columns(target: Target) -> list[sql.Composable]:
    return [
        sql.SQL("{} {}").format(sql.Identifier(column.name), typed(type_of(column.kind))) for column in target.columns
    ]
