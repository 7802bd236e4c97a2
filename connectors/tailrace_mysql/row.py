"""Rows on the wire, on their own: of the stream, and of the snapshot.

    row of the binlog   present bits, one for each column · null bits, one for each column that is present · cells
    cell                as its type has it (`columntype.py`), the length before it included
    row of text         (0xfb: null | length lenenc · octets)*

Bits stand lowest first. A column that is not present (`binlog_row_image` other than FULL, or a JSON value of which
only the differences are known) is unavailable. Source: MySQL's manual of the binlog events (`Rows_event`) and of the
protocol, "Text Resultset Row".
"""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.errors import BadRecord
from tailrace.event import Cell, Layout
from tailrace.schema import UNAVAILABLE
from tailrace_mysql.body import Body

_NULL = 0xFB


class BinlogRow:
    """Cuts rows of the binlog. `widths` is the columns' `columntype.width`."""

    __slots__ = ("_table", "layout", "widths")

    def __init__(self, table: str, widths: Sequence[int]) -> None:
        self._table = table
        self.layout: Layout = "binlog"
        self.widths = tuple(widths)

    def cells(self, wire: bytes) -> Sequence[Cell]:
        """Return one cell per column, without the lengths before them; raises `BadRecord` when `wire` is malformed."""
        octets = (len(self.widths) + 7) // 8
        # The servers leave bits behind the last column set, or not, as they like.
        present = int.from_bytes(wire[:octets], "little") & (1 << len(self.widths)) - 1
        null_octets = (present.bit_count() + 7) // 8
        nulls = int.from_bytes(wire[octets : octets + null_octets], "little")
        at = octets + null_octets
        cells: list[Cell] = []
        for width in self.widths:
            if not present & 1:
                cells.append(UNAVAILABLE)
            else:
                if nulls & 1:
                    cells.append(None)
                else:
                    begin = at if width >= 0 else at - width
                    at = begin + (width if width >= 0 else int.from_bytes(wire[at:begin], "little"))
                    cells.append(wire[begin:at])
                nulls >>= 1
            present >>= 1
        if at != len(wire):
            raise BadRecord(f"row of {self._table}: cells end at {at} of {len(wire)} octets")
        return cells


class TextRow:
    """Cuts rows of a result set in the text protocol."""

    __slots__ = ("_table", "columns", "layout")

    def __init__(self, table: str, columns: int) -> None:
        self._table = table
        self.columns = columns
        self.layout: Layout = "text_row"

    def cells(self, wire: bytes) -> Sequence[Cell]:
        """Return one cell per column; raises `BadRecord` when `wire` is malformed."""
        body = Body(wire)
        try:
            cells = [self._cell(body) for _ in range(self.columns)]
            body.end()
        except ValueError as error:
            raise BadRecord(f"row of {self._table}: {error}") from None
        return cells

    @staticmethod
    def _cell(body: Body) -> Cell:
        if body.left and body.data[body.at] == _NULL:
            body.at += 1
            return None
        return body.lenenc_bytes()


def joined(cells: Sequence[Cell], widths: Sequence[int]) -> bytes:
    """Return a row of the binlog of these cells; the reverse of `BinlogRow.cells`."""
    present = [cell is not UNAVAILABLE for cell in cells]
    nulls = [cell is None for cell in cells if cell is not UNAVAILABLE]
    told = [
        cell if width >= 0 else len(cell).to_bytes(-width, "little") + cell
        for cell, width in zip(cells, widths, strict=True)
        if isinstance(cell, bytes)
    ]
    return _bits(present) + _bits(nulls) + b"".join(told)


def _bits(flags: Sequence[bool]) -> bytes:
    number = sum(1 << place for place, flag in enumerate(flags) if flag)
    return number.to_bytes((len(flags) + 7) // 8, "little")
