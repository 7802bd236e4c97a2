"""The shape of a table from its declaration: which types and metas the server will write into its table maps.

MariaDB differs where a type is its own: uuid, inet4 and inet6 are fixed strings of octets there.
Source: MySQL's manual of the binlog events (`Table_map_event`); what both servers write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from tailrace_mysql import columntype as kinds
from tailrace_mysql.collation import longest
from tailrace_mysql.datatype import BLOBS, TEXTS
from tailrace_mysql.declaration import DeclaredColumn, DeclaredTable
from tailrace_mysql.shape import ColumnShape, TableShape

_Kind: TypeAlias = Callable[[DeclaredColumn], tuple[int, int]]

_GEOMETRIES = ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
               "geomcollection")  # fmt: skip
_OCTETS = frozenset({"binary", "varbinary", "uuid", "inet4", "inet6", *BLOBS})
_NOW = re.compile(r"(?:current_timestamp|now|localtime|localtimestamp)\b\s*(?:\(\s*(\d*)\s*\))?$", re.IGNORECASE)


def table_shape(table: DeclaredTable) -> TableShape:
    """Return the shape of a declared table; raises `ValueError` for a type that the binlog does not have."""
    columns = tuple(map(_column_shape, table.columns))
    return TableShape(table.database, table.name, columns, table.primary_key, table.charset, table.comment)


def type_text(column: DeclaredColumn) -> str:
    """Return the type as it is declared, in the words of `information_schema.columns.column_type`."""
    sizes = [str(size) for size in (column.length, column.scale) if size is not None]
    if column.type in {"time", "datetime", "timestamp"} and not column.length:
        sizes = []
    if column.members:
        sizes = ["'" + member.replace("'", "''") + "'" for member in column.members]
    text = column.type + (f"({','.join(sizes)})" if sizes else "")
    return text + " unsigned" * column.unsigned + " zerofill" * column.zerofill


def _column_shape(column: DeclaredColumn) -> ColumnShape:
    kind, meta = _KINDS[column.type](column) if column.type in _KINDS else (None, 0)
    if kind is None:
        raise ValueError(f"column {column.name} has the type {column.type}, which the binlog does not have")
    return ColumnShape(
        column.name,
        kind,
        meta,
        nullable=column.nullable,
        unsigned=column.unsigned or column.type == "year",
        charset="binary" if column.type in _OCTETS else column.charset or "",
        members=column.members,
        visible=not column.invisible,
        dimensions=column.length or 0 if column.type == "vector" else 0,
        declared=type_text(column),
        default=_default(column),
        generated=bool(column.generated),
        auto_increment=column.auto_increment,
        comment=column.comment,
        srid=column.srid,
    )


def _default(column: DeclaredColumn) -> str | None:
    """Return a default as the catalogue has it; None for an expression, which is another value for every row."""
    default = column.default
    if default is None or default.kind == "literal":
        return default.text if default else None
    if default.kind == "bits":
        return f"b'{default.text[1:]}'" if default.text[0] == "b" else f"0x{default.text[1:]}"
    now = _NOW.match(default.text)
    if now is None:
        return None
    return f"CURRENT_TIMESTAMP({now[1]})" if now[1] else "CURRENT_TIMESTAMP"


def _fixed(kind: int, meta: int = 0) -> _Kind:
    return lambda _: (kind, meta)


def _sized(kind: int) -> _Kind:
    """Return the kind with what is in parentheses as its meta: bits, or digits of a fraction."""
    return lambda column: (kind, column.length or 0)


def _characters(kind: int) -> _Kind:
    return lambda column: (kind, (column.length or 0) * longest(column.charset or "binary"))


def _decimal(column: DeclaredColumn) -> tuple[int, int]:
    return kinds.NEWDECIMAL, (column.length or 10) << 8 | (column.scale or 0)


def _enum(column: DeclaredColumn) -> tuple[int, int]:
    return kinds.ENUM, 1 if len(column.members) < 256 else 2


def _set(column: DeclaredColumn) -> tuple[int, int]:
    octets = (len(column.members) + 7) // 8
    return kinds.SET, octets if octets <= 4 else 8


_KINDS: Mapping[str, _Kind] = {
    "tinyint": _fixed(kinds.TINY),
    "smallint": _fixed(kinds.SHORT),
    "mediumint": _fixed(kinds.INT24),
    "int": _fixed(kinds.LONG),
    "bigint": _fixed(kinds.LONGLONG),
    "float": _fixed(kinds.FLOAT, 4),
    "double": _fixed(kinds.DOUBLE, 8),
    "decimal": _decimal,
    "bit": _sized(kinds.BIT),
    "year": _fixed(kinds.YEAR),
    "date": _fixed(kinds.DATE),
    "time": _sized(kinds.TIME2),
    "datetime": _sized(kinds.DATETIME2),
    "timestamp": _sized(kinds.TIMESTAMP2),
    "char": _characters(kinds.STRING),
    "binary": _characters(kinds.STRING),
    "varchar": _characters(kinds.VARCHAR),
    "varbinary": _characters(kinds.VARCHAR),
    "enum": _enum,
    "set": _set,
    "json": _fixed(kinds.JSON, 4),
    "vector": _fixed(kinds.VECTOR, 4),
    "uuid": _fixed(kinds.STRING, 16),
    "inet6": _fixed(kinds.STRING, 16),
    "inet4": _fixed(kinds.STRING, 4),
    **{name: _fixed(kinds.BLOB, octets) for names in (TEXTS, BLOBS) for octets, name in enumerate(names, 1)},
    **dict.fromkeys(_GEOMETRIES, _fixed(kinds.GEOMETRY, 4)),
}
