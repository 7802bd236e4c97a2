"""Keys of the snapshot: text that is the same for a row of the stream and a row that was read, and SQL of it again.

    integers, YEAR        its digits                         DATE, DATETIME, TIMESTAMP  as the server writes them
    DECIMAL               its digits, the scale's included   UUID, INET4, INET6         as the server writes them
    CHAR, VARCHAR, TEXT   the text itself                    BINARY, VARBINARY, BLOB    hexadecimal digits

Columns of other types do not compare with their own text as they do with each other (ENUM, FLOAT, …): a table with one
in its key is read in one pass, as if it had no key. Integers are compared here; for all else the server is asked, since
collations cannot be imitated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tailrace.event import Cell, Column, Table
from tailrace.schema import Value
from tailrace.snapshot.order import IntegerOrder, Key, KeyOrder
from tailrace_mysql import columntype as kinds
from tailrace_mysql.connection import Connection, identifier, literal
from tailrace_mysql.shape import ColumnShape, TableShape

_INTEGERS = frozenset({kinds.TINY, kinds.SHORT, kinds.INT24, kinds.LONG, kinds.LONGLONG, kinds.YEAR})
_TEMPORAL = frozenset({kinds.DATE, kinds.DATETIME2, kinds.TIMESTAMP2})
_OWN_TYPES = frozenset({"uuid", "inet4", "inet6"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_ASKED = 500  # keys in one statement


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a key; `place` is its index in rows. `collation` may be empty: its character set's default."""

    place: int
    shape: ColumnShape
    collation: str = ""

    def of_binlog(self, column: Column, cell: bytes) -> str:
        """Return the text of a cell of the binlog."""
        if self.shape.kind in _TEMPORAL:
            return _temporal(self.shape, cell)
        return _text_of(column.decode(cell))

    def of_text(self, column: Column, cell: bytes) -> str:
        """Return the text of a cell of a row that was read."""
        if self.shape.kind in _TEMPORAL:
            return cell.decode()
        return _text_of(column.decode(cell))

    def sql(self, text: str) -> str:
        """Return the value as SQL."""
        shape = self.shape
        if shape.kind in _INTEGERS or shape.kind == kinds.NEWDECIMAL:
            return text
        if shape.kind in _TEMPORAL:
            return f"CAST({literal(text)} AS {'DATE' if shape.kind == kinds.DATE else 'DATETIME(6)'})"
        if shape.declared in _OWN_TYPES:
            return f"CAST({literal(text)} AS {shape.declared.upper()})"
        if shape.charset == "binary":
            return f"X'{text}'"
        converted = f"CONVERT(_utf8mb4 X'{text.encode().hex()}' USING {shape.charset})"
        return f"{converted} COLLATE {self.collation}" if self.collation else converted


@dataclass(frozen=True, slots=True)
class TableKey:
    """The key that a table is read by; without columns it is read in one pass."""

    columns: tuple[KeyColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.shape.name for column in self.columns)

    def of_binlog(self, table: Table, cells: Sequence[Cell]) -> Key | None:
        """Return the key of a row of the binlog; None where a column was not sent."""
        return self._key(table, cells, KeyColumn.of_binlog)

    def of_text(self, table: Table, cells: Sequence[Cell]) -> Key | None:
        """Return the key of a row that was read."""
        return self._key(table, cells, KeyColumn.of_text)

    def _key(
        self, table: Table, cells: Sequence[Cell], text: Callable[[KeyColumn, Column, bytes], str]
    ) -> Key | None:  # fmt: skip
        key = []
        for column in self.columns:
            cell = cells[column.place]
            if not isinstance(cell, bytes):
                return None
            key.append(text(column, table.columns[column.place], cell))
        return tuple(key)

    def order(self, connection: Connection) -> KeyOrder:
        """Return how keys compare."""
        if all(column.shape.kind in _INTEGERS for column in self.columns):
            return IntegerOrder()
        return ServerOrder(connection, self.columns)

    def beyond(self, key: Key) -> str:
        """Return a condition for the rows beyond `key`; indexes are used for it, which they are not for rows."""
        names = [identifier(name) for name in self.names]
        values = [column.sql(text) for column, text in zip(self.columns, key, strict=True)]
        steps = []
        for place, (name, value) in enumerate(zip(names, values, strict=True)):
            same = [f"{names[before]} = {values[before]}" for before in range(place)]
            steps.append(" AND ".join([*same, f"{name} > {value}"]))
        joined = " OR ".join(f"({step})" for step in steps)
        return joined if len(steps) == 1 else f"{names[0]} >= {values[0]} AND ({joined})"

    def upto(self, key: Key) -> str:
        """Return a condition for the rows up to `key` and it."""
        names = [identifier(name) for name in self.names]
        values = [column.sql(text) for column, text in zip(self.columns, key, strict=True)]
        steps = []
        for place, (name, value) in enumerate(zip(names, values, strict=True)):
            same = [f"{names[before]} = {values[before]}" for before in range(place)]
            sign = "<=" if place == len(names) - 1 else "<"
            steps.append(" AND ".join([*same, f"{name} {sign} {value}"]))
        joined = " OR ".join(f"({step})" for step in steps)
        return joined if len(steps) == 1 else f"{names[0]} <= {values[0]} AND ({joined})"


