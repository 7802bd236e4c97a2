"""What ALTER TABLE does, clause by clause, as values; and indexes and table options, which CREATE TABLE has as well.

Whatever is no clause about columns or indexes is taken for a table option: engines have their own.
Source: MySQL manual 15.1.9 (ALTER TABLE); MariaDB: ALTER TABLE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from tailrace_mysql.clause import Name, read_default, read_qualified
from tailrace_mysql.collation import charset_name
from tailrace_mysql.datatype import Definition, read_definition
from tailrace_mysql.declaration import Default
from tailrace_mysql.statement import Dialect, Words


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column goes: behind the column `after`, or first."""

    after: str | None = None


@dataclass(frozen=True, slots=True)
class PutColumn:
    """A column is added or, with `old`, replaces the one of that name. `lenient`: IF [NOT] EXISTS was written."""

    definition: Definition
    old: str | None = None
    place: Place | None = None
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class DropColumn:
    """A column goes."""

    name: str


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """A column gets another name."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class SetDefault:
    """A column gets another default, or none."""

    name: str
    default: Default | None


@dataclass(frozen=True, slots=True)
class SetInvisible:
    """A column is hidden from `SELECT *`, or shown."""

    name: str
    invisible: bool


@dataclass(frozen=True, slots=True)
class AddIndex:
    """An index. `whole`: it is over columns, and neither prefixes nor expressions."""

    name: str
    columns: tuple[str, ...]
    primary: bool = False
    unique: bool = False
    whole: bool = True


@dataclass(frozen=True, slots=True)
class DropIndex:
    """An index goes; PRIMARY is the primary key's name."""

    name: str


@dataclass(frozen=True, slots=True)
class RenameIndex:
    """An index gets another name."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class SetCharset:
    """Another default character set; `converts`: the columns that there are change to it as well."""

    charset: str | None
    collation: str | None
    converts: bool = False

    def with_more(self, other: SetCharset) -> SetCharset:
        """Return both: CHARACTER SET and COLLATE are two options."""
        return SetCharset(other.charset or self.charset, other.collation or self.collation, self.converts)


@dataclass(frozen=True, slots=True)
class SetTableComment:
    """Another comment."""

    comment: str


@dataclass(frozen=True, slots=True)
class SetVersioning:
    """MariaDB keeps old rows from now on, or no longer: two columns come or go."""

    on: bool


Alteration: TypeAlias = (
    PutColumn | DropColumn | RenameColumn | SetDefault | SetInvisible | AddIndex | DropIndex | RenameIndex | SetCharset
    | SetTableComment | SetVersioning
)  # fmt: skip
Constraint: TypeAlias = Callable[[Words], "AddIndex | Literal[False] | None"]

_PARTITIONS = frozenset({
    "PARTITION", "COALESCE", "TRUNCATE", "REORGANIZE", "EXCHANGE", "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD", "REPAIR",
    "REMOVE", "UPGRADE", "CONVERT",
})  # fmt: skip


def read_alterations(
    words: Words, dialect: Dialect, constraint: Constraint
) -> tuple[tuple[Alteration, ...], Name | None]:
    """Read the clauses of ALTER TABLE, and the table's new name if they have one."""
    found: list[Alteration] = []
    rename: Name | None = None
    while not words.ended():
        if words.accept("RENAME"):
            renamed = _rename(words)
            if isinstance(renamed, tuple):
                rename = renamed
            else:
                found.append(renamed)
        elif _is_of_partitions(words):
            break  # nothing else may follow, and no column changes
        else:
            found += _clause(words, dialect, constraint)
        if not words.ended() and not words.accept(",") and not _is_option(words):
            raise words.unread("a clause")
    return tuple(found), rename


def _is_of_partitions(words: Words) -> bool:
    if words.next.upper in {"ADD", "DROP"}:
        return words.ahead(1).upper == "PARTITION"
    if words.next.upper in {"DISCARD", "IMPORT"}:
        return words.ahead(1).upper == "PARTITION"
    return words.next.upper in _PARTITIONS and not words.sees("CONVERT", "TO")


def _clause(words: Words, dialect: Dialect, constraint: Constraint) -> list[Alteration]:
    verb = words.next.upper
    if verb == "ADD":
        return _add(words, dialect, constraint)
    if verb in {"CHANGE", "MODIFY"}:
        return [_change(words, dialect, changes=verb == "CHANGE")]
    if verb == "DROP":
        return _drop(words)
    if verb == "ALTER":
        return _alter(words)
    if words.accept("CONVERT", "TO"):
        option = read_table_option(words)
        if not isinstance(option, SetCharset):
            raise words.unread("CHARACTER SET")
        if words.accept("COLLATE"):
            words.accept("=")
            option = option.with_more(SetCharset(None, words.take().text.lower()))
        return [replace(option, converts=True)]
    found = read_table_option(words)
    return [found] if found else []


def _rename(words: Words) -> Name | RenameColumn | RenameIndex:
    if words.sees("COLUMN") and words.ahead(1).kind in {"name", "word"} and words.ahead(2).upper == "TO":
        words.take()
        old = words.name()
        words.expect("TO")
        return RenameColumn(old, words.name())
    if words.next.upper in {"INDEX", "KEY"}:
        words.take()
        old = words.name()
        words.expect("TO")
        return RenameIndex(old, words.name())
    if words.sees("COLUMN", "IF"):  # MariaDB
        words.take()
        words.expect("IF", "EXISTS")
        old = words.name()
        words.expect("TO")
        return RenameColumn(old, words.name())
    words.accept_any("TO", "AS", "=")
    return read_qualified(words)


