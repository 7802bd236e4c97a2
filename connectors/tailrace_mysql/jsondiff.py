"""Partial updates of JSON: the differences that MySQL writes in place of a value after an update, applied.

    differences   difference*
    difference    what u8 (0 replace, 1 insert, 2 remove) · length lenenc · path · [0, 1: length lenenc · document]
    path          $ then, for each step, .name or ."quoted name" or [index]

Inserting into an array moves what follows; inserting into an object adds a member, in MySQL's order of keys: shorter
ones first, then by octets. With `binlog_row_value_options = PARTIAL_JSON`. Source: MySQL's source, `Json_diff` and
`Json_path`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from tailrace.event import Cell
from tailrace.schema import Unavailable
from tailrace_mysql import jsonb
from tailrace_mysql.body import Body
from tailrace_mysql.row import BinlogRow, joined
from tailrace_mysql.tablemap import TableMap

_REPLACE, _INSERT, _REMOVE = range(3)
_STEP = re.compile(r'\.("(?:[^"\\]|\\.)*")|\.([^.\[\]"]+)|\[(\d+)\]', re.DOTALL)


def patched(before: bytes, after: bytes, partial: bytes, table: TableMap) -> bytes:
    """Return the row `after` with whole JSON values in place of their differences from those of `before`.

    A value whose differences are all that is known, since the row before does not have it, becomes unavailable.
    """
    cut = BinlogRow(f"{table.database}.{table.table}", table.widths)
    old, new = cut.cells(before), list(cut.cells(after))
    for number, place in enumerate(table.json_columns):
        if partial[number >> 3] >> (number & 7) & 1:
            new[place] = _whole(old[place], new[place])
    return joined(new, table.widths)


def _whole(old: Cell, differences: Cell) -> Cell:
    if not isinstance(differences, bytes):
        return differences
    if isinstance(old, Unavailable):
        return old
    if old is None:
        raise ValueError("there are differences from a JSON value that is null")
    document = jsonb.parsed(old)
    body = Body(differences)
    while body.left:
        what, path = body.u(1), _steps(body.lenenc_bytes().decode())
        value = jsonb.parsed(body.lenenc_bytes()) if what in {_REPLACE, _INSERT} else None
        document = _changed(document, path, what, value)
    return bytes((jsonb.PRINTED,)) + jsonb.printed(document).encode()


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or path[0] != "$":
            raise ValueError("the path of a JSON difference cannot be read")
        quoted, name, index = found.groups()
        steps.append(json.loads(quoted, strict=False) if quoted else int(index) if index else name)
        at = found.end()
    return steps


def _changed(document: jsonb.Node, path: Sequence[str | int], what: int, value: jsonb.Node) -> jsonb.Node:
    if not path:
        if what != _REPLACE:
            raise ValueError("a JSON difference removes or inserts the whole document")
        return value
    parent = document
    for step in path[:-1]:
        parent = _member(parent, step)
    last = path[-1]
    match parent, last:
        case list(), int():
            _change_array(parent, last, what, value)
        case dict(), str():
            _change_object(parent, last, what, value)
        case _:
            raise ValueError("a JSON difference does not fit the document")
    return document


def _member(parent: jsonb.Node, step: str | int) -> jsonb.Node:
    if isinstance(parent, dict) and isinstance(step, str) and step in parent:
        return parent[step]
    if isinstance(parent, list) and isinstance(step, int) and step < len(parent):
        return parent[step]
    raise ValueError("a JSON difference does not fit the document")


def _change_array(array: list[jsonb.Node], index: int, what: int, value: jsonb.Node) -> None:
    if what == _INSERT:
        array.insert(index, value)
    elif index >= len(array) or what > _REMOVE:
        raise ValueError("a JSON difference does not fit the document")
    elif what == _REPLACE:
        array[index] = value
    else:
        del array[index]


def _change_object(members: dict[str, jsonb.Node], name: str, what: int, value: jsonb.Node) -> None:
    if (name in members) != (what != _INSERT) or what > _REMOVE:
        raise ValueError("a JSON difference does not fit the document")
    if what == _REMOVE:
        del members[name]
        return
    members[name] = value
    if what == _INSERT:
        ordered = sorted(members.items(), key=lambda member: (len(member[0].encode()), member[0].encode()))
        members.clear()
        members.update(ordered)
