"""A small pg_type for tests that need no server: the built-in types by name, and a few of a user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tailrace.event import Column
from tailrace.source import SourceConfig
from tailrace_postgres.types import PgType, TypeMapper, load_types

OIDS: Mapping[str, int] = {
    "bool": 16, "bytea": 17, "char": 18, "name": 19, "int8": 20, "int2": 21, "int4": 23, "text": 25, "oid": 26,
    "json": 114, "xml": 142, "point": 600, "float4": 700, "float8": 701, "money": 790, "inet": 869, "bpchar": 1042,
    "varchar": 1043, "date": 1082, "time": 1083, "timestamp": 1114, "timestamptz": 1184, "interval": 1186,
    "timetz": 1266, "bit": 1560, "varbit": 1562, "numeric": 1700, "uuid": 2950, "tsvector": 3614, "jsonb": 3802,
    "int4range": 3904, "pg_lsn": 3220,
}  # fmt: skip
"""Postgres' own numbers for them."""

ARRAY = 100_000
"""An array's oid here is its element's plus this."""

MOOD, POSITIVE, PRICE, DEEP_PRICE, REQUIRED, CITEXT, HSTORE, COMPOSITE, DOMAIN_OF_MOOD = range(200_000, 200_009)


def rows() -> list[tuple[str | None, ...]]:
    """Return rows as TYPES_QUERY gives them."""
    made = [_row(oid, name, "pg_catalog") for name, oid in OIDS.items()]
    made += [
        _row(MOOD, "mood", "app", "e", labels=["sad", "it's", "a,b"]),
        _row(POSITIVE, "positive", "app", "d", base=OIDS["int4"]),
        _row(PRICE, "price", "app", "d", base=OIDS["numeric"], base_typmod=(12 << 16 | 3) + 4),
        _row(DEEP_PRICE, "deep_price", "app", "d", base=PRICE),
        _row(REQUIRED, "required", "app", "d", base=OIDS["text"], not_null="true"),
        _row(CITEXT, "citext", "public"),
        _row(HSTORE, "hstore", "public"),
        _row(COMPOSITE, "pair", "app", "c"),
        _row(DOMAIN_OF_MOOD, "my_mood", "app", "d", base=MOOD),
    ]
    return made + [_row(int(row[0] or 0) + ARRAY, f"_{row[1]}", row[2] or "", element=int(row[0] or 0)) for row in made]


def _row(
    oid: int,
    name: str,
    schema: str,
    kind: str = "b",
    *,
    element: int = 0,
    base: int = 0,
    base_typmod: int = -1,
    not_null: str = "false",
    labels: list[str] | None = None,
) -> tuple[str | None, ...]:
    numbers = str(element), str(base), str(base_typmod)
    return (str(oid), name, schema, kind, *numbers, ",", not_null, json.dumps(labels) if labels else None)


def types() -> Mapping[int, PgType]:
    """Return the loaded types."""
    return load_types(rows())


def mapper(unavailable_value: str = "__debezium_unavailable_value") -> TypeMapper:
    """Return a mapper of these types."""
    settings = {"type": "postgres", "unavailable_value": unavailable_value}
    return TypeMapper(types(), SourceConfig.model_validate(settings))


def column(
    type_name: str | int, typmod: int = -1, *, array: bool = False, not_null: bool = False, default: str | None = None
) -> Column:
    """Return a column of a built-in type by name, or of any by oid."""
    oid = OIDS[type_name] if isinstance(type_name, str) else type_name
    return mapper().column("c", oid + ARRAY * array, typmod, not_null=not_null, default=default)
