"""Tables as DDL declares them: values, and their JSON form in the schema history.

They say what a TABLE_MAP event does not: declared types (`tinyint(1)`), defaults, comments, generated columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Default:
    """A column's default other than null.

    `text` is a literal's value (a string without its quotes, a number as written), the digits of b'…' or x'…' with
    the letter before them (`b101`, `x1F`), or the text of an expression; CURRENT_TIMESTAMP counts as one.
    """

    kind: Literal["literal", "bits", "expression"]
    text: str


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """One column.

    `type` is the type's own name, lowercase, synonyms resolved (`integer` is `int`, `bool` is `tinyint` of length 1).
    `length` is what stands in parentheses first: characters, digits, bits, digits of a fraction, dimensions; `scale`
    what stands second. `charset` and `collation` are set for character types alone.
    """

    name: str
    type: str
    length: int | None = None
    scale: int | None = None
    unsigned: bool = False
    zerofill: bool = False
    charset: str | None = None
    collation: str | None = None
    members: tuple[str, ...] = ()
    nullable: bool = True
    default: Default | None = None
    auto_increment: bool = False
    generated: Literal["", "virtual", "stored"] = ""
    invisible: bool = False
    comment: str = ""
    srid: int | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """An index other than the primary key; `unique` where it makes whole columns unique, not prefixes of them."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class DeclaredTable:
    """One version of a table. `charset` and `collation` are what columns get that say nothing themselves."""

    database: str
    name: str
    columns: tuple[DeclaredColumn, ...]
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    charset: str = "utf8mb4"
    collation: str | None = None
    comment: str = ""
    row_end: str = ""
    """The column that tells until when a row counted, where old rows are kept: it ends the primary key."""

    @property
    def id(self) -> str:
        """The table's name with its database's: `shop.orders`."""
        return f"{self.database}.{self.name}"

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key or, without one, the first unique index of columns that are never null."""
        if self.primary_key:
            return self.primary_key
        required = {column.name for column in self.columns if not column.nullable}
        unique = [index.columns for index in self.indexes if index.unique]
        return next((columns for columns in unique if required.issuperset(columns)), ())


@dataclass(frozen=True, slots=True)
class DeclaredDatabase:
    """What a database says of tables that are made in it."""

    name: str
    charset: str
    collation: str | None = None


_TABLE = TypeAdapter(DeclaredTable)
_DATABASE = TypeAdapter(DeclaredDatabase)


def table_json(table: DeclaredTable) -> str:
    """Return a table as JSON; what is as by default is left out."""
    return _TABLE.dump_json(table, exclude_defaults=True).decode()


def table_of(text: str) -> DeclaredTable:
    """Return the table that `table_json` has written; raises `ValueError` for anything else."""
    return _TABLE.validate_json(text)


def database_json(database: DeclaredDatabase) -> str:
    """Return a database as JSON."""
    return _DATABASE.dump_json(database, exclude_defaults=True).decode()


def database_of(text: str) -> DeclaredDatabase:
    """Return the database that `database_json` has written; raises `ValueError` for anything else."""
    return _DATABASE.validate_json(text)
