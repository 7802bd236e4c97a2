"""The order of keys that only the server knows: collations, numerics, dates. It is asked, many keys at a time."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.snapshot.order import IntegerOrder, Key, KeyOrder, OctetOrder
from tailrace_postgres.catalog import CatalogColumn, CatalogTable
from tailrace_postgres.connection import Connection

_INTEGERS = {20, 21, 23, 26}  # int8, int2, int4, oid
_OCTETS = {2950}  # uuid: its text sorts as its bytes do


class ServerOrder:
    """Asks the server how many bounds lie below each key, under the columns' own types and collations."""

    def __init__(self, connection: Connection, columns: Sequence[CatalogColumn]) -> None:
        self._connection = connection
        self._width = len(columns)
        self._sql = _statement(columns)

    def ranks(self, keys: Sequence[Key], bounds: Sequence[Key]) -> list[int]:
        """Return, for each key, how many of the ascending `bounds` lie below it."""
        if not bounds:
            return [0] * len(keys)
        sides = [[side[place] for side in rows] for rows in (keys, bounds) for place in range(self._width)]
        rows = self._connection.query(self._sql, list(map(array_literal, sides)))
        return [int(row[0] or 0) for row in rows]


def order_of(table: CatalogTable, connection: Connection) -> KeyOrder:
    """Return the order of a table's keys."""
    columns = key_columns(table)
    types = {column.type_oid for column in columns}
    if types <= _INTEGERS:
        return IntegerOrder()
    if types <= _OCTETS:
        return OctetOrder()
    return ServerOrder(connection, columns)


def key_columns(table: CatalogTable) -> list[CatalogColumn]:
    """Return the columns of a table's key, in its order."""
    by_name = {column.name: column for column in table.columns}
    return [by_name[name] for name in table.key()]


def array_literal(values: Sequence[str]) -> str:
    """Return a text array as its input function takes it."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"


def _statement(columns: Sequence[CatalogColumn]) -> str:
    width = len(columns)
    keys = ", ".join(f"${place + 1}::text[]" for place in range(width))
    bounds = ", ".join(f"${width + place + 1}::text[]" for place in range(width))
    names = ", ".join(f"c{place}" for place in range(width))

    def row(side: str) -> str:
        typed = []
        for place, column in enumerate(columns):
            collation = f" COLLATE {column.collation}" if column.collation else ""
            typed.append(f"{side}.c{place}::{column.type_name}{collation}")
        return f"ROW({', '.join(typed)})" if width > 1 else typed[0]

    return (
        f"SELECT (SELECT count(*) FROM unnest({bounds}) AS b ({names}) WHERE {row('k')} > {row('b')}) "
        f"FROM unnest({keys}) WITH ORDINALITY AS k ({names}, place) ORDER BY place"
    )
