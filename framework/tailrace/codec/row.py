"""Rows as pieces: one piece of output for each column, from wire cells or from values.

A piece is a column's share of the encoded row: Avro bytes, or a JSON value. The same pieces, picked by the key's
columns, make the key. Cells that are null or were not sent get pieces that were made beforehand; what a reader must be
told of besides the row is noted in `marks`, which costs nothing where there is nothing to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Generic, Protocol, TypeAlias, TypeVar

from tailrace.codec.avro_writer import UNFIT
from tailrace.codec.envelope import field_names
from tailrace.codec.fallback import fallback
from tailrace.codec.header import DEFAULTED_COLUMNS, SPECIAL_COLUMNS, UNAVAILABLE_COLUMNS, names_header
from tailrace.errors import BadRecord
from tailrace.event import Cell, Column, Row, Table
from tailrace.schema import DECIMAL, UNAVAILABLE, VARIABLE_SCALE_DECIMAL, Schema, Unavailable, Value

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)

FromCell: TypeAlias = Callable[[bytes], P]
FromValue: TypeAlias = Callable[..., P]

REFUSED = (BadRecord, *UNFIT)


class Form(Protocol[P_co]):
    """How values of a schema are written: Avro or JSON."""

    def value_writer(self, schema: Schema) -> FromValue[P_co]:
        """Return the function from a value, null included where it is optional, to its piece."""
        ...

    def cell_writer(self, column: Column) -> FromCell[P_co]:
        """Return the function from a cell's bytes to its piece."""
        ...


class Marks:
    """What was special about the rows written since the last `clear`: fields, each under the header that tells."""

    __slots__ = ("notes",)

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        """Empty for nearly every row, which is all that the quick path looks at."""

    def note(self, header: str, column: str) -> None:
        """Remember that `column` belongs into `header`."""
        self.notes.append((header, column))

    def names(self, header: str) -> list[str]:
        """Return the columns for `header`."""
        return [column for noted, column in self.notes if noted == header]

    def forget(self, header: str) -> None:
        """Drop the columns for `header`."""
        self.notes = [note for note in self.notes if note[0] != header]

    def headers(self) -> tuple[tuple[str, bytes | None], ...]:
        """Return the headers for a record."""
        kinds = dict.fromkeys(header for header, _ in self.notes)
        return tuple(names_header(kind, self.names(kind)) for kind in kinds)


class RowWriter(Generic[P]):
    """Writes the rows of one version of a table."""

    def __init__(self, table: Table, form: Form[P]) -> None:
        self._table = table
        self.marks = Marks()
        # Named as the record's fields are, so that readers find what a header tells of.
        named = [
            replace(column, name=name) for name, column in zip(field_names(table.columns), table.columns, strict=True)
        ]
        self._from_cell = [_cell_piece(column, form, self.marks) for column in named]
        self._from_value = [_value_piece(column, form, self.marks) for column in named]

    def cells(self, cells: Sequence[Cell]) -> list[P]:
        """Return the pieces of a row in wire form; raises `BadRecord` naming table and column."""
        try:
            return [write(cell) for write, cell in zip(self._from_cell, cells, strict=True)]
        except REFUSED:
            raise self._located(self._from_cell, cells) from None  # what went wrong may quote the value

    def row(self, row: Row) -> list[P]:
        """Return the pieces of a row of values; raises `BadRecord` naming table and column."""
        columns = self._table.columns
        try:
            values = [row[column.name] for column in columns]
        except KeyError:
            missing = ", ".join([column.name for column in columns if column.name not in row])
            raise BadRecord(f"row of {self._table.id} lacks column {missing}") from None
        try:
            return [write(value) for write, value in zip(self._from_value, values, strict=True)]
        except REFUSED:
            raise self._located(self._from_value, values) from None

    def _located(self, writers: Sequence[Callable[..., P]], row: Sequence[object]) -> BadRecord:
        columns = self._table.columns
        if len(row) != len(columns):
            return BadRecord(f"row of {self._table.id} has {len(row)} cells for {len(columns)} columns")
        for column, write, value in zip(columns, writers, row, strict=True):
            try:
                write(value)
            except BadRecord as error:
                return BadRecord(f"cannot encode {self._table.id} column {column.name}: {error.message}")
            except UNFIT:
                return BadRecord(
                    f"cannot encode {self._table.id} column {column.name}: value does not fit {column.schema.type}"
                )
        return BadRecord(f"cannot encode a row of {self._table.id}")


def _cell_piece(column: Column, form: Form[P], marks: Marks) -> Callable[[Cell], P]:
    if column.gaps:
        return _cell_piece_with_gaps(column, form, marks)
    if holds_decimals(column.schema):
        column = replace(column, decode=_noting_special(column, marks))
    write = form.cell_writer(column)
    missing = _missing_piece(column, form, marks)

    def piece(cell: Cell) -> P:
        if cell is None or cell is UNAVAILABLE:
            return missing(cell)
        return write(cell)

    return piece


def _cell_piece_with_gaps(column: Column, form: Form[P], marks: Marks) -> Callable[[Cell], P]:
    write, decode, name = form.value_writer(column.schema), column.decode, column.name
    missing = _missing_piece(column, form, marks)

    def piece(cell: Cell) -> P:
        if cell is None or cell is UNAVAILABLE:
            return missing(cell)
        value = decode(cell)
        if value is None:
            marks.note(SPECIAL_COLUMNS, name)
            return missing(None)
        return write(value)

    return piece


def _value_piece(column: Column, form: Form[P], marks: Marks) -> Callable[[Value], P]:
    write = form.value_writer(column.schema)
    missing = _missing_piece(column, form, marks)
    decimals, name = holds_decimals(column.schema), column.name

    def piece(value: Value) -> P:
        if value is None or value is UNAVAILABLE:
            return missing(value)
        if decimals and is_special(value):
            marks.note(SPECIAL_COLUMNS, name)
        return write(value)

    return piece


def _missing_piece(column: Column, form: Form[P], marks: Marks) -> Callable[[Unavailable | None], P]:
    write = form.value_writer(column.schema)
    name, optional = column.name, column.schema.optional
    null = write(fallback(column.schema))
    placeholder = null if column.placeholder is None else write(column.placeholder)

    def piece(cell: Unavailable | None) -> P:
        if cell is None:
            if not optional:
                marks.note(DEFAULTED_COLUMNS, name)
            return null
        marks.note(UNAVAILABLE_COLUMNS, name)
        return placeholder

    return piece


def _noting_special(column: Column, marks: Marks) -> Callable[[bytes], Value]:
    decode, name = column.decode, column.name

    def noting(cell: bytes) -> Value:
        value = decode(cell)
        if is_special(value):
            marks.note(SPECIAL_COLUMNS, name)
        return value

    return noting


def holds_decimals(schema: Schema) -> bool:
    """Whether values of `schema` are decimals, or have them for items."""
    innermost = schema
    while innermost.items is not None:
        innermost = innermost.items
    return innermost.name in {DECIMAL, VARIABLE_SCALE_DECIMAL}


def is_special(value: object) -> bool:
    """Whether a value is, or holds, a decimal that is no number."""
    match value:
        case Decimal():
            return not value.is_finite()
        case list():
            return any(map(is_special, value))
        case dict():
            return any(map(is_special, value.values()))
        case _:
            return False
