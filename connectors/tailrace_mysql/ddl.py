"""DDL statements as values: what they say of tables and databases, and nothing of what else they may do.

`read_ddl` returns None for a statement that cannot change the shape of a table. One that might, and cannot be read,
raises `UnreadDdl`. Names are as written; a database that is not named is None. Nothing is applied here: see `history`.
Source: MySQL manual 15.1 (data definition statements); MariaDB: Data Definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tailrace_mysql.alteration import (
    AddIndex,
    Alteration,
    DropIndex,
    SetCharset,
    SetTableComment,
    read_alterations,
    read_index,
    read_table_option,
)
from tailrace_mysql.clause import Name, read_qualified
from tailrace_mysql.datatype import Definition, read_definition
from tailrace_mysql.statement import Dialect, Words


@dataclass(frozen=True, slots=True)
class CreateTable:
    """`like` names the table to copy. `is_select`: columns come from a query as well, which nobody can read here."""

    name: Name
    columns: tuple[Definition, ...] = ()
    indexes: tuple[AddIndex, ...] = ()
    charset: SetCharset | None = None
    comment: str = ""
    like: Name | None = None
    if_not_exists: bool = False
    versioned: bool = False
    is_select: bool = False


@dataclass(frozen=True, slots=True)
class AlterTable:
    """Everything that one statement does to a table, in its order; `rename` is its new name."""

    name: Name
    alterations: tuple[Alteration, ...]
    rename: Name | None = None


@dataclass(frozen=True, slots=True)
class DropTables:
    """Tables, or views."""

    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class RenameTables:
    """From and to, one after the other: swaps go by way of a third name."""

    pairs: tuple[tuple[Name, Name], ...]


@dataclass(frozen=True, slots=True)
class SetDatabase:
    """A database is made, or given other defaults; `name` None: the session's own."""

    name: str | None
    charset: SetCharset
    creates: bool = False
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class DropDatabase:
    """A database goes, with its tables."""

    name: str


Ddl: TypeAlias = CreateTable | AlterTable | DropTables | RenameTables | SetDatabase | DropDatabase


def read_ddl(sql: str, dialect: Dialect) -> Ddl | None:
    """Return what a statement says, None for one that concerns no table's shape; raises `UnreadDdl`."""
    words = Words(sql, dialect)
    reader = _READERS.get(words.take().upper)
    return reader(words, dialect) if reader else None


def table_named(sql: str, dialect: Dialect) -> Name | None:
    """Return the table that a CREATE or ALTER TABLE is about, where just its beginning can be read."""
    words = Words(sql, dialect)
    while not words.ended() and not words.accept("TABLE"):
        words.take()
    if words.ended():
        return None
    _exists(words)
    return read_qualified(words)


def _create(words: Words, dialect: Dialect) -> Ddl | None:
    replaces = words.accept("OR", "REPLACE")
    if words.accept("TABLE"):
        return _create_table(words, dialect)
    if words.accept_any("DATABASE", "SCHEMA"):
        _exists(words)
        name = words.name()
        return SetDatabase(name, _database_charset(words), creates=True, replaces=replaces)
    unique = words.accept("UNIQUE")
    if words.accept_any("FULLTEXT", "SPATIAL", "VECTOR"):
        words.accept_any("ONLINE", "OFFLINE")
    if words.accept("INDEX"):
        return _create_index(words, unique=unique)
    return None  # a view, a routine, a user, a temporary table


def _create_index(words: Words, *, unique: bool) -> AlterTable:
    if words.accept("IF", "NOT", "EXISTS"):
        pass
    name = words.name()
    while not words.accept("ON"):
        words.take()  # USING BTREE
        if words.ended():
            raise words.unread("ON")
    table = read_qualified(words)
    return AlterTable(table, (read_index(words, unique=unique, name=name),))


def _create_table(words: Words, dialect: Dialect) -> CreateTable:
    if_not_exists = words.accept("IF", "NOT", "EXISTS")
    name = read_qualified(words)
    if words.accept("LIKE"):
        return CreateTable(name, like=read_qualified(words), if_not_exists=if_not_exists)
    if words.accept("(", "LIKE"):
        return CreateTable(name, like=read_qualified(words), if_not_exists=if_not_exists)
    columns: list[Definition] = []
    indexes: list[AddIndex] = []
    if words.accept("("):
        while not words.accept(")"):
            _read_element(words, dialect, columns, indexes)
            if not words.accept(",") and not words.sees(")"):
                raise words.unread('"," or ")"')
    charset, comment, versioned = _table_options(words)
    is_select = not words.ended() and words.sees("SELECT")
    return CreateTable(
        name,
        tuple(columns),
        tuple(indexes),
        charset,
        comment,
        if_not_exists=if_not_exists,
        versioned=versioned,
        is_select=is_select,
    )


