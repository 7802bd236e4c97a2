"""The shape of a table at one moment: what both its table maps and its schema history can tell, and what one alone can.

A table map has types, and with `binlog_row_metadata = FULL` names, character sets, members and the key. The history, or
the catalogue at the time of a snapshot, also has what a table map never tells: the declared type, defaults, generated
columns, comments. `shape_of` puts the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tailrace.errors import BadRecord
from tailrace_mysql import columntype as kinds
from tailrace_mysql.charset import BINARY, charset_of, decoder
from tailrace_mysql.tablemap import TableMap


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """One column.

    `kind` and `meta` are those of `columntype.py`; `charset` is empty for what is not text, `binary` for text without a
    character set. `members` are an enum's or a set's, `geometry` is the kind of one (0: any). The rest is known from
    declarations only: `declared` is the type as `information_schema.columns.column_type` has it, in lower case
    (`tinyint(1)`, `uuid`), empty if it is not known; `default` the default as the catalogue has it, None without one.
    """

    name: str
    kind: int
    meta: int = 0
    nullable: bool = True
    unsigned: bool = False
    charset: str = ""
    members: tuple[str, ...] = ()
    visible: bool = True
    dimensions: int = 0
    geometry: int = 0
    declared: str = ""
    default: str | None = None
    generated: bool = False
    auto_increment: bool = False
    comment: str = ""
    srid: int | None = None

    @property
    def width(self) -> int:
        """The width of its cells in the binlog: octets or, negative, octets of the length before them."""
        return kinds.width(self.kind, self.meta)


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table: its columns in order, and its primary key's names in the key's order.

    `charset` is the table's default one, for columns that are added later.
    """

    database: str
    name: str
    columns: tuple[ColumnShape, ...]
    key: tuple[str, ...] = ()
    charset: str = ""
    comment: str = ""

    @property
    def id(self) -> str:
        """The table's name in configurations and messages."""
        return f"{self.database}.{self.name}"


def named(table: TableMap) -> bool:
    """Whether a table map has names: the server writes full metadata."""
    return table.metadata.names is not None


def fits(table: TableMap, known: TableShape) -> bool:
    """Whether rows under a table map can be those of a table of the shape `known`, as far as the map tells."""
    if len(table.types) != len(known.columns):
        return False
    metadata = table.metadata
    if metadata.names is not None and metadata.names != tuple(column.name for column in known.columns):
        return False
    if metadata.unsigned is not None and metadata.unsigned != tuple(
        column.unsigned and column.kind in kinds.NUMERIC for column in known.columns
    ):
        return False
    return all(
        _plain(kind, meta) == _plain(column.kind, column.meta) and nullable == column.nullable
        for kind, meta, nullable, column in zip(table.types, table.metas, table.nullable, known.columns, strict=True)
    )


def _plain(kind: int, meta: int) -> tuple[int, int]:
    """Return type and meta without MariaDB's compression, which declarations do not tell apart."""
    if kind == kinds.VARCHAR_COMPRESSED:
        return kinds.VARCHAR, meta - 1  # the head of a compressed value
    return (kinds.BLOB, meta) if kind == kinds.BLOB_COMPRESSED else (kind, meta)


def shape_of(table: TableMap, known: TableShape | None = None) -> TableShape:
    """Return the shape of the table under a map, with what only `known` tells, where that fits.

    Raises `ValueError` where the map has no names and `known` does not fit either.
    """
    if known is not None and not fits(table, known):
        known = None
    if not named(table):
        if known is None:
            raise ValueError(f"the table map of {table.database}.{table.table} has no names of columns")
        typed = zip(known.columns, table.types, table.metas, strict=True)
        columns = tuple(replace(column, kind=kind, meta=meta) for column, kind, meta in typed)
        return replace(known, database=table.database, name=table.table, columns=columns)
    columns = tuple(_column(table, place, known) for place in range(len(table.types)))
    key = tuple(columns[place].name for place, _ in table.metadata.key or ())
    if known is None:
        return TableShape(table.database, table.table, columns, key)
    return replace(known, database=table.database, name=table.table, columns=columns, key=key)


def _column(table: TableMap, place: int, known: TableShape | None) -> ColumnShape:
    metadata, kind = table.metadata, table.types[place]
    before = ColumnShape("", kind) if known is None else known.columns[place]
    names = metadata.names or ()
    charset = _charset(table, place) if kind not in {kinds.GEOMETRY, kinds.VECTOR} else ""
    members = metadata.members[place] if metadata.members else ()
    return replace(
        before,
        name=names[place],
        kind=kind,
        meta=table.metas[place],
        nullable=table.nullable[place],
        unsigned=_at(metadata.unsigned, place, no=before.unsigned),
        charset=charset or before.charset,
        members=tuple(decoded(member, charset) for member in members) or before.members,
        visible=_at(metadata.visible, place, no=True),
        dimensions=metadata.dimensions[place] if metadata.dimensions else 0,
        geometry=metadata.geometries[place] if metadata.geometries else before.geometry,
    )


def _at(values: Sequence[bool] | None, place: int, *, no: bool) -> bool:
    return no if values is None else values[place]


def _charset(table: TableMap, place: int) -> str:
    metadata, kind = table.metadata, table.types[place]
    collations = metadata.member_collations if kind in {kinds.ENUM, kinds.SET} else metadata.collations
    collation = collations[place] if collations else 0
    if collation == BINARY:
        return "binary"
    charset = charset_of(collation)
    if collation and not charset:
        raise ValueError(f"collation {collation} of {table.database}.{table.table} is unknown")
    return charset


def decoded(member: bytes, charset: str) -> str:
    """Return the text of a member of an enum or a set."""
    if charset in {"", "binary"}:
        return member.decode("utf-8", "replace")
    try:
        return decoder(charset)(member)
    except BadRecord as error:
        raise ValueError(error.message) from None
