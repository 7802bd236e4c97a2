"""Table maps: what a rows event's columns are, as the server wrote it down beside the rows.

    Table map   table id u48 · flags u16 · length u8, database, 0 · length u8, table, 0 · columns lenenc ·
                type u8 x columns · size of the metas lenenc · metas · null bits, lowest first ·
                (field u8 · size lenenc · value)*
    field  1    signedness: a bit for each numeric column, highest first; set: unsigned
           2    default collation lenenc · (text column lenenc · its collation lenenc)*
           3    collation lenenc, for each text column
           4    name, length lenenc, for each column
        5, 6    members of each set, and of each enum column: count lenenc · text, length lenenc
           7    kind of geometry lenenc, for each geometry column
           8    key column lenenc, in the key's order
           9    key column lenenc · prefix lenenc
      10, 11    as 2 and 3, for enum and set columns
          12    visibility: a bit for each column, highest first
          13    dimensions lenenc, for each vector column

With `binlog_row_metadata = MINIMAL` fields 1, 2, 3 and 7 are all there is; MariaDB's default has none. Fields that
are unknown are left alone: they describe, and do not change how rows are read. Source: MySQL's manual of the binlog
events (`Table_map_event`); MariaDB Knowledge Base, "TABLE_MAP_EVENT"; what both servers write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from tailrace_mysql import columntype as kinds
from tailrace_mysql.body import Body
from tailrace_mysql.header import Header

T = TypeVar("T")


class TableMapped(NamedTuple):
    """From here on `table_id` stands for the table of `body`, which `TableMap.parse` reads.

    Equal bodies make equal maps.
    """

    header: Header
    table_id: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is optional in a table map; None: not told.

    By column: `unsigned`, `collations` (0: no text), `members` (in the column's character set), `geometries`,
    `visible`, `dimensions`. `key` has (column, length of the prefix that is indexed; 0: all of it).
    """

    unsigned: tuple[bool, ...] | None = None
    collations: tuple[int, ...] | None = None
    member_collations: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    members: tuple[tuple[bytes, ...], ...] | None = None
    geometries: tuple[int, ...] | None = None
    key: tuple[tuple[int, int], ...] | None = None
    visible: tuple[bool, ...] | None = None
    dimensions: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class TableMap:
    """The columns of a table as of the rows that follow.

    `types` and `metas` tell how cells are cut: enum and set columns have types of their own here, and `metas` mean what
    `columntype.py` says. `widths` is the same, ready for cutting. `nullable` by column.
    """

    database: str
    table: str
    types: tuple[int, ...]
    metas: tuple[int, ...]
    nullable: tuple[bool, ...]
    metadata: Metadata = field(default_factory=Metadata)
    widths: tuple[int, ...] = ()

    @classmethod
    def parse(cls, octets: bytes, *, mariadb: bool) -> TableMap:
        """Read what follows table id and flags; raises `ValueError` for what is malformed.

        Which columns have a collation is another matter for either server.
        """
        body = Body(octets)
        database = body.text(body.u(1))
        body.u(1)
        table = body.text(body.u(1))
        body.u(1)
        count = body.lenenc()
        types = body.take(count)
        columns = list(_columns(types, Body(body.lenenc_bytes())))
        nulls = body.take((count + 7) // 8)
        nullable = tuple(bool(nulls[place >> 3] >> (place & 7) & 1) for place in range(count))
        real = tuple(kind for kind, _ in columns)
        widths = tuple(kinds.width(kind, meta) for kind, meta in columns)
        metas = tuple(meta for _, meta in columns)
        metadata = _metadata(real, body, kinds.TOLD_BY_MARIADB if mariadb else kinds.TOLD_BY_MYSQL)
        return cls(database, table, real, metas, nullable, metadata, widths)

    @property
    def json_columns(self) -> tuple[int, ...]:
        """The columns whose values can be told by their differences."""
        return tuple(place for place, kind in enumerate(self.types) if kind == kinds.JSON)


def table_mapped(header: Header, body: Body) -> TableMapped:
    """Read the body of a table map as far as it names an id."""
    table_id = body.u(6)
    body.take(2)
    return TableMapped(header, table_id, body.rest())


def _columns(types: bytes, metas: Body) -> Iterator[tuple[int, int]]:
    for kind in types:
        yield kinds.real(kind, metas.take(kinds.meta_size(kind)))
    metas.end()


def _metadata(types: Sequence[int], body: Body, textual: frozenset[int]) -> Metadata:
    fields: dict[int, Body] = {}
    while body.left:
        number = body.u(1)
        fields[number] = Body(body.lenenc_bytes())
    numeric = [place for place, kind in enumerate(types) if kind in kinds.NUMERIC]
    texts = [place for place, kind in enumerate(types) if kind in textual]
    chosen = [place for place, kind in enumerate(types) if kind in {kinds.ENUM, kinds.SET}]
    whole = range(len(types))
    width = len(types)
    return Metadata(
        unsigned=_spread(_bits(fields.get(1), len(numeric)), numeric, width, no=False),
        collations=_collations(fields.get(2), fields.get(3), texts, width),
        member_collations=_collations(fields.get(10), fields.get(11), chosen, width),
        names=tuple(name.decode() for name in _strings(fields[4])) if 4 in fields else None,
        members=_members(types, fields.get(5), fields.get(6)),
        geometries=_spread(_integers(fields.get(7)), _of(types, kinds.GEOMETRY), width, no=0),
        key=_key(fields.get(8), fields.get(9)),
        visible=_spread(_bits(fields.get(12), width), whole, width, no=True),
        dimensions=_spread(_integers(fields.get(13)), _of(types, kinds.VECTOR), width, no=0),
    )


def _of(types: Sequence[int], wanted: int) -> list[int]:
    return [place for place, kind in enumerate(types) if kind == wanted]


def _spread(values: Sequence[T] | None, places: Sequence[int], width: int, *, no: T) -> tuple[T, ...] | None:
    """Return one value for each column from those of the columns at `places`."""
    if values is None:
        return None
    if len(values) != len(places):
        raise ValueError(f"{len(values)} values describe {len(places)} columns")
    by_place = dict(zip(places, values, strict=True))
    return tuple(by_place.get(place, no) for place in range(width))


def _bits(body: Body | None, count: int) -> list[bool] | None:
    if body is None:
        return None
    octets = body.take((count + 7) // 8)
    return [bool(octets[place >> 3] & 0x80 >> (place & 7)) for place in range(count)]


def _integers(body: Body | None) -> list[int] | None:
    if body is None:
        return None
    found = []
    while body.left:
        found.append(body.lenenc())
    return found


def _strings(body: Body) -> Iterator[bytes]:
    while body.left:
        yield body.lenenc_bytes()


def _collations(common: Body | None, each: Body | None, places: list[int], width: int) -> tuple[int, ...] | None:
    if each is not None:
        return _spread(_integers(each), places, width, no=0)
    if common is None:
        return None
    values = [common.lenenc()] * len(places)
    while common.left:
        place = common.lenenc()
        if place >= len(values):
            raise ValueError(f"a collation is told of text column {place} of {len(values)}")
        values[place] = common.lenenc()
    return _spread(values, places, width, no=0)


def _members(types: Sequence[int], sets: Body | None, enums: Body | None) -> tuple[tuple[bytes, ...], ...] | None:
    if sets is None and enums is None:
        return None
    bodies = {kinds.SET: sets, kinds.ENUM: enums}
    found = []
    for kind in types:
        body = bodies.get(kind)
        found.append(tuple(body.lenenc_bytes() for _ in range(body.lenenc())) if body else ())
    return tuple(found)


def _key(simple: Body | None, prefixed: Body | None) -> tuple[tuple[int, int], ...] | None:
    whole, pairs = _integers(simple), _integers(prefixed)
    if whole is not None:
        return tuple((place, 0) for place in whole)
    return None if pairs is None else tuple(zip(pairs[::2], pairs[1::2], strict=True))