def _read_element(words: Words, dialect: Dialect, columns: list[Definition], indexes: list[AddIndex]) -> None:
    """Read one element of a table: a column, an index, or something without meaning here."""
    if words.accept("PERIOD", "FOR"):
        words.skip_clause()
    elif (index := read_constraint(words)) is None:
        columns.append(read_definition(words, words.name(), mariadb=dialect.mariadb))
    elif isinstance(index, AddIndex):
        indexes.append(index)


def read_constraint(words: Words) -> AddIndex | Literal[False] | None:
    """Read an index or constraint; False for one that makes no rows unique or found, None where a column comes."""
    named = ""
    if words.accept("CONSTRAINT"):
        named = "" if words.next.upper in _CONSTRAINTS else words.name()
    if words.accept("PRIMARY", "KEY"):
        return read_index(words, primary=True, name="PRIMARY")
    if words.accept("UNIQUE"):
        words.accept_any("INDEX", "KEY")
        return read_index(words, unique=True, name=named)
    if words.accept_any("FOREIGN", "CHECK"):
        words.skip_clause()
        return False
    kind = words.next.upper
    if kind in {"FULLTEXT", "SPATIAL"} or (kind == "VECTOR" and words.ahead(1).upper in {"INDEX", "KEY"}):
        words.take()
        words.accept_any("INDEX", "KEY")
        return read_index(words)
    return read_index(words) if words.accept_any("INDEX", "KEY") else None


_CONSTRAINTS = frozenset({"PRIMARY", "UNIQUE", "FOREIGN", "CHECK"})


def _table_options(words: Words) -> tuple[SetCharset | None, str, bool]:
    """Read what follows the elements: the character set and comment, and whether old rows are kept."""
    charset: SetCharset | None = None
    comment, versioned = "", False
    while not (words.ended() or words.next.upper in _ENDS_OPTIONS):
        if words.accept(","):
            continue
        versioned |= words.accept("WITH", "SYSTEM", "VERSIONING")
        option = read_table_option(words)
        if isinstance(option, SetCharset):
            charset = option if charset is None else charset.with_more(option)
        elif isinstance(option, SetTableComment):
            comment = option.comment
    if not words.ended() and not words.sees("SELECT"):
        words.accept_any("IGNORE", "REPLACE")
        words.accept("AS")
    return charset, comment, versioned


_ENDS_OPTIONS = frozenset({"PARTITION", "SELECT", "AS", "IGNORE", "REPLACE", "START"})


def _alter(words: Words, dialect: Dialect) -> Ddl | None:
    if words.accept_any("DATABASE", "SCHEMA"):
        named = words.next.kind == "name" or words.next.upper not in _DATABASE_OPTIONS
        return SetDatabase(words.name() if named else None, _database_charset(words))
    while words.accept_any("ONLINE", "OFFLINE", "IGNORE"):
        pass
    if not words.accept("TABLE"):
        return None
    words.accept("IF", "EXISTS")
    name = read_qualified(words)
    alterations, rename = read_alterations(words, dialect, read_constraint)
    return AlterTable(name, alterations, rename)


_DATABASE_OPTIONS = frozenset({"DEFAULT", "CHARACTER", "CHARSET", "CHAR", "COLLATE", "ENCRYPTION", "READ", "COMMENT"})


def _database_charset(words: Words) -> SetCharset:
    charset = SetCharset(None, None)
    while not words.ended():
        option = read_table_option(words)
        charset = charset.with_more(option) if isinstance(option, SetCharset) else charset
    return charset


def _drop(words: Words, _: Dialect) -> Ddl | None:
    if words.accept_any("DATABASE", "SCHEMA"):
        _exists(words)
        return DropDatabase(words.name())
    if words.accept("INDEX"):
        _exists(words)
        index = words.name()
        words.expect("ON")
        return AlterTable(read_qualified(words), (DropIndex(index),))
    if not words.accept_any("TABLE", "TABLES"):
        return None  # a temporary table, a view, a routine
    _exists(words)
    names = [read_qualified(words)]
    while words.accept(","):
        names.append(read_qualified(words))
    return DropTables(tuple(names))


def _rename(words: Words, _: Dialect) -> Ddl | None:
    if not words.accept_any("TABLE", "TABLES"):
        return None
    pairs: list[tuple[Name, Name]] = []
    while True:
        _exists(words)
        old = read_qualified(words)
        if words.accept("WAIT"):
            words.number()
        words.accept("NOWAIT")
        words.expect("TO")
        pairs.append((old, read_qualified(words)))
        if not words.accept(","):
            return RenameTables(tuple(pairs))


def _exists(words: Words) -> None:
    """Step over IF EXISTS and IF NOT EXISTS: a statement in the binlog has been carried out."""
    if words.accept("IF"):
        words.accept("NOT")
        words.expect("EXISTS")


_READERS: Mapping[str, Callable[[Words, Dialect], Ddl | None]] = {
    "CREATE": _create, "ALTER": _alter, "DROP": _drop, "RENAME": _rename,
}  # fmt: skip
