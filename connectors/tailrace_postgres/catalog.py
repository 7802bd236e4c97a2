"""What the catalogue says of the published tables, as of now.

The stream describes tables as of its own events (`pgoutput.Relation`), which may be older than the catalogue: it is
the authority on names, types and order. The catalogue adds what the stream does not say: nullability, defaults, the
order of the key, row filters, estimates.
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
    generated: bool
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
    row_filter: str
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

_TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident,
       CASE WHEN c.relkind = 'p'
            THEN (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0)::bigint
                    FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf)
            ELSE greatest(c.reltuples, 0)::bigint END,
       {row_filter}, {columns}, {signature}
  FROM pg_publication_tables p
  JOIN pg_namespace n ON n.nspname = p.schemaname
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
 WHERE p.pubname = $1 AND ($2::oid IS NULL OR c.oid = $2::oid)
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

_COLUMNS = """
SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attgenerated,
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
 ORDER BY i.indrelid, c.relname COLLATE "C"
"""


class Catalog:
    """Asks for the tables of one publication that the globs of the configuration choose."""

    def __init__(self, connection: Connection, publication: str, config: SourceConfig) -> None:
        self._connection = connection
        self._publication = publication
        self._config = config
        # Since 15 a publication can have row filters and column lists.
        self._lists_columns = connection.server_version >= 150000
        # Since 18 the list of columns is exactly what is sent; before, it names generated columns that are not.
        self._lists_generated = connection.server_version >= 180000

    def captured(self, schema: str, name: str) -> bool:
        """Whether the configuration chooses the table."""
        return chosen(f"{schema}.{name}", self._config.tables, self._config.exclude)

    def tables(self) -> list[CatalogTable]:
        """Return the published and chosen tables, sorted."""
        return [table for table in self._load(None) if self.captured(table.schema, table.name)]

    def table(self, oid: int) -> CatalogTable | None:
        """Return one published table, chosen or not; None where there is none."""
        return next(iter(self._load(oid)), None)

    def _load(self, oid: int | None) -> list[CatalogTable]:
        sql = _TABLES.format(
            row_filter="p.rowfilter" if self._lists_columns else "NULL",
            columns="to_json(p.attnames)" if self._lists_columns else "NULL",
            signature=SIGNATURE.format(oid="c.oid"),
        )
        rows = self._connection.query(sql, [self._publication, None if oid is None else str(oid)])
        oids = "{" + ",".join(str(row[0]) for row in rows) + "}"
        columns = _grouped(self._connection.query(_COLUMNS, [oids])) if rows else {}
        indexes = _grouped(self._connection.query(_INDEXES, [oids])) if rows else {}
        return [self._table(row, columns.get(row[0], ()), indexes.get(row[0], ())) for row in rows]

    def _table(self, row: Row, columns: Sequence[Row], indexes: Sequence[Row]) -> CatalogTable:
        oid, schema, name, kind, identity, estimate, row_filter, listed, signature = (text or "" for text in row)
        published = set(json.loads(listed)) if listed else None
        described = map(_column, columns)
        return CatalogTable(
            oid=int(oid),
            schema=schema,
            name=name,
            kind=kind,
            identity=identity,
            columns=tuple(column for column in described if self._is_sent(column, published)),
            indexes=tuple(map(_index, indexes)),
            estimate=int(estimate),
            row_filter=row_filter,
            signature=signature,
        )

    def _is_sent(self, column: CatalogColumn, published: set[str] | None) -> bool:
        if column.generated and not self._lists_generated:
            return False
        return published is None or column.name in published


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
        default=None if generated else default,
        generated=bool(generated),
        collation=collation or "",
        type_name=type_name or "",
        toastable=storage in TOASTABLE,
    )


def _index(row: Row) -> Index:
    _, name, primary, identity, columns = row
    return Index(name or "", tuple(json.loads(columns or "[]")), primary == "t", identity == "t")
