"""What was committed, as the source database tells it: the journal of every table, and its rows at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg
from psycopg import sql

from crash.tables import SCHEMA, Content, CrashTable, content_array, key_text


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed change of one key: c, u, d, or t (the whole table was truncated)."""

    ver: int
    op: str
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class History:
    """A table's committed changes per key, oldest first, and its rows at the end.

    `settled` is a version drawn when the table's snapshot was known to be complete: every later change must be in the
    topic. None where that moment is not known. `twins` are the rows of a table without versions, with their number.
    """

    table: CrashTable
    entries: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    truncates: Sequence[int] = ()
    rows: Mapping[str, Content] = field(default_factory=dict)
    twins: Mapping[Content, int] = field(default_factory=dict)
    settled: int | None = None

    def contradictions(self) -> Sequence[str]:
        """Return where journal and rows differ: then the harness itself is wrong."""
        last = {key: entries[-1] for key, entries in self.entries.items()}
        wrong = [f"{key}: row without an entry" for key in self.rows.keys() - last.keys()]
        for key, entry in last.items():
            if entry.content != self.rows.get(key):
                wrong.append(f"{key}: journal {entry}, row {self.rows.get(key)}")
            if any(older.ver >= newer.ver for older, newer in pairwise(self.entries[key])):
                wrong.append(f"{key}: versions do not grow")
        return wrong if self.table.versioned else []


def last_version(connection: psycopg.Connection[Any]) -> int:
    """Return a version that is not below any that was drawn so far."""
    row = connection.execute(f"SELECT nextval('{SCHEMA}.versions')").fetchone()
    assert row is not None
    return int(row[0])


def load_history(connection: psycopg.Connection[Any], table: CrashTable, *, settled: int | None = None) -> History:
    """Read all that the database knows of `table`; nobody may write meanwhile."""
    if not table.versioned:
        return History(table, twins=Counter(content for _, content in _rows(connection, table)), settled=settled)
    entries: dict[str, list[Entry]] = {}
    truncates: list[int] = []
    journal = connection.execute(
        f"SELECT key, ver, op::text, content FROM {SCHEMA}.journal WHERE tbl = %s ORDER BY ver", [table.name]
    )
    for key, ver, op, content in journal:
        if op == "t":
            truncates.append(ver)
            for of_key in entries.values():
                of_key.append(Entry(ver, "t"))
        else:
            entries.setdefault(key, []).append(Entry(ver, op, tuple(content) if content is not None else None))
    return History(table, entries, truncates, dict(_rows(connection, table)), settled=settled)


def _rows(connection: psycopg.Connection[Any], table: CrashTable) -> Sequence[tuple[str, Content]]:
    query = f"SELECT {key_text('t', table)}, {content_array('t', table)} FROM {SCHEMA}.{table.name} t"
    return [(key, tuple(content)) for key, content in connection.execute(sql.SQL(query))]
