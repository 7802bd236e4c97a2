r"""Rows on the wire: pgoutput's `TupleData` in the stream, lines of COPY text in the snapshot.

Both hold the same bytes per column: the output of the type's output function, in UTF-8. See `pgoutput.py` for
`TupleData`. A line of COPY text is the columns, separated by tabs, without the newline that ended it:

    \N  a null          \b \f \n \r \t \v \\  the character          everything else: itself

Source: Postgres manual, COPY, "Text Format".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import Struct
from struct import error as struct_error
from typing import Literal

from tailrace.errors import BadRecord
from tailrace.event import Cell
from tailrace.schema import UNAVAILABLE

_COUNT = Struct(">H")
_LENGTH = Struct(">I")
_NULL, _UNCHANGED, _TEXT = b"nut"

_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\"}


class TupleFormat:
    """Cuts `TupleData`."""

    __slots__ = ("_columns", "_table")
    layout: Literal["tuple"] = "tuple"

    def __init__(self, table: str, columns: int) -> None:
        self._table = table
        self._columns = columns

    def cells(self, wire: bytes) -> Sequence[Cell]:
        """Return one cell per column; raises `BadRecord` when `wire` does not hold that many, and nothing else."""
        cells: list[Cell] = []
        length_at = _LENGTH.unpack_from
        at = 2
        try:
            (columns,) = _COUNT.unpack_from(wire, 0)
            for _ in range(columns):
                kind = wire[at]
                if kind == _TEXT:
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
                    raise BadRecord(f"row of {self._table}: column {len(cells)} has the unknown kind {kind}")
        except (IndexError, struct_error) as error:
            raise BadRecord(f"row of {self._table}: cut short at byte {at} of {len(wire)}") from error
        if at != len(wire) or columns != self._columns:
            raise BadRecord(
                f"row of {self._table}: {columns} columns in {at} of {len(wire)} bytes, expected {self._columns}"
            )
        return cells


class CopyFormat:
    """Cuts lines of COPY text."""

    __slots__ = ("_columns", "_table")
    layout: Literal["copy"] = "copy"

    def __init__(self, table: str, columns: int) -> None:
        self._table = table
        self._columns = columns

    def cells(self, wire: bytes) -> Sequence[Cell]:
        """Return one cell per column; raises `BadRecord` when `wire` does not hold that many."""
        cells: list[Cell] = list(wire.split(b"\t")) if self._columns else []
        if len(cells) != self._columns:
            raise BadRecord(f"row of {self._table}: {len(cells)} columns, expected {self._columns}")
        if b"\\" in wire:
            return [_unescaped(cell) if isinstance(cell, bytes) and b"\\" in cell else cell for cell in cells]
        return cells


def _unescaped(cell: bytes) -> bytes | None:
    return None if cell == b"\\N" else _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), cell)


def fill_unchanged(new: bytes, old: bytes) -> bytes:
    """Return the `TupleData` `new` with the values that were not sent taken from `old`, where `old` has them."""
    old_parts, new_parts = _parts(old), _parts(new)
    if len(old_parts) != len(new_parts):
        return new
    filled = [
        before if after[0] == _UNCHANGED and before[0] == _TEXT else after
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
