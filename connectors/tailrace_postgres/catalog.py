"""What the catalogue says of the published tables, as of now.

The stream describes tables as of its own events (`pgoutput.Relation`), which may be older than the catalogue: it is
the authority on names, types and order. The catalogue adds what the stream does not say: nullability, defaults, the
order of the key, estimates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tailrace.source import SourceConfig
from tailrace_postgres.connection import Connection, Row

TOASTABLE = {"x", "e", "m"}


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column. `type_name` is the type as SQL writes it, `collation` the column's own one, "" for the type's."""

    name: str
    type_oid: int
    typmod: int
    not_null: bool
    default: str | None
    generated: str
    """How it is generated: s stored, v virtual; "" for a plain column."""
    collation: str
    type_name: str
    toastable: bool


@dataclass(frozen=True, slots=True)
class Index:
    """A unique index over plain columns, all rows, in index order."""

    name: str
    columns: tuple[str, ...]
    primary: bool
    identity: bool


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A published table. `identity` is the replica identity: d, f, i, n."""

    oid: int
    schema: str
    name: str
    kind: str
    identity: str
    columns: tuple[CatalogColumn, ...]
    """Those that are published."""
    indexes: tuple[Index, ...]
    estimate: int
    signature: str
    """Changes whenever a column or the key does; `SIGNATURE` is how it is asked for."""

    @property
    def id(self) -> str:
        """`schema.table`, as globs, topics and messages have it."""
        return f"{self.schema}.{self.name}"

    @property
    def partitioned(self) -> bool:
        """Whether the rows are in its partitions."""
        return self.kind == "p"

    def key(self) -> tuple[str, ...]:
        """Return the columns of the events' key, in its order; empty for a table without one.

        The primary key; without one, the first unique index over columns that are never null. Where the replica
        identity is an index that lacks some of these, the index's columns: deletes tell nothing else.
        """
        primary = next((index.columns for index in self.indexes if index.primary), ())
        named = next((index.columns for index in self.indexes if index.identity), ())
        if self.identity == "i" and named:
            best = primary if primary and set(primary) <= set(named) else named
        else:
            nullable = {column.name for column in self.columns if not column.not_null}
            unique = (index.columns for index in self.indexes if not nullable & set(index.columns))
            best = primary or next(unique, ())
        published = {column.name for column in self.columns}
        return best if published.issuperset(best) else ()

    @property
    def tells_old_keys(self) -> bool:
        """Whether updates and deletes can be told: Postgres refuses them on published tables where they cannot."""
        if self.identity == "d":
            return any(index.primary for index in self.indexes)
        return self.identity in {"f", "i"}


# One text per table; it must not change unless the shape of rows or the key does.
SIGNATURE = """
    (SELECT md5(string_agg(concat_ws(' ', a.attnum, quote_ident(a.attname), a.atttypid, a.atttypmod, a.attnotnull,
                                     a.attgenerated), ',' ORDER BY a.attnum)
            || coalesce((SELECT string_agg(concat_ws(' ', i.indexrelid, i.indkey, i.indisprimary, i.indisreplident),
                                           ',' ORDER BY i.indexrelid)
                           FROM pg_index i WHERE i.indrelid = {oid} AND i.indisunique AND i.indisvalid), '')
            || (SELECT r.relreplident::text FROM pg_class r WHERE r.oid = {oid}))
       FROM pg_attribute a WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped)"""

# Nothing here may take a lock on a table: a migration that holds one for long would stop the whole stream, and one that
# waits for a chunk to be read would wait for ever. So there is no pg_publication_tables, no pg_partition_tree, and no
# pg_get_expr with a table, all of which open tables.
_PUBLISHED = """
WITH publication AS (SELECT oid, puballtables, pubviaroot{generated} AS gencols FROM pg_publication WHERE pubname = $1),
named AS (
    SELECT r.prrelid AS oid FROM pg_publication_rel r JOIN publication p ON p.oid = r.prpubid
    UNION
    SELECT c.oid FROM pg_class c JOIN publication p ON p.puballtables{schemas})
SELECT {facts}, p.gencols, {listed}
  FROM publication p, pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384 AND ($2::oid IS NULL OR c.oid = $2::oid)
   AND CASE WHEN p.pubviaroot
            THEN c.oid IN (SELECT oid FROM named)
                 AND NOT (c.relispartition AND EXISTS (SELECT FROM pg_partition_ancestors(c.oid) a
                                                        WHERE a.relid <> c.oid AND a.relid IN (SELECT oid FROM named)))
            ELSE c.relkind = 'r'
                 AND (c.oid IN (SELECT oid FROM named)
                      OR (c.relispartition AND EXISTS (SELECT FROM pg_partition_ancestors(c.oid) a
                                                        WHERE a.relid IN (SELECT oid FROM named))))
            END
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

_SCHEMAS = """
    UNION
    SELECT c.oid FROM pg_class c
      JOIN pg_publication_namespace s ON s.pnnspid = c.relnamespace JOIN publication p ON p.oid = s.pnpubid"""

_LISTED = """(
       SELECT json_agg(a.attname)
         FROM pg_publication_rel r, unnest(r.prattrs::int2[]) k (attnum)
         JOIN pg_attribute a ON a.attnum = k.attnum
        WHERE r.prpubid = p.oid AND r.prrelid = c.oid AND a.attrelid = c.oid)"""