def _add(words: Words, dialect: Dialect, constraint: Constraint) -> list[Alteration]:
    words.expect("ADD")
    if words.accept("SYSTEM", "VERSIONING"):
        return [SetVersioning(on=True)]
    if words.accept("PERIOD", "FOR"):
        words.skip_clause()
        return []
    is_column = words.accept("COLUMN")
    if not is_column and (index := constraint(words)) is not None:
        return [index] if isinstance(index, AddIndex) else []
    lenient = words.accept("IF", "NOT", "EXISTS")
    if not words.accept("("):
        return [_put(words, dialect, lenient=lenient)]
    found: list[Alteration] = []
    while not words.accept(")"):
        index = constraint(words)
        if index is None:
            found.append(_put(words, dialect, lenient=lenient))
        elif isinstance(index, AddIndex):
            found.append(index)
        words.accept(",")
    return found


def _put(words: Words, dialect: Dialect, *, lenient: bool, old: str | None = None) -> PutColumn:
    definition = read_definition(words, words.name(), mariadb=dialect.mariadb)
    return PutColumn(definition, old, _place(words), lenient)


def _place(words: Words) -> Place | None:
    if words.accept("FIRST"):
        return Place()
    return Place(words.name()) if words.accept("AFTER") else None


def _change(words: Words, dialect: Dialect, *, changes: bool) -> PutColumn:
    words.take()
    words.accept("COLUMN")
    lenient = words.accept("IF", "EXISTS")
    old = words.name() if changes else words.next.text
    return _put(words, dialect, lenient=lenient, old=old)


def _drop(words: Words) -> list[Alteration]:
    words.expect("DROP")
    if words.accept("PRIMARY", "KEY"):
        return [DropIndex("PRIMARY")]
    if words.accept("SYSTEM", "VERSIONING"):
        return [SetVersioning(on=False)]
    if words.accept("PERIOD", "FOR") or words.accept("FOREIGN", "KEY") or words.accept("CHECK"):
        words.skip_clause()
        return []
    if words.accept("CONSTRAINT"):
        words.accept("IF", "EXISTS")
        return [DropIndex(words.name())]  # a unique index may be dropped this way; there is none where it was a check
    if words.accept_any("INDEX", "KEY"):
        words.accept("IF", "EXISTS")
        return [DropIndex(words.name())]
    words.accept("COLUMN")
    words.accept("IF", "EXISTS")
    name = words.name()
    words.accept_any("RESTRICT", "CASCADE")
    return [DropColumn(name)]


def _alter(words: Words) -> list[Alteration]:
    words.expect("ALTER")
    if words.next.upper in {"INDEX", "CHECK", "CONSTRAINT", "KEY"}:
        words.skip_clause()
        return []
    words.accept("COLUMN")
    words.accept("IF", "EXISTS")
    name = words.name()
    if words.accept("SET", "DEFAULT"):
        return [SetDefault(name, read_default(words))]
    if words.accept("DROP", "DEFAULT"):
        return [SetDefault(name, None)]
    words.expect("SET")
    return [SetInvisible(name, words.accept_any("VISIBLE", "INVISIBLE") == "INVISIBLE")]


def read_index(words: Words, *, primary: bool = False, unique: bool = False, name: str = "") -> AddIndex:
    """Read an index from behind INDEX or KEY: a name that may be there, the columns, and options."""
    words.accept("IF", "NOT", "EXISTS")
    if not words.sees("(") and not words.sees("USING") and not words.sees("TYPE"):
        given = words.name()
        name = name if primary else given  # the name of a primary key is read over
    if words.accept_any("USING", "TYPE"):
        words.take()
    columns: list[str] = []
    whole = True
    words.expect("(")
    while not words.accept(")"):
        if words.sees("("):
            words.parenthesised()
            whole = False
        else:
            columns.append(words.name())
            whole &= not words.sees("(")
            if words.sees("("):
                words.parenthesised()
        words.accept_any("ASC", "DESC")
        if words.accept("WITHOUT", "OVERLAPS"):
            whole = False
        words.accept(",")
    words.skip_clause()
    return AddIndex(name, tuple(columns), primary=primary, unique=unique, whole=whole)


def read_table_option(words: Words) -> SetCharset | SetTableComment | None:
    """Read one table option; None for one that says nothing of rows."""
    words.accept("DEFAULT")
    if words.accept("CHARACTER", "SET") or words.accept("CHARSET") or words.accept("CHAR", "SET"):
        words.accept("=")
        name = words.take()
        return SetCharset(None if name.upper == "DEFAULT" else charset_name(name.text), None)
    if words.accept("COLLATE"):
        words.accept("=")
        return SetCharset(None, words.take().text.lower())
    if words.accept("COMMENT"):
        words.accept("=")
        return SetTableComment(words.string())
    if words.ended():
        return None
    words.take()
    while not words.ended() and not words.sees(",") and not _is_option(words):
        words.skip_one()
    return None


def _is_option(words: Words) -> bool:
    """Whether something that is read on its own comes next: options need no commas between them."""
    return words.next.upper in _OPTIONS


_OPTIONS = frozenset({
    "DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "COMMENT", "PARTITION", "SELECT", "AS", "IGNORE", "REPLACE", "START",
    "WITH", "ENGINE", "AUTO_INCREMENT", "ROW_FORMAT", "REMOVE", "READ", "ENCRYPTION", "STATS_PERSISTENT", "UNION",
})  # fmt: skip
