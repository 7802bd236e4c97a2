"""Which schema a Postgres type has, and how the text of its values is read: Debezium 3.6's mapping.

`TypeMapper` makes the `Column`s of tables from `pg_type` and `pg_enum` (`TYPES_QUERY`). Its settings are Debezium's
defaults: decimals precise, times adaptive, binaries as bytes, intervals as numbers, hstore as JSON. Domains are what
they are made of. A type that has no form there is sent as text, and `is_fallback` says so.
See docs/types-postgres.md for the table, docs/debezium-differences.md for where values differ and why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tailrace.codec.placeholder import Placeholders, Shape
from tailrace.event import Column
from tailrace.schema import MISSING, Missing, Schema, Value
from tailrace.source import SourceConfig
from tailrace_postgres.array import array
from tailrace_postgres.binary import Binary, by_value
from tailrace_postgres.binary import array as binary_array
from tailrace_postgres.default import column_default, enum_default
from tailrace_postgres.form import BINARY_TEXT, BUILT_IN, EXTENSIONS, TEXT, Form

TYPES_QUERY = """
SELECT t.oid::text, t.typname::text, n.nspname::text, t.typtype::text,
       CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END::text, t.typbasetype::text, t.typtypmod::text,
       t.typdelim::text, t.typnotnull::text,
       (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text
          FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_type element ON element.oid = t.typelem AND t.typcategory = 'A'
 WHERE n.nspname <> 'pg_toast'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                    WHERE c.oid IN (t.typrelid, element.typrelid) AND c.relkind <> 'c')