_FACTS = """c.oid, n.nspname, c.relname, c.relkind, c.relreplident,
       CASE WHEN c.relkind = 'p'
            THEN (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0)::bigint FROM pg_class l
                   WHERE l.relispartition AND l.relkind = 'r'
                     AND c.oid IN (SELECT a.relid FROM pg_partition_ancestors(l.oid) a))
            ELSE greatest(c.reltuples, 0)::bigint END,""" + SIGNATURE.format(oid="c.oid")

_ONE = f"SELECT {_FACTS} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid"

_COLUMNS = """
SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, 0) END, a.attgenerated,
       CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation
            THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) ELSE '' END,
       format_type(a.atttypid, a.atttypmod), a.attstorage
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
 WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
"""

_INDEXES = """
SELECT i.indrelid, c.relname, i.indisprimary, i.indisreplident,
       (SELECT json_agg(a.attname ORDER BY k.place)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE k.place <= i.indnkeyatts)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = ANY ($1::oid[]) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
   AND (i.indisprimary OR i.indimmediate)
 ORDER BY i.indrelid, c.relname COLLATE "C"
"""


_LISTED_TABLES = """
SELECT r.prrelid::text FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1
"""


class Catalog:
    """Asks for the tables of one publication that the globs of the configuration choose."""

    def __init__(self, connection: Connection, publication: str, config: SourceConfig) -> None:
        self._connection = connection
        self._publication = publication
        self._config = config
        version = connection.server_version
        self._published = _PUBLISHED.format(
            facts=_FACTS,
            generated=", pubgencols" if version >= 180000 else ", 'n'",
            schemas=_SCHEMAS if version >= 150000 else "",
            listed=_LISTED if version >= 150000 else "NULL",
        )

    def captured(self, schema: str, name: str) -> bool:
        """Whether the configuration chooses the table."""
        return chosen(f"{schema}.{name}", self._config.tables, self._config.exclude)

    def tables(self) -> list[CatalogTable]:
        """Return the published and chosen tables, sorted, with the columns that are sent."""
        rows = self._connection.query(self._published, [self._publication, None])
        return self._described([row for row in rows if self.captured(row[1] or "", row[2] or "")])

    def table(self, oid: int) -> CatalogTable | None:
        """Return one published table, chosen or not, with the columns that are sent; None where there is none."""
        rows = self._connection.query(self._published, [self._publication, str(oid)])
        return next(iter(self._described(rows)), None)

    def listed(self) -> set[int]:
        """Return the oids of the tables that the publication names one by one.

        Such a table can have had rows before; one that belongs to it as all tables do, or all of a schema, is sent from
        its first row on.
        """
        rows = self._connection.query(_LISTED_TABLES, [self._publication])
        return {int(row[0] or 0) for row in rows}

    def facts(self, oid: int) -> CatalogTable | None:
        """Return a table with all of its columns, whether it is published or not; None where there is none."""
        return next(iter(self._described(self._connection.query(_ONE, [str(oid)]))), None)

    def _described(self, rows: Sequence[Row]) -> list[CatalogTable]:
        oids = "{" + ",".join(str(row[0]) for row in rows) + "}"
        columns = _grouped(self._connection.query(_COLUMNS, [oids])) if rows else {}
        indexes = _grouped(self._connection.query(_INDEXES, [oids])) if rows else {}
        return [_table(row, columns.get(row[0], ()), indexes.get(row[0], ())) for row in rows]


def _table(row: Row, columns: Sequence[Row], indexes: Sequence[Row]) -> CatalogTable:
    oid, schema, name, kind, identity, estimate, signature, *sent = (text or "" for text in row)
    described = tuple(map(_column, columns))
    return CatalogTable(
        oid=int(oid),
        schema=schema,
        name=name,
        kind=kind,
        identity=identity,
        columns=_sent(described, *sent) if sent else described,
        indexes=tuple(map(_index, indexes)),
        estimate=int(estimate),
        signature=signature,
    )


def _sent(columns: Sequence[CatalogColumn], generated: str, listed: str) -> tuple[CatalogColumn, ...]:
    """Return the columns that a publication sends: those it lists, or else all but generated ones as it says."""
    if listed:
        names = set(json.loads(listed))
        return tuple(column for column in columns if column.name in names)
    return tuple(column for column in columns if not column.generated or (generated, column.generated) == ("s", "s"))


def row_filter(connection: Connection, publication: str, oid: int) -> str:
    """Return SQL for the publication's row filter on a table; null where there is none.

    It locks the table, so it is for a session that has the lock already.
    """
    if connection.server_version < 150000:
        return "NULL"
    return (
        "(SELECT pg_get_expr(r.prqual, r.prrelid) FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid "
        f"WHERE r.prrelid = {oid} AND p.pubname = {connection.literal(publication)})"
    )


def chosen(table: str, tables: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether the globs choose `table`, which is `schema.table`."""
    return any(fnmatchcase(table, glob) for glob in tables) and not any(fnmatchcase(table, glob) for glob in exclude)


def _grouped(rows: Sequence[Row]) -> Mapping[str | None, list[Row]]:
    groups: dict[str | None, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return groups


def _column(row: Row) -> CatalogColumn:
    _, name, type_oid, typmod, not_null, default, generated, collation, type_name, storage = row
    return CatalogColumn(
        name=name or "",
        type_oid=int(type_oid or 0),
        typmod=-1 if typmod is None else int(typmod),
        not_null=not_null == "t",
        default=default,
        generated=generated or "",
        collation=collation or "",
        type_name=type_name or "",
        toastable=storage in TOASTABLE,
    )


def _index(row: Row) -> Index:
    _, name, primary, identity, columns = row
    return Index(name or "", tuple(json.loads(columns or "[]")), primary == "t", identity == "t")
