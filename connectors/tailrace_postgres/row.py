r"""Rows on the wire: pgoutput's `TupleData` in the stream, rows of COPY in the snapshot; both as text or in binary.

A cell of text is the output of the type's output function, in UTF-8; a binary one that of its send function
(`printed.py`, `binary.py`). See `pgoutput.py` for `TupleData`. A line of COPY text is the columns, separated by tabs,
without the newline that ended it:

    \N  a null          \b \f \n \r \t \v \\  the character          everything else: itself

A row of binary COPY:

    columns:int16 (size:int32 octets)*                  size -1: a null

Source: Postgres manual, COPY, "Text Format" and "Binary Format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from struct import error as struct_error

from tailrace.errors import BadRecord
from tailrace.event import Cell, Layout, NarrowFormat, Table
from tailrace.schema import UNAVAILABLE
from tailrace.snapshot.order import Key

_COUNT = Struct(">H")
_LENGTH = Struct(">I")
_SIZE = Struct(">i")
_NULL, _UNCHANGED, _TEXT, _BINARY = b"nutb"

_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\"}


class WireFormat:
    """Cuts the rows of a table of this many columns."""

    __slots__ = ("_columns", "_cut", "_table", "layout")

    def __init__(self, layout: Layout, table: str, columns: int) -> None:
        self.layout: Layout = layout
        self._table = table
        self._columns = columns
        self._cut = _CUTS[layout]

    def cells(self, wire: bytes) -> Sequence[Cell]:
        """Return one cell per column; raises `BadRecord` when `wire` does not hold that many, and nothing else."""
        return self._cut(wire, self._table, self._columns)


def key_of_row(table: Table, wire: bytes) -> Key | None:
    """Return the key of a row as Postgres prints it; None where a column of it is null or was not sent.

    Raises `BadRecord` where it is not text.
    """
    cells = table.format.cells(wire)
    key = []
    for place in table.key:
        cell = cells[place]
        if not isinstance(cell, bytes):
            return None
        text_of = table.columns[place].text
        try:
            key.append((cell if text_of is None else text_of(cell)).decode())
        except UnicodeDecodeError:
            raise BadRecord(f"row of {table.id}: key column {table.columns[place].name} is not UTF-8") from None
    return tuple(key)


def is_binary(table: Table) -> bool:
    """Whether the values of a table's rows are in binary."""
    wire_format = table.format.whole if isinstance(table.format, NarrowFormat) else table.format
    return isinstance(wire_format, WireFormat) and wire_format.layout.startswith("binary_")


def _tuple_cells(wire: bytes, table: str, expected: int, value: int = _TEXT) -> list[Cell]:
    cells: list[Cell] = []
    length_at = _LENGTH.unpack_from
    at = 2
    try:
        (columns,) = _COUNT.unpack_from(wire, 0)
        for _ in range(columns):
            kind = wire[at]
            if kind == value:
                end = at + 5 + length_at(wire, at + 1)[0]
                cells.append(wire[at + 5 : end])
                at = end
            elif kind == _NULL:
                cells.append(None)
                at += 1
            elif kind == _UNCHANGED:
                cells.append(UNAVAILABLE)
                at += 1
            else:
                raise BadRecord(f"row of {table}: column {len(cells)} has the unknown kind {kind}")
    except (IndexError, struct_error) as error:
        raise BadRecord(f"row of {table}: cut short at byte {at} of {len(wire)}") from error
    if at != len(wire) or columns != expected:
        raise BadRecord(f"row of {table}: {columns} columns in {at} of {len(wire)} bytes, expected {expected}")
    return cells


def _binary_tuple_cells(wire: bytes, table: str, expected: int) -> list[Cell]:
    return _tuple_cells(wire, table, expected, _BINARY)


def _copy_cells(wire: bytes, table: str, expected: int) -> list[Cell]:
    cells: list[Cell] = list(wire.split(b"\t")) if expected else []
    if len(cells) != expected:
        raise BadRecord(f"row of {table}: {len(cells)} columns, expected {expected}")
    if b"\\" in wire:
        return [_unescaped(cell) if isinstance(cell, bytes) and b"\\" in cell else cell for cell in cells]
    return cells


def _binary_copy_cells(wire: bytes, table: str, expected: int) -> list[Cell]:
    cells: list[Cell] = []
    at = 2
    try:
        (columns,) = _COUNT.unpack_from(wire, 0)
        for _ in range(columns):
            (size,) = _SIZE.unpack_from(wire, at)
            at += 4
            cells.append(None if size == -1 else wire[at : at + size])
            at += max(size, 0)
            if size < -1 or at > len(wire):
                raise BadRecord(f"row of {table}: column {len(cells) - 1} of {size} bytes ends at {at} of {len(wire)}")
    except struct_error as error:
        raise BadRecord(f"row of {table}: cut short at byte {at} of {len(wire)}") from error
    if at != len(wire) or columns != expected:
        raise BadRecord(f"row of {table}: {columns} columns in {at} of {len(wire)} bytes, expected {expected}")
    return cells


_CUTS: Mapping[Layout, Callable[[bytes, str, int], list[Cell]]] = {
    "tuple": _tuple_cells,
    "copy": _copy_cells,
    "binary_tuple": _binary_tuple_cells,
    "binary_copy": _binary_copy_cells,
}


def _unescaped(cell: bytes) -> bytes | None:
    return None if cell == b"\\N" else _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), cell)


def fill_unchanged(new: bytes, old: bytes) -> bytes:
    """Return the `TupleData` `new` with the values that were not sent taken from `old`, where `old` has them."""
    old_parts, new_parts = _parts(old), _parts(new)
    if len(old_parts) != len(new_parts):
        return new
    filled = [
        before if after[0] == _UNCHANGED and before[0] in {_TEXT, _BINARY} else after
        for before, after in zip(old_parts, new_parts, strict=True)
    ]
    return new[:2] + b"".join(filled)


def lacks_values(wire: bytes) -> bool:
    """Whether some values of a `TupleData` were not sent."""
    return any(part[0] == _UNCHANGED for part in _parts(wire))


def _parts(wire: bytes) -> list[bytes]:
    """Cut a whole, checked `TupleData` into its columns, kind and length included."""
    parts = []
    at = 2
    for _ in range(_COUNT.unpack_from(wire, 0)[0]):
        end = at + (5 + _LENGTH.unpack_from(wire, at + 1)[0] if wire[at] in b"tb" else 1)
        parts.append(wire[at:end])
        at = end
    return parts