"""
"""All types but the row types of tables; every column is text, or null."""

_BUILT_IN_SCHEMA = "pg_catalog"
_LIMITED_TEXTS = {"varchar", "bpchar"}
"""Types whose modifier is their length in characters, plus four."""
_ARRAY_SHAPES: Mapping[str, Shape] = {
    "text": "texts",
    "varchar": "texts",
    "bpchar": "texts",
    "json": "texts",
    "jsonb": "texts",
    "bytea": "byte_strings",
    "int4": "integers",
    "int8": "integers",
    "date": "integers",
    "uuid": "uuids",
}


@dataclass(frozen=True, slots=True)
class PgType:
    """One row of `pg_type`: `kind` is typtype, `base` and `base_typmod` a domain's, `labels` an enum's, in order."""

    oid: int
    name: str
    schema: str
    kind: str
    element: int = 0
    base: int = 0
    base_typmod: int = -1
    delimiter: str = ","
    not_null: bool = False
    labels: tuple[str, ...] = ()


def load_types(rows: Iterable[Sequence[str | bytes | None]]) -> Mapping[int, PgType]:
    """Return the types by oid from the rows of `TYPES_QUERY`, as text or as its bytes."""
    return {found.oid: found for found in map(_load, rows)}


def _load(row: Sequence[str | bytes | None]) -> PgType:
    texts = [cell.decode() if isinstance(cell, bytes) else cell for cell in row]
    oid, name, schema, kind, element, base, base_typmod, delimiter, not_null = (text or "" for text in texts[:9])
    labels = texts[9]
    return PgType(
        oid=int(oid),
        name=name,
        schema=schema,
        kind=kind,
        element=int(element),
        base=int(base),
        base_typmod=int(base_typmod),
        delimiter=delimiter,
        not_null=not_null in {"t", "true"},
        labels=tuple(json.loads(labels)) if labels else (),
    )


class TypeMapper:
    """Makes columns. Knows the types as they were when `types` was loaded."""

    def __init__(self, types: Mapping[int, PgType], config: SourceConfig) -> None:
        self._types = types
        self._placeholders = Placeholders.configured(config.unavailable_value)

    def column(
        self, name: str, type_oid: int, typmod: int, *, not_null: bool, default: str | None, binary: bool = False
    ) -> Column:  # fmt: skip
        """Return the column; `default` is its expression as `pg_get_expr` gives it.

        With `binary`, which is for types that have a binary form, `decode` reads that.
        """
        form = self._form(type_oid, typmod)
        declared = self._types.get(type_oid)
        required = not_null or (declared is not None and declared.not_null)
        schema = replace(form.schema, optional=not required, default=self._default(declared, form, default))
        placeholder = self._placeholders.of(form.shape)
        length = self._length(type_oid, typmod)
        if binary:
            assert form.binary is not None
            text = form.binary.text or by_value(form.binary.decode)
            return Column(name, schema, form.binary.decode, placeholder, form.binary.name, length, text=text)
        return Column(name, schema, form.decode, placeholder, form.name, length)

    def binary(self, type_oid: int) -> Binary | None:
        """Return how values of this type are read when they are sent in binary; None where they cannot be."""
        return self._form(type_oid, -1).binary

    def is_fallback(self, type_oid: int) -> bool:
        """Return whether values of this type are sent as text for want of a better form."""
        return self._form(type_oid, -1).fallback

    def type_name(self, type_oid: int) -> str:
        """Return a type's name for messages."""
        found = self._types.get(type_oid)
        if found is None:
            return f"oid {type_oid}"
        return found.name if found.schema == _BUILT_IN_SCHEMA else f"{found.schema}.{found.name}"

    def _form(self, type_oid: int, typmod: int) -> Form:
        found, typmod = self._base(type_oid, typmod)
        if found is None:
            return replace(TEXT, fallback=True)
        if found.kind == "e":
            return replace(TEXT, schema=_enum(found.labels), binary=BINARY_TEXT)
        if found.schema == _BUILT_IN_SCHEMA and found.name in BUILT_IN:
            return BUILT_IN[found.name](typmod)
        if found.element:
            return self._array(found, typmod)
        if found.kind == "b" and found.name in EXTENSIONS:
            return EXTENSIONS[found.name](typmod)
        return replace(TEXT, fallback=True)

    def _length(self, type_oid: int, typmod: int) -> int | None:
        """Return the most characters that a type allows."""
        found, typmod = self._base(type_oid, typmod)
        limited = found is not None and found.schema == _BUILT_IN_SCHEMA and found.name in _LIMITED_TEXTS
        return typmod - 4 if limited and typmod >= 4 else None

    def _base(self, type_oid: int, typmod: int) -> tuple[PgType | None, int]:
        """Follow domains down; only the innermost of them can have a type modifier."""
        found = self._types.get(type_oid)
        while found is not None and found.kind == "d":
            typmod = found.base_typmod if found.base_typmod >= 0 else typmod
            found = self._types.get(found.base)
        return found, typmod

    def _array(self, found: PgType, typmod: int) -> Form:
        element_type, _ = self._base(found.element, typmod)
        element = self._form(found.element, typmod)
        nulls = element_type is None or element_type.kind != "e"
        items = element.schema.as_optional() if nulls else element.schema
        is_built_in = element_type is not None and element_type.schema == _BUILT_IN_SCHEMA
        name = self.type_name(found.oid)
        in_binary = element.binary and Binary(binary_array(element.binary.decode, found.element, name, nulls=nulls))
        return Form(
            Schema("array", items=items),
            array(element.decode, name, nulls=nulls, delimiter=found.delimiter),
            _ARRAY_SHAPES.get(element_type.name, "none") if is_built_in and element_type else "none",
            fallback=element.fallback,
            binary=in_binary,
        )

    def _default(self, declared: PgType | None, form: Form, expression: str | None) -> Value | Missing:
        if expression is None or declared is None:
            return MISSING
        if declared.kind == "e":
            return enum_default(expression)
        if declared.schema != _BUILT_IN_SCHEMA:
            return MISSING
        return column_default(declared.name, expression, form.schema, form.decode)


def _enum(labels: Sequence[str]) -> Schema:
    return Schema("string", "io.debezium.data.Enum", version=1, parameters={"allowed": ",".join(labels)})
