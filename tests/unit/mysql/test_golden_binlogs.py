"""Files that MySQL 8.0 wrote, which cannot be installed here: their rows are read as its own clients read them.

`tests/golden/mysql-8.0.md` says where each file comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tailrace.event import Change
from tailrace.schema import UNAVAILABLE
from tailrace_mysql import event as binlog
from tailrace_mysql.declared_shape import table_shape
from tailrace_mysql.form import Settings
from tailrace_mysql.history import History
from tailrace_mysql.origin import SOURCES, BinlogOrigin, Place
from tailrace_mysql.shape import shape_of
from tailrace_mysql.statement import Dialect
from tailrace_mysql.table import Tables, ValueSettings

FOLDER = Path(__file__).parents[2] / "golden"
FORMAT_DESCRIPTION = 15

Told = tuple[str, str, Mapping[str, object] | None, Mapping[str, object] | None]

JOE, SUE, PETE = (("Joe", "x", 24), ("Sue", "y", 32), ("Pete", "z", 40))


def events_of(name: str) -> Iterator[bytes]:
    """Yield the events of a file, without checksums."""
    data = (FOLDER / name).read_bytes()
    assert data[:4] == b"\xfebin"
    at, checksum = 4, 0
    while at < len(data):
        size = int.from_bytes(data[at + 9 : at + 13], "little")
        event = data[at : at + size]
        if event[4] == FORMAT_DESCRIPTION:
            checksum = 4 if event[-5] else 0
        yield event[: size - (4 if event[4] == FORMAT_DESCRIPTION else checksum)]
        at += size


@dataclass
class Reader:
    """Reads rows with a schema history that DDL feeds; `declared` is what was declared before the file begins."""

    declared: tuple[tuple[str, str], ...] = ()
    history: History = field(default_factory=lambda: History("golden"))
    maps: dict[int, binlog.TableMap] = field(default_factory=dict)

    def told(self, name: str) -> list[Told]:
        for database, statement in self.declared:
            self.history.apply(statement, database, Dialect())
        tables = Tables(ValueSettings("golden", SOURCES["mysql"], "__unavailable", Settings()))
        return [told for event in events_of(name) for told in self._told(binlog.decode(event, name), tables)]

    def _told(self, event: binlog.Event, tables: Tables) -> Iterator[Told]:
        if isinstance(event, binlog.Query):
            self.history.apply(event.text, event.database, Dialect(sql_mode=event.sql_mode))
        elif isinstance(event, binlog.TransactionPayload):
            for inner in (inner for block in event.events() for inner in block):
                yield from self._told(binlog.decode(inner), tables)
        elif isinstance(event, binlog.TableMapped):
            self.maps[event.table_id] = binlog.TableMap.parse(event.body, mariadb=False)
        elif isinstance(event, binlog.Rows):
            yield from self._rows(event, tables)

    def _rows(self, event: binlog.Rows, tables: Tables) -> Iterator[Told]:
        described = self.maps[event.table_id]
        known = self.history.table(described.database, described.table)
        assert known is not None
        table = tables.of_binlog(shape_of(described, table_shape(known)))
        origin = BinlogOrigin(Place("golden", "mysql", {}), time=0, file="")
        for before, after in event.images(described):
            change = Change(table, event.op, before, after, origin=origin)
            yield table.id, change.op, _plain(change.before), _plain(change.after)


def _plain(row: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """Return the columns that are there."""
    return None if row is None else {name: value for name, value in row.items() if value is not UNAVAILABLE}


def person(number: int, one: tuple[str, str, int], *, older: int = 0) -> Mapping[str, object]:
    name, letter, age = one
    document = f'{{"age": {age + older}, "data": "{letter * 10}", "name": "{name}"}}'
    return {"id": number, "json_col": document, "name": name, "age": age + older}


def test_documents_and_partial_updates_of_8_0_22() -> None:
    told = Reader().told("mysql-8.0.22-partial-json.binlog")
    people = list(enumerate((JOE, SUE, PETE, JOE, SUE, PETE), 1))
    inserted = [("mysql.t", "c", None, person(number, one)) for number, one in people]
    updated = [("mysql.t", "u", person(number, one), person(number, one, older=1)) for number, one in people]
    # The image is minimal: there is no document that the difference could be applied to.
    partial = [("mysql.t", "u", {"id": number}, {"name": name, "age": age + 2}) for number, (name, _, age) in people]
    assert told == inserted + updated + partial


CASES: dict[str, tuple[str, str, Told]] = {
    "mysql-8.0.32-compressed.binlog": ("test", "CREATE TABLE tb1 (a int)", ("test.tb1", "c", None, {"a": 1})),
    "mysql-8.0.40-minimal-metadata.binlog": (
        "noria",
        "CREATE TABLE t1 (a int NOT NULL, b blob, c char(2) CHARACTER SET utf8mb4, d int, e int unsigned)",
        ("noria.t1", "c", None, {"a": 1, "c": "a", "e": 3230202323}),  # a minimal image as well
    ),
    # -507:48:27, which has more hours than a day
    "mysql-8.0.40-time.binlog": ("noria", "CREATE TABLE t (a time)", ("noria.t", "c", None, {"a": -1_828_107_000_000})),
}
"""By file: the database and the statement that its table was made with, which is not in it, and what it tells."""


@pytest.mark.parametrize("name", CASES)
def test_rows_of_8_0(name: str) -> None:
    database, statement, told = CASES[name]
    assert Reader(((database, statement),)).told(name) == [told]


def test_nothing_is_made_up_where_the_declaration_does_not_fit() -> None:
    with pytest.raises(ValueError, match="has no names of columns"):
        Reader((("noria", "CREATE TABLE t (a int)"),)).told("mysql-8.0.40-time.binlog")
