"""Rows events: which table, what happened, and the rows before and after, cut apart but not read.

    Rows, v1         table id u48 · flags u16 · columns lenenc · present bits · [update: present bits after] ·
                     images, to the end
    Rows, v2         table id u48 · flags u16 · size of the extra data u16, its own two octets included · extra data ·
                     as above
    insert, delete   image*
    update           (image before · image after)*
    image            null bits, one for each column that is present · cells of those that are present and not null
    partial update   (image before · options lenenc · [1: partial bits, one for each JSON column] · image after)*
    deflated         MariaDB: as v1 and v2, all images together deflated (`payload.py`)

Bits stand lowest first. Flag 1 says that a statement ends here. A row on its own (`row.py`) is the present bits, then
its image. Source: MySQL's manual of the binlog events (`Rows_event`); MariaDB Knowledge Base, "ROWS_EVENT_V1/V2".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tailrace_mysql.body import Body
from tailrace_mysql.header import Header
from tailrace_mysql.jsondiff import patched
from tailrace_mysql.payload import inflated
from tailrace_mysql.tablemap import TableMap

RowOp: TypeAlias = Literal["c", "u", "d"]

Images: TypeAlias = tuple[bytes | None, bytes | None]
"""One row before and after its change, in the wire form of `row.py`."""

_STATEMENT_END = 1
_NO_TABLE = 0x00FFFFFF
_PARTIAL_JSON = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """Changes of rows of one table. `data` are the images of all rows, one after the other.

    `width` is the number of columns, `present` says which of them the images have, those after the change where
    `present_after` is not empty. `partial`: JSON values after the change may be told by their differences.
    """

    header: Header
    table_id: int
    op: RowOp
    end_of_statement: bool
    width: int
    present: bytes
    present_after: bytes
    data: bytes
    partial: bool = False

    @property
    def nothing(self) -> bool:
        """Whether the event only ends a statement."""
        return self.table_id == _NO_TABLE

    def images(self, table: TableMap) -> list[Images]:
        """Return the rows; raises `ValueError` where they do not fit `table`."""
        if self.op == "c":
            return [(None, image) for image in self._single(table)]
        if self.op == "d":
            return [(image, None) for image in self._single(table)]
        return list(self._pairs(table))

    def count(self, table: TableMap) -> int:
        """Return how many rows there are, without copying them."""
        before = self._cutter(table, self.present)
        after = self._cutter(table, self.present_after) if self.op == "u" else None
        at, end, found = 0, len(self.data), 0
        while at < end:
            begin = at
            at = before.end(self.data, at)
            if after is not None:
                at, _ = self._partial_bits(table, at) if self.partial else (at, b"")
                at = after.end(self.data, at)
            found += 1
            self._grown(at, begin)
        return found

    def _single(self, table: TableMap) -> Iterator[bytes]:
        cutter = self._cutter(table, self.present)
        at, data = 0, self.data
        while at < len(data):
            end = cutter.end(data, at)
            self._grown(end, at)
            yield self.present + data[at:end]
            at = end

    def _pairs(self, table: TableMap) -> Iterator[Images]:
        cut_before, cut_after = self._cutter(table, self.present), self._cutter(table, self.present_after)
        at, data = 0, self.data
        while at < len(data):
            middle = cut_before.end(data, at)
            before = self.present + data[at:middle]
            partial = b""
            if self.partial:
                middle, partial = self._partial_bits(table, middle)
            end = cut_after.end(data, middle)
            self._grown(end, at)
            after = self.present_after + data[middle:end]
            yield before, patched(before, after, partial, table) if any(partial) else after
            at = end

    @staticmethod
    def _grown(end: int, begin: int) -> None:
        if end == begin:
            raise ValueError("a row has no octets, and so there would be no end of rows")

    def _partial_bits(self, table: TableMap, at: int) -> tuple[int, bytes]:
        """Return where the image begins, and which JSON columns are told by differences."""
        body = Body(self.data, at)
        options = body.lenenc()
        if options & ~_PARTIAL_JSON:
            raise ValueError(f"options {options} of a partial update are unknown")
        bits = body.take((len(table.json_columns) + 7) // 8) if options else b""
        return body.at, bits

    def _cutter(self, table: TableMap, present: bytes) -> Cutter:
        if self.width != len(table.types):
            raise ValueError(f"rows of {self.width} columns, but {table.database}.{table.table} has {len(table.types)}")
        return Cutter(table.widths, present)


class Cutter:
    """Finds where images end that have the columns of `present`."""

    __slots__ = ("_null_octets", "_widths")

    def __init__(self, widths: Sequence[int], present: bytes) -> None:
        self._widths = [width for place, width in enumerate(widths) if present[place >> 3] >> (place & 7) & 1]
        self._null_octets = (len(self._widths) + 7) // 8

    def end(self, data: bytes, at: int) -> int:
        """Return where the image that begins at `at` ends; raises `ValueError` where `data` ends before it."""
        nulls = int.from_bytes(data[at : at + self._null_octets], "little")
        at += self._null_octets
        for width in self._widths:
            if nulls & 1:
                pass
            elif width >= 0:
                at += width
            else:
                at += int.from_bytes(data[at : at - width], "little") - width
            nulls >>= 1
        if at > len(data):
            raise ValueError(f"a row is cut short: it would end at {at} of {len(data)} octets")
        return at


_OPS: tuple[RowOp, ...] = ("c", "u", "d")
_V1, _DEFLATED_V1, _V2, _DEFLATED_V2 = 23, 166, 30, 169
PARTIAL_UPDATE = 39
"""The numbers of the events that insert; those that update and delete follow. Partial updates stand alone."""


def rows(header: Header, body: Body) -> Rows:
    """Read the body of a rows event of any kind, as far as it says what its images are."""
    kind = header.type
    partial = kind == PARTIAL_UPDATE
    first = _V2 if partial else max(number for number in (_V1, _V2, _DEFLATED_V1, _DEFLATED_V2) if number <= kind)
    op: RowOp = "u" if partial else _OPS[kind - first]
    table_id, flags = body.u(6), body.u(2)
    if first in {_V2, _DEFLATED_V2}:
        body.take(body.u(2) - 2)
    width = body.lenenc()
    present = body.take((width + 7) // 8)
    present_after = body.take((width + 7) // 8) if op == "u" else b""
    data = inflated(body) if first in {_DEFLATED_V1, _DEFLATED_V2} and body.left else body.rest()
    end = bool(flags & _STATEMENT_END)
    return Rows(header, table_id, op, end, width, present, present_after, data, partial)
