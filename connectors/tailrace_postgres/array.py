r"""Postgres' arrays, from the text of the wire to lists.

    array   => [[lower:upper]=] { [element [, element]*] }
    element => NULL | bare text | " text in which \ takes the next byte as it is " | array

Lower bounds are left out, as in Debezium. An array of several dimensions has no form in a schema of one dimension, so
it is refused; Postgres does not fix the number of dimensions in the type. Source: Postgres manual, 8.15.6.
"""

from __future__ import annotations

import re

from tailrace.errors import BadRecord
from tailrace.schema import Value
from tailrace_postgres.numeric import Decode, unreadable

_ELEMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^",{}\\]+)', re.DOTALL)
_ELEMENT_OF_BOXES = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^";{}\\]+)', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def array(element: Decode, type_name: str, *, nulls: bool = True, delimiter: str = ",") -> Decode:
    """Return what reads an array whose elements `element` reads; `nulls` says whether NULL elements have a form."""
    comma = delimiter.encode("ascii")
    pattern = _ELEMENT if delimiter == "," else _ELEMENT_OF_BOXES

    def decode(cell: bytes) -> Value:
        body = _body(cell, type_name)
        if not body:
            return []
        if b'"' in body or b"{" in body or b"\\" in body:
            texts = _quoted(body, type_name, pattern, comma)
        else:
            texts = [None if text in _NULLS else text for text in body.split(comma)]
            if b"" in texts:
                raise unreadable(type_name)
        if not nulls and None in texts:
            raise refuse_null(type_name)
        return [None if text is None else element(text) for text in texts]

    return decode


_NULLS = frozenset({b"NULL", b"null", b"Null"})


def vector(cell: bytes) -> Value:
    """Read an int2vector or oidvector: numbers between spaces."""
    try:
        return [int(text) for text in cell.split()]
    except ValueError:
        raise unreadable("vector") from None


def _body(cell: bytes, type_name: str) -> bytes:
    if cell[:1] == b"[":
        bounds, _, cell = cell.partition(b"=")
        if bounds.count(b"[") > 1:
            raise one_dimension_only(type_name)
    if cell[:1] != b"{" or cell[-1:] != b"}" or len(cell) < 2:
        raise unreadable(type_name)
    return cell[1:-1]


def _quoted(body: bytes, type_name: str, pattern: re.Pattern[bytes], comma: bytes) -> list[bytes | None]:
    if body[:1] == b"{":
        raise one_dimension_only(type_name)
    texts: list[bytes | None] = []
    place = 0
    while True:
        found = pattern.match(body, place)
        if found is None:
            raise unreadable(type_name)
        quoted, bare = found.groups()
        if quoted is None:
            texts.append(None if bare in _NULLS else bare)
        else:
            texts.append(_ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted)
        place = found.end()
        if place == len(body):
            return texts
        if body[place : place + 1] != comma:
            raise unreadable(type_name)
        place += 1


def one_dimension_only(type_name: str) -> BadRecord:
    """Return the error for an array of several dimensions."""
    return BadRecord(
        f"array of several dimensions in a column of type {type_name}",
        hint="the schema has one dimension; set errors to skip or dead_letter, or do not publish the column",
    )


def refuse_null(type_name: str) -> BadRecord:
    """Return the error for a NULL among elements that have no null in their schema."""
    return BadRecord(
        f"null element in a column of type {type_name}",
        hint="an enum array's schema has no null elements; set errors to skip or dead_letter, or forbid them",
    )