class ServerOrder:
    """Asks the server how many bounds lie below each key, under the columns' own types and collations."""

    def __init__(self, connection: Connection, columns: Sequence[KeyColumn]) -> None:
        self._connection = connection
        self._columns = columns

    def ranks(self, keys: Sequence[Key], bounds: Sequence[Key]) -> list[int]:
        """Return, for each key, how many of the ascending `bounds` lie below it."""
        if not bounds:
            return [0] * len(keys)
        found: list[int] = []
        for begin in range(0, len(keys), MOST_ASKED):
            asked = keys[begin : begin + MOST_ASKED]
            sums = ("+".join(f"({self._row(key)} > {self._row(bound)})" for bound in bounds) for key in asked)
            found += [
                int(row[0] or 0) for row in self._connection.query(" UNION ALL ".join(f"SELECT {s}" for s in sums))
            ]
        return found

    def _row(self, key: Key) -> str:
        return "(" + ", ".join(column.sql(text) for column, text in zip(self._columns, key, strict=True)) + ")"


def table_key(shape: TableShape, collations: dict[str, str]) -> TableKey:
    """Return the key that a table can be read by; `collations` by column's name, as far as they are declared."""
    places = {column.name: place for place, column in enumerate(shape.columns)}
    columns = tuple(
        KeyColumn(places[name], shape.columns[places[name]], collations.get(name, "")) for name in shape.key
    )
    return TableKey(columns if all(_is_plain(column.shape) for column in columns) else ())


def _is_plain(shape: ColumnShape) -> bool:
    if shape.nullable:
        return False
    if shape.kind in _INTEGERS | _TEMPORAL | {kinds.NEWDECIMAL} or shape.declared in _OWN_TYPES:
        return True
    return shape.kind in kinds.TEXTUAL and bool(shape.charset)


def _text_of(value: Value) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _temporal(shape: ColumnShape, cell: bytes) -> str:
    """Return a date or time as the server writes it in UTC.

    DATE      => u24, little-endian: year << 9 | month << 5 | day
    DATETIME  => u40, big-endian: 1 << 39 | (year * 13 + month) << 22 | day << 17 | hour << 12 | minute << 6 | second
    TIMESTAMP => u32, big-endian: seconds since 1970; 0 is the zero date          fractions: see below
    """
    if shape.kind == kinds.DATE:
        packed = int.from_bytes(cell, "little")
        return f"{packed >> 9:04}-{packed >> 5 & 15:02}-{packed & 31:02}"
    wide = 4 if shape.kind == kinds.TIMESTAMP2 else 5
    packed = int.from_bytes(cell[:wide], "big")
    # Half as many octets as digits, rounded up; the last digit of an odd number of them is a zero.
    micros = int.from_bytes(cell[wide:], "big") * 10 ** (6 - 2 * len(cell[wide:]))
    fraction = f".{micros:06}"[: shape.meta + 1] if shape.meta else ""
    if shape.kind == kinds.TIMESTAMP2:
        moment = _EPOCH + timedelta(seconds=packed)
        return (f"{moment:%Y-%m-%d %H:%M:%S}" if packed else "0000-00-00 00:00:00") + fraction
    date, time = packed >> 17 & 0x3FFFFF, packed & 0x1FFFF
    months = date >> 5
    day = f"{months // 13:04}-{months % 13:02}-{date & 31:02}"
    return f"{day} {time >> 12:02}:{time >> 6 & 63:02}:{time & 63:02}{fraction}"
