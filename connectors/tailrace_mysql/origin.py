"""Where changes come from: the `source` block of Debezium's envelope for MySQL and MariaDB.

`Change.at` holds two fields of it: where the rows event begins in its file, and the row's place in that event.

    at  =>  position << 24 | row
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tailrace import __version__
from tailrace.event import At, Change, Table, filled
from tailrace.schema import Field, Schema, Value

ROW_BITS = 24
MOST_ROWS = (1 << ROW_BITS) - 1
"""Rows of one event beyond this many are all given the same number."""
_POS, _ROW = At(shift=ROW_BITS), At(mask=MOST_ROWS)

_STRING = Schema("string")
_LONG = Schema("int64")


def source_schema(connector: Literal["mysql", "mariadb"]) -> Schema:
    """Return the schema of the source block."""
    allowed = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"
    marker = Schema(
        "string", name="io.debezium.data.Enum", version=1, parameters={"allowed": allowed}, optional=True,
        default="false",
    )  # fmt: skip
    return Schema(
        "struct",
        name=f"io.debezium.connector.{connector}.Source",
        version=1,
        fields=(
            Field("version", _STRING),
            Field("connector", _STRING),
            Field("name", _STRING),
            Field("ts_ms", _LONG),
            Field("snapshot", marker),
            Field("db", _STRING),
            Field("sequence", _STRING.as_optional()),
            Field("ts_us", _LONG.as_optional()),
            Field("ts_ns", _LONG.as_optional()),
            Field("table", _STRING.as_optional()),
            Field("server_id", _LONG),
            Field("gtid", _STRING.as_optional()),
            Field("file", _STRING),
            Field("pos", _LONG),
            Field("row", Schema("int32")),
            Field("thread", _LONG.as_optional()),
            Field("query", _STRING.as_optional()),
        ),
    )


SOURCES = {"mysql": source_schema("mysql"), "mariadb": source_schema("mariadb")}


def mark(pos: int, row: int) -> int:
    """Return `Change.at` of a row."""
    return pos << ROW_BITS | min(row, MOST_ROWS)


@dataclass(frozen=True, slots=True)
class Place:
    """What is the same for all changes of a source. `names` gives database and name of a table by its id."""

    prefix: str
    connector: Literal["mysql", "mariadb"]
    names: Mapping[str, tuple[str, str]]


class BinlogOrigin:
    """A transaction, or a chunk of the snapshot. `time` is in microseconds since 1970; `snapshot` the marker.

    `pos` stands for the position of every change, where these have none.
    """

    __slots__ = ("_file", "_gtid", "_head", "_names", "_pos", "_server_id", "_thread", "_times")

    def __init__(
        self, place: Place, *, time: int, file: str, server_id: int = 0, gtid: str = "", thread: int | None = None,
        snapshot: str = "false", pos: int | None = None,
    ) -> None:  # fmt: skip
        self._names = place.names
        self._head: list[Value] = [__version__, place.connector, place.prefix, time // 1000, snapshot]
        self._times = (time, time * 1000)
        self._file = file
        self._server_id = server_id
        self._gtid = gtid or None
        self._thread = thread
        self._pos: Value | At = _POS if pos is None else pos

    def source_block(self, change: Change) -> Sequence[Value]:
        """Return the values of the source block."""
        return filled(self.steady_block(change.table), change.at)

    def steady_block(self, table: Table) -> Sequence[Value | At]:
        """Return the values of the source block, marks standing for position and row."""
        database, name = self._names[table.id]
        return [
            *self._head, database, None, *self._times, name, self._server_id, self._gtid, self._file,
            self._pos, _ROW, self._thread, None,
        ]  # fmt: skip

    def statement_block(self, place: Place, pos: int) -> dict[str, Value]:
        """Return the source block of a statement that ends at `pos`; database and table are left to be filled in."""
        values: list[Value] = [
            *self._head, "", None, *self._times, None, self._server_id, self._gtid, self._file, pos, 0,
            self._thread, None,
        ]  # fmt: skip
        return {field.name: value for field, value in zip(SOURCES[place.connector].fields, values, strict=True)}
