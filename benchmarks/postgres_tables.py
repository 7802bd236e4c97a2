"""The tables that benchmarks on Postgres use: narrow, typical and wide, and one with a text of 4 KB in every row.

A table's rows follow from their ids, so that every run sees the same ones. Statements take the first and the last id.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

CUT = "FROM generate_series(%s::bigint, %s) n"


@dataclass(frozen=True, slots=True)
class Shape:
    """A table: its columns beside `id`, each with how its value follows from the id `n`; `update` changes a few.

    `share` is how many of its rows are about as much work as one of the typical table's, at most 1 of them: a benchmark
    takes `rows * share` rows.
    """

    name: str
    columns: Mapping[str, tuple[str, str]]
    update: str
    share: float

    def rows(self, typical: int) -> int:
        """Return how many rows to take where the typical table has `typical`."""
        return max(1, int(typical * self.share))

    def create(self, name: str = "goods", *, full_identity: bool = False) -> str:
        """Return the statements that create the table."""
        columns = ", ".join(f"{column} {type_}" for column, (type_, _) in self.columns.items())
        identity = f"; ALTER TABLE {name} REPLICA IDENTITY FULL" if full_identity else ""
        return f"CREATE TABLE {name} (id bigint PRIMARY KEY, {columns}){identity}"

    def inserts(self, name: str = "goods") -> str:
        """Return the statement that inserts rows."""
        return f"INSERT INTO {name} SELECT n, {', '.join(value for _, value in self.columns.values())} {CUT}"

    def updates(self, name: str = "goods") -> str:
        """Return the statement that updates rows."""
        return f"UPDATE {name} SET {self.update} WHERE id BETWEEN %s AND %s"

    def deletes(self, name: str = "goods") -> str:
        """Return the statement that deletes rows."""
        return f"DELETE FROM {name} WHERE id BETWEEN %s AND %s"


TYPICAL_COLUMNS = {
    "quantity": ("int", "(n * 7919) %% 1000000"),
    "title": ("text", "rpad('title ' || n, 30, 'x')"),
    "code": ("varchar(20)", "'code-' || n %% 100000"),
    "price": ("numeric(12,2)", "(n %% 1000000) / 100.0"),
    "active": ("boolean", "n %% 2 = 0"),
    "changed": ("timestamptz", "timestamptz '2026-01-01' + n * interval '1 second'"),
    "details": ("jsonb", """jsonb_build_object('n', n, 'tags', '["a", "b"]'::jsonb)"""),
    "token": ("uuid", "md5(n::text)::uuid"),
    "weight": ("double precision", "n / 7.0"),
}

WIDE_TYPES = (
    ("int", "(n * {k}) %% 1000000"),
    ("text", "'text ' || n * {k}"),
    ("bigint", "n * {k} * 1000003"),
    ("numeric(12,2)", "(n * {k} %% 1000000) / 100.0"),
    ("timestamp", "timestamp '2026-01-01' + n * {k} * interval '1 second'"),
    ("boolean", "(n + {k}) %% 2 = 0"),
    ("varchar(20)", "CASE WHEN (n + {k}) %% 4 = 0 THEN NULL ELSE 'code-' || n %% 100000 END"),
    ("double precision", "n / {k}.7"),
    ("date", "date '2020-01-01' + ((n * {k}) %% 5000)::int"),
)


def _wide() -> dict[str, tuple[str, str]]:
    columns = {}
    for k in range(1, 60):
        type_, value = WIDE_TYPES[k % len(WIDE_TYPES)]
        columns[f"column_{k}"] = (type_, value.format(k=k))
    return columns


# 64 times 32 octets that do not compress and 32 that do, other ones in every row.
BODY = "(SELECT string_agg(md5(n || '-' || k) || ' and the same words come again: ', '') FROM generate_series(1, 64) k)"

NARROW_COLUMNS = {name: TYPICAL_COLUMNS[name] for name in ("quantity", "code")}

TEXT_COLUMNS = {"quantity": ("int", "n::int"), "body": ("text", BODY)}

TYPICAL_UPDATE = "quantity = -id, changed = changed + interval '1 day', active = false"

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("narrow", NARROW_COLUMNS, "quantity = -id", 1),
        Shape("typical", TYPICAL_COLUMNS, TYPICAL_UPDATE, 1),
        Shape("wide", _wide(), "column_9 = -id, column_1 = 'changed', column_8 = NULL", 0.2),
        Shape("text", TEXT_COLUMNS, "quantity = -id", 0.1),
    )
}

# Of transactions: from a click to a batch job.
SIZES = (1, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1000)


def run_in_transactions(connection: psycopg.Connection[Any], statement: str, rows: int, *, first: int = 1) -> int:
    """Run a statement for the ids from `first` to `rows`, cut into transactions of 1 to 1,000 rows; return how many.

    `connection` commits after each statement. The sizes are the same in every run.
    """
    rng = random.Random(1)
    transactions = 0
    while first <= rows:
        last = min(first + rng.choice(SIZES) - 1, rows)
        connection.execute(statement, [first, last])
        first = last + 1
        transactions += 1
    return transactions
