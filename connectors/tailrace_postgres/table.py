"""Tables as events have them, made from what the stream or the catalogue says of their shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from tailrace.codec.projection import Projection
from tailrace.errors import Fatal
from tailrace.event import Column, Layout, RowFormat, Table
from tailrace_postgres.catalog import Catalog, CatalogColumn, CatalogTable
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection
from tailrace_postgres.origin import SOURCE
from tailrace_postgres.pgoutput import Relation
from tailrace_postgres.row import WireFormat
from tailrace_postgres.types import TYPES_QUERY, TypeMapper, load_types

log = structlog.get_logger()

_NOT_IN_TOPICS = re.compile(r"[^A-Za-z0-9._-]")

FIRST_USER_OID = 16384
"""Types from here on were made by users, and can have changed since we looked."""


@dataclass(frozen=True, slots=True)
class _ColumnShape:
    name: str
    type_oid: int
    typmod: int
    not_null: bool
    default: str | None


class Tables:
    """Makes `Table`s, and keeps them: the same shape gives the same object, so that its schemas are made once.

    Notes schema and name by table id in `names`. `in_binary` says whether the stream's values are to be sent in binary:
    `survey` decides it, and it becomes False once the stream describes a table that cannot be read so.
    """

    def __init__(
        self, connection: Connection, catalog: Catalog, config: PostgresConfig, prefix: str,
        names: dict[str, tuple[str, str]],
    ) -> None:  # fmt: skip
        self._connection = connection
        self._catalog = catalog
        self._config = config
        self._prefix = prefix
        self._made: dict[object, Table] = {}
        self._topics: dict[str, str] = {}
        self._warned: set[tuple[str, str]] = set()
        self._names = names
        self._projection = Projection(config.columns)
        self.in_binary = False
        self._load_types()

    def survey(self, tables: Sequence[CatalogTable]) -> None:
        """Look at the tables as they are now, and choose the form of the stream's values.

        Warns of patterns for columns that match none, and raises `Fatal` where one cannot be followed: now, since a
        table's first row can come much later.
        """
        self.in_binary = all(self._in_binary(list(map(_shape, table.columns)), table.key()) for table in tables)
        if self._projection.is_whole:
            return
        if unmatched := self.unmatched(tables):
            log.warning("patterns match no column of a captured table", patterns=unmatched)
        for table in tables:
            self.of_catalog(table)

    def unmatched(self, tables: Sequence[CatalogTable]) -> list[str]:
        """Return the patterns for columns that match none of `tables`."""
        return self._projection.unmatched(f"{table.id}.{column.name}" for table in tables for column in table.columns)

    def of_relation(self, relation: Relation) -> Table | None:
        """Return the table that a relation message describes; None: it is not captured.

        Asks the catalogue for what the message does not say, and believes it only as far as it still fits.
        """
        if not self._catalog.captured(relation.schema, relation.name):
            return None
        if any(column.type_oid >= FIRST_USER_OID for column in relation.columns):
            self._load_types()
        now = self._catalog.facts(relation.oid)
        known = {column.name: column for column in now.columns} if now else {}
        columns = []
        for column in relation.columns:
            facts = known.get(column.name)
            fits = facts is not None and (facts.type_oid, facts.typmod) == (column.type_oid, column.typmod)
            not_null = facts.not_null if facts and fits else column.identity and relation.identity in "di"
            default = facts.default if facts and fits else None
            columns.append(_ColumnShape(column.name, column.type_oid, column.typmod, not_null, default))
        key = key_of(relation, now)
        self.in_binary = self.in_binary and self._in_binary(columns, key)
        layout: Layout = "binary_tuple" if self.in_binary else "tuple"
        return self._table(relation.schema, relation.name, columns, key, layout)

    def joined(self, oid: int) -> bool:
        """Whether a table that is new to us was added to the publication by name: it can have rows already."""
        joined = self._config.snapshot == "initial" and self._catalog.table(oid) is not None
        return joined and oid in self._catalog.listed()

    def of_catalog(self, table: CatalogTable) -> Table:
        """Return the table as it is now, for rows that are read with COPY."""
        if any(column.type_oid >= FIRST_USER_OID for column in table.columns):
            self._load_types()
        columns = list(map(_shape, table.columns))
        layout: Layout = "binary_copy" if self._in_binary(columns, table.key()) else "copy"
        return self._table(table.schema, table.name, columns, table.key(), layout)

    def _in_binary(self, columns: Sequence[_ColumnShape], key: Sequence[str]) -> bool:
        """Whether all values can be read that are sent in binary, and those of the key printed."""
        forms = [self._mapper.binary(column.type_oid) for column in columns]
        return self._config.binary == "auto" and all(
            form is not None and (form.text is not None or column.name not in key)
            for form, column in zip(forms, columns, strict=True)
        )

    def _table(
        self, schema: str, name: str, columns: Sequence[_ColumnShape], key: Sequence[str], layout: Layout
    ) -> Table:  # fmt: skip
        binary = layout.startswith("binary_")
        made = tuple(
            self._mapper.column(c.name, c.type_oid, c.typmod, not_null=c.not_null, default=c.default, binary=binary)
            for c in columns
        )
        # The schemas, not only the shapes: an enum can have grown a label.
        schemas = repr([column.schema for column in made])
        identity = (schema, name, tuple(columns), tuple(key), layout, schemas)
        if identity not in self._made:
            self._made[identity] = self._new(
                schema, name, made, key, WireFormat(layout, f"{schema}.{name}", len(made))
            )  # fmt: skip
            self._warn_of_types(f"{schema}.{name}", columns)
        return self._made[identity]

    def _new(
        self, schema: str, name: str, columns: tuple[Column, ...], key: Sequence[str], wire: RowFormat
    ) -> Table:  # fmt: skip
        table_id = f"{schema}.{name}"
        topic = _NOT_IN_TOPICS.sub("_", f"{self._prefix}.{schema}.{name}")
        other = self._topics.setdefault(topic, table_id)
        if other != table_id:
            raise Fatal(
                f"tables {other} and {table_id} would share the topic {topic}", hint="exclude one of them, or rename it"
            )
        self._names[table_id] = (schema, name)
        places = {column.name: place for place, column in enumerate(columns)}
        whole = Table(table_id, topic, columns, tuple(places[column] for column in key), wire, SOURCE)
        return self._projection.table(whole)

    def _warn_of_types(self, table: str, columns: Sequence[_ColumnShape]) -> None:
        for column in columns:
            if self._mapper.is_fallback(column.type_oid) and (table, column.name) not in self._warned:
                self._warned.add((table, column.name))
                log.warning(
                    "column is sent as text", table=table, column=column.name,
                    type=self._mapper.type_name(column.type_oid),
                )  # fmt: skip

    def _load_types(self) -> None:
        self._mapper = TypeMapper(load_types(self._connection.query(TYPES_QUERY)), self._config)


def key_of(relation: Relation, now: CatalogTable | None) -> tuple[str, ...]:
    """Return the key's columns as of `relation`, in the order that the catalogue has for them, if it still has.

    With the default identity and with an index the message itself marks the key's columns: the primary key can have
    been another one then.
    """
    names = {column.name for column in relation.columns}
    by_catalog = now.key() if now else ()
    marked = tuple(column.name for column in relation.columns if column.identity)
    if relation.identity == "i" and set(by_catalog) <= set(marked) and by_catalog:
        return by_catalog
    if relation.identity in "di" and marked:
        ordered = by_catalog if set(by_catalog) == set(marked) else marked
        return _index_order(now, marked) or ordered
    return by_catalog if names.issuperset(by_catalog) else ()


def _index_order(now: CatalogTable | None, marked: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of an index over just these, in its order."""
    indexes = now.indexes if now else ()
    return next((index.columns for index in indexes if set(index.columns) == set(marked)), ())


def _shape(column: CatalogColumn) -> _ColumnShape:
    return _ColumnShape(column.name, column.type_oid, column.typmod, column.not_null, column.default)
