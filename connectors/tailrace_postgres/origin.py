"""Where changes come from: the `source` block of Debezium's envelope for Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tailrace import __version__
from tailrace.event import At, Change, Table, filled
from tailrace.schema import Field, Schema, Value
from tailrace_postgres.lsn import POSTGRES_EPOCH_US

_STRING = Schema("string")
_LONG = Schema("int64")

SOURCE = Schema(
    "struct",
    name="io.debezium.connector.postgresql.Source",
    version=1,
    fields=(
        Field("version", _STRING),
        Field("connector", _STRING),
        Field("name", _STRING),
        Field("ts_ms", _LONG),
        Field(
            "snapshot",
            Schema(
                "string",
                name="io.debezium.data.Enum",
                version=1,
                parameters={
                    "allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"
                },
                optional=True,
                default="false",
            ),
        ),
        Field("db", _STRING),
        Field("sequence", _STRING.as_optional()),
        Field("ts_us", _LONG.as_optional()),
        Field("ts_ns", _LONG.as_optional()),
        Field("schema", _STRING),
        Field("table", _STRING),
        Field("txId", _LONG.as_optional()),
        Field("lsn", _LONG.as_optional()),
        Field("xmin", _LONG.as_optional()),
        Field("origin", _STRING.as_optional()),
        Field("origin_lsn", _LONG.as_optional()),
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """What is the same for all changes of a source. `names` gives schema and name of a table by its id."""

    prefix: str
    database: str
    names: Mapping[str, tuple[str, str]]


class TransactionOrigin:
    """A transaction of the stream. `time` is its commit, in microseconds since 2000."""

    __slots__ = ("_head", "_names", "_replicated", "_sequence", "_times", "_xid")

    def __init__(self, place: Place, *, xid: int, time: int, last_commit: int | None) -> None:
        us = time + POSTGRES_EPOCH_US
        self._names = place.names
        self._head: list[Value] = [__version__, "postgresql", place.prefix, us // 1000, "false", place.database]
        self._sequence = "[null," if last_commit is None else f'["{last_commit}",'
        self._times = (us, us * 1000)
        self._xid = xid
        self._replicated: tuple[str | None, int | None] = (None, None)

    def replicated_from(self, name: str, lsn: int) -> None:
        """Note that the transaction came into this server by replication."""
        self._replicated = (name, lsn)

    def source_block(self, change: Change) -> Sequence[Value]:
        """Return the values of `SOURCE`."""
        return filled(self.steady_block(change.table), change.at)

    def steady_block(self, table: Table) -> Sequence[Value | At]:
        """Return the values of `SOURCE`, marks standing for the LSN of a change."""
        schema, name = self._names[table.id]
        sequence = At(f'{self._sequence}"', '"]')
        return [*self._head, sequence, *self._times, schema, name, self._xid, At(), None, *self._replicated]


class ChunkOrigin:
    """Rows of a chunk of the snapshot, read at `time` in microseconds since 1970; `at` of a change is an LSN above it.

    `marker` is the rows' place in the snapshot: first, true, last and so on.
    """

    __slots__ = ("_head", "_names", "_times")

    def __init__(self, place: Place, *, time: int, marker: str) -> None:
        self._names = place.names
        self._head: list[Value] = [__version__, "postgresql", place.prefix, time // 1000, marker, place.database]
        self._times = (time, time * 1000)

    def source_block(self, change: Change) -> Sequence[Value]:
        """Return the values of `SOURCE`."""
        return filled(self.steady_block(change.table), change.at)

    def steady_block(self, table: Table) -> Sequence[Value | At]:
        """Return the values of `SOURCE`, marks standing for the LSN of a change."""
        schema, name = self._names[table.id]
        sequence = At('[null,"', '"]')
        return [*self._head, sequence, *self._times, schema, name, None, At(), None, None, None]
