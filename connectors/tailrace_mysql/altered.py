"""A declared table after a statement: what CREATE TABLE makes, and what ALTER TABLE makes of it.

The order of columns follows the servers' own procedure (mysql_prepare_alter_table): columns that stay in their place
first, then those that were added or moved, each behind the one that it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tailrace_mysql.alteration import (
    AddIndex,
    Alteration,
    DropColumn,
    DropIndex,
    PutColumn,
    RenameColumn,
    RenameIndex,
    SetCharset,
    SetDefault,
    SetInvisible,
    SetTableComment,
    SetVersioning,
)
from tailrace_mysql.clause import Name
from tailrace_mysql.collation import charset_of_collation
from tailrace_mysql.datatype import CHARACTER_TYPES, Definition, in_charset, settle
from tailrace_mysql.ddl import CreateTable
from tailrace_mysql.declaration import DeclaredColumn, DeclaredDatabase, DeclaredTable, Index
from tailrace_mysql.statement import UnreadDdl

_ROW_START, _ROW_END = "row_start", "row_end"


def created(statement: CreateTable, database: DeclaredDatabase) -> DeclaredTable:
    """Return the table that CREATE TABLE makes; raises `UnreadDdl` where that cannot be told from the statement."""
    if statement.is_select:
        raise UnreadDdl("read a statement: the columns of CREATE TABLE … SELECT are not in it")
    charset, collation = resolved(statement.charset, database.charset, database.collation)
    table = DeclaredTable(
        database=database.name,
        name=statement.name[1],
        columns=(),
        charset=charset,
        collation=collation,
        comment=statement.comment,
    )
    additions: list[Alteration] = [PutColumn(definition) for definition in statement.columns]
    if statement.versioned:
        row_end = next((definition.column.name for definition in statement.columns if definition.is_row_end), "")
        table = replace(table, row_end=row_end)
        additions += [] if row_end else [SetVersioning(on=True)]
    return altered(table, [*additions, *statement.indexes])


def renamed(table: DeclaredTable, name: Name) -> DeclaredTable:
    """Return the table under another name, in its own database where none is named."""
    return replace(table, database=name[0] or table.database, name=name[1])


def altered(table: DeclaredTable, alterations: Sequence[Alteration]) -> DeclaredTable:
    """Return the table after the clauses of one statement; raises `UnreadDdl` where they do not fit it."""
    table = _with_options(table, alterations)
    renames = {_key(step.old): step.new for step in alterations if isinstance(step, RenameColumn)}
    renames |= {
        _key(step.old): step.definition.column.name
        for step in alterations
        if isinstance(step, PutColumn) and step.old is not None
    }
    dropped = {_key(step.name) for step in alterations if isinstance(step, DropColumn)}
    columns = _placed(_kept(table, alterations, dropped, renames), alterations, table)
    table = replace(
        table,
        columns=tuple(columns),
        primary_key=_following(table.primary_key, dropped, renames),
        indexes=tuple(
            replace(index, columns=following)
            for index in table.indexes
            if (following := _following(index.columns, dropped, renames)) or not index.columns
        ),
    )
    return _with_whole_key(_with_indexes(_with_versioning(table, alterations), alterations))


def resolved(option: SetCharset | None, charset: str, collation: str | None) -> tuple[str, str | None]:
    """Return the character set and collation that an option asks for, or else what there was."""
    if option is None or (option.charset is None and option.collation is None):
        return charset, collation
    return option.charset or charset_of_collation(option.collation or "") or charset, option.collation


def _with_options(table: DeclaredTable, alterations: Sequence[Alteration]) -> DeclaredTable:
    options = [step for step in alterations if isinstance(step, SetCharset)]
    for option in options:
        charset, collation = resolved(option, table.charset, table.collation)
        columns = table.columns
        if option.converts:
            columns = tuple(in_charset(column, charset, collation) for column in columns)
        table = replace(table, charset=charset, collation=collation, columns=columns)
    for step in alterations:
        if isinstance(step, SetTableComment):
            table = replace(table, comment=step.comment)
    return table


def _kept(
    table: DeclaredTable, alterations: Sequence[Alteration], dropped: set[str], renames: dict[str, str]
) -> list[DeclaredColumn]:
    """Return the columns that stay in their place, changed where that is asked for."""
    moved = {_key(step.old) for step in alterations if isinstance(step, PutColumn) and step.old and step.place}
    changes = {
        _key(step.old): step.definition
        for step in alterations
        if isinstance(step, PutColumn) and step.old and not step.place
    }
    present = {_key(column.name) for column in table.columns}
    for step in alterations:
        old = step.old if isinstance(step, PutColumn | RenameColumn) else None
        lenient = isinstance(step, PutColumn) and step.lenient
        if old is not None and _key(old) not in present and not lenient:
            raise UnreadDdl(f"alter {table.id}: there is no column {old}")
    return [
        _changed(column, alterations, changes.get(_key(column.name)), renames, table)
        for column in table.columns
        if _key(column.name) not in dropped | moved
    ]


def _changed(
    column: DeclaredColumn,
    alterations: Sequence[Alteration],
    definition: Definition | None,
    renames: dict[str, str],
    table: DeclaredTable,
) -> DeclaredColumn:
    if definition is not None:
        return settle(definition, table.charset, table.collation)
    key = _key(column.name)
    for step in alterations:
        if isinstance(step, SetDefault) and _key(step.name) == key:
            column = replace(column, default=step.default)
        elif isinstance(step, SetInvisible) and _key(step.name) == key:
            column = replace(column, invisible=step.invisible)
    return replace(column, name=renames.get(key, column.name))


def _placed(
    columns: list[DeclaredColumn], alterations: Sequence[Alteration], table: DeclaredTable
) -> list[DeclaredColumn]:
    """Put columns that are added or moved where they belong."""
    there = {_key(column.name) for column in table.columns}
    for step in alterations:
        if isinstance(step, SetVersioning):
            columns = _versioned(columns, on=step.on)
        if not isinstance(step, PutColumn) or (step.old and not step.place):
            continue
        if step.lenient and (step.old is None) == (_key(step.old or step.definition.column.name) in there):
            continue  # ADD … IF NOT EXISTS of one that exists, MODIFY … IF EXISTS of one that does not
        column = settle(step.definition, table.charset, table.collation)
        if any(_key(other.name) == _key(column.name) for other in columns):
            raise UnreadDdl(f"alter {table.id}: there is a column {column.name} already")
        columns.insert(_position(columns, step, table), column)
    return columns


def _position(columns: list[DeclaredColumn], step: PutColumn, table: DeclaredTable) -> int:
    if step.place is None:
        return len(columns)
    if step.place.after is None:
        return 0
    for index, column in enumerate(columns):
        if _key(column.name) == _key(step.place.after):
            return index + 1
    raise UnreadDdl(f"alter {table.id}: there is no column {step.place.after}")


def _versioned(columns: list[DeclaredColumn], *, on: bool) -> list[DeclaredColumn]:
    if on:
        traits = DeclaredColumn("", "timestamp", length=6, nullable=False, generated="stored", invisible=True)
        return [*columns, replace(traits, name=_ROW_START), replace(traits, name=_ROW_END)]
    return [column for column in columns if column.name not in {_ROW_START, _ROW_END}]


def _following(names: tuple[str, ...], dropped: set[str], renames: dict[str, str]) -> tuple[str, ...]:
    return tuple(renames.get(_key(name), name) for name in names if _key(name) not in dropped)


def _with_indexes(table: DeclaredTable, alterations: Sequence[Alteration]) -> DeclaredTable:
    for step in alterations:
        match step:
            case DropIndex(name="PRIMARY"):
                table = replace(table, primary_key=())
            case DropIndex():
                kept = tuple(index for index in table.indexes if _key(index.name) != _key(step.name))
                table = replace(table, indexes=kept)
            case RenameIndex():
                table = replace(table, indexes=tuple(_index_renamed(index, step) for index in table.indexes))
    for step in alterations:
        match step:
            case AddIndex(primary=True):
                table = replace(table, primary_key=_as_declared(table, step.columns))
            case AddIndex():
                table = _with_index(table, step)
            case PutColumn() if step.definition.primary:
                table = replace(table, primary_key=(step.definition.column.name,))
            case PutColumn() if step.definition.unique:
                table = _with_index(table, AddIndex("", (step.definition.column.name,), unique=True))
    return table


def _index_renamed(index: Index, step: RenameIndex) -> Index:
    return replace(index, name=step.new) if _key(index.name) == _key(step.old) else index


def _with_index(table: DeclaredTable, step: AddIndex) -> DeclaredTable:
    columns = _as_declared(table, step.columns) if step.whole else ()
    name = step.name or _free_name(table, step.columns[0] if step.columns else "functional_index")
    if any(_key(index.name) == _key(name) for index in table.indexes):
        return table  # IF NOT EXISTS
    return replace(table, indexes=(*table.indexes, Index(name, columns, unique=step.unique and step.whole)))


def _free_name(table: DeclaredTable, wanted: str) -> str:
    """Return what the server calls an index without a name: as its first column, with a number where that is taken."""
    taken = {_key(index.name) for index in table.indexes}
    name, number = wanted, 2
    while _key(name) in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _as_declared(table: DeclaredTable, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of columns as the columns have them, for statements may write them otherwise."""
    declared = {_key(column.name): column.name for column in table.columns}
    missing = [name for name in names if _key(name) not in declared]
    if missing:
        raise UnreadDdl(f"index {table.id}: there is no column {missing[0]}")
    return tuple(declared[_key(name)] for name in names)


def _with_versioning(table: DeclaredTable, alterations: Sequence[Alteration]) -> DeclaredTable:
    for step in alterations:
        if isinstance(step, SetVersioning):
            key = tuple(name for name in table.primary_key if name != table.row_end)
            table = replace(table, row_end=_ROW_END if step.on else "", primary_key=key)
    return table


def _with_whole_key(table: DeclaredTable) -> DeclaredTable:
    """Let the columns of the primary key be required, and its last one tell old rows apart where they are kept."""
    if table.row_end and table.primary_key and table.row_end not in table.primary_key:
        table = replace(table, primary_key=(*table.primary_key, table.row_end))
    key = set(table.primary_key)
    columns = tuple(replace(column, nullable=False) if column.name in key else column for column in table.columns)
    return replace(table, columns=columns)


def _key(name: str | None) -> str:
    """Return what names of columns and indexes are compared by: their case does not matter."""
    return (name or "").lower()


def charsets_known(table: DeclaredTable) -> bool:
    """Whether every column that holds characters says in which set."""
    return all(column.charset for column in table.columns if column.type in CHARACTER_TYPES)
