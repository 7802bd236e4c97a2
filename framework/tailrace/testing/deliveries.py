"""Deliveries as a source would cause them: numbered changes of one table, through the real encoder and registry.

    told = Deliveries(tmp_path)
    told.insert(1, name="one")                  # [c]
    told.update(1, name="uno", note=UNAVAILABLE)  # [u], `note` not sent
    told.move(1, 2)                             # [d, tombstone, c]: the key changes
    told.delete(2)                              # [d, tombstone]
    told.truncate()                             # [t]
    told.add_column("colour", Schema("string", optional=True))

Rows are remembered: an update tells the columns that it does not name as they were. Offsets count up from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal

from tailrace.codec.delivery import Delivery, DeliveryDecoder
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry_store import BundledRegistry
from tailrace.event import Cell, Change, Column, Message, Op, Record, StoredRecord, Table
from tailrace.schema import DECIMAL, UNAVAILABLE, Field, Schema, Value
from tailrace.source import SourceConfig

TOPIC = "contract.public.items"
PLACEHOLDER = "__debezium_unavailable_value"

ID = Column("id", Schema("int64"), int)
COLUMNS = (
    ID,
    Column("name", Schema("string", optional=True), bytes.decode),
    Column(
        "price",
        Schema("bytes", DECIMAL, 1, {"scale": "2", "connect.decimal.precision": "12"}, optional=True),
        lambda cell: Decimal(cell.decode()),
    ),
    Column("note", Schema("string", optional=True), bytes.decode, PLACEHOLDER),
)
_SOURCE = Schema(
    "struct",
    name="io.debezium.connector.postgresql.Source",
    version=1,
    fields=(
        Field("version", Schema("string")),
        Field("connector", Schema("string")),
        Field("name", Schema("string")),
        Field("ts_ms", Schema("int64")),
        Field("snapshot", Schema("string", optional=True)),
        Field("db", Schema("string")),
        Field("schema", Schema("string")),
        Field("table", Schema("string")),
        Field("txId", Schema("int64", optional=True)),
        Field("lsn", Schema("int64", optional=True)),
    ),
)


class Deliveries:
    """Makes the deliveries of one topic. `folder` is for its registry; `key` names columns, none: a table without."""

    def __init__(
        self,
        folder: Path,
        *,
        topic: str = TOPIC,
        columns: Sequence[Column] = COLUMNS,
        key: Sequence[str] = ("id",),
        format: Literal["avro", "json", "json_schema"] = "avro",  # noqa: A002 - as the setting is called
    ) -> None:
        self.topic = topic
        self.rows: dict[int, dict[str, Value]] = {}
        """The table as the source has it, by id."""
        self.transaction = 1
        """Told as `txId` and `lsn` of the changes that follow."""
        self.timestamp_ms = 1_763_806_745_000
        """The commit time of the changes that follow, and their records' own time."""
        self.decoder: DeliveryDecoder
        self._key = tuple(key)
        self._registry = BundledRegistry(folder / "registry")
        self._encoder = ChangeEncoder(
            self._registry,
            SourceConfig(type="contract", format=format),
            clock=lambda: self.timestamp_ms * 1_000_000,
        )
        self.decoder = DeliveryDecoder(self._registry)
        self._next_offset = 0
        self._table = self._table_of(columns)

    @property
    def position(self) -> dict[str, int]:
        """Where the log's reader is after all deliveries so far."""
        return {f"{self.topic}-0": self._next_offset}

    def read(self, number: int, **values: Value) -> list[Delivery]:
        """Return a row of a snapshot."""
        return self._insert("r", number, values)

    def insert(self, number: int, **values: Value) -> list[Delivery]:
        """Return an insert; columns that are not named are null."""
        return self._insert("c", number, values)

    def update(self, number: int, **values: Value) -> list[Delivery]:
        """Return an update; a column told as `UNAVAILABLE` keeps its value."""
        before = self.rows[number]
        self.rows[number] = before | {name: value for name, value in values.items() if value is not UNAVAILABLE}
        return self._changed("u", None, before | values)

    def move(self, number: int, to: int, **values: Value) -> list[Delivery]:
        """Return an update that changes the key: a delete, its tombstone, and a create."""
        before = self.rows.pop(number)
        after = before | {"id": to}
        self.rows[to] = after | {name: value for name, value in values.items() if value is not UNAVAILABLE}
        return self._changed("u", before, after | values, moved=True)

    def delete(self, number: int) -> list[Delivery]:
        """Return a delete and its tombstone."""
        return self._changed("d", self.rows.pop(number), None)

    def truncate(self) -> list[Delivery]:
        """Return a truncate."""
        self.rows.clear()
        return self._changed("t", None, None)

    def heartbeat(self) -> list[Delivery]:
        """Return something that is no change, in the same topic."""
        schema = Schema("struct", name="contract.Beat", fields=(Field("ts_ms", Schema("int64")),))
        beat = Message(self.topic, schema, {"ts_ms": 1}, schema, {"ts_ms": 1})
        return self.of(self._encoder.encode([beat]))

    def unreadable(self) -> list[Delivery]:
        """Return a record that cannot be decoded."""
        return self.of([Record(self.topic, b"\x00\x00\x00", b"\x00\x7f\xff\xff\xff\x01", self.timestamp_ms)])

    def add_column(self, name: str, schema: Schema, value: Value = None) -> None:
        """Give the table another column, and its rows `value` in it."""
        self._table = self._table_of([*self._table.columns, Column(name, schema, bytes.decode)])
        self.rows = {number: {**row, name: value} for number, row in self.rows.items()}

    def drop_column(self, name: str) -> None:
        """Take a column away."""
        self._table = self._table_of([column for column in self._table.columns if column.name != name])
        self.rows = {
            number: {member: value for member, value in row.items() if member != name}
            for number, row in self.rows.items()
        }

    def change_column(self, name: str, schema: Schema) -> None:
        """Give a column another type."""
        self._table = self._table_of(
            [Column(name, schema, column.decode) if column.name == name else column for column in self._table.columns]
        )

    def of(self, records: Sequence[Record]) -> list[Delivery]:
        """Return records as they come out of the log."""
        deliveries = []
        for record in records:
            stored = StoredRecord(
                self.topic, 0, self._next_offset, record.timestamp_ms, record.key, record.value, list(record.headers)
            )
            deliveries.append(Delivery(stored, self.decoder))
            self._next_offset += 1
        return deliveries

    def source_block(self, change: Change) -> Sequence[Value]:
        """Return the source block: this is the origin of the changes."""
        _, schema, table = change.table.topic.split(".")
        snapshot = "true" if change.op == "r" else "false"
        told = ("1", "postgresql", "contract", self.timestamp_ms, snapshot, "db", schema, table)
        return (*told, self.transaction, self.transaction)

    def _insert(self, op: Op, number: int, values: Mapping[str, Value]) -> list[Delivery]:
        empty: dict[str, Value] = {column.name: None for column in self._table.columns}
        self.rows[number] = empty | {"id": number} | dict(values)
        return self._changed(op, None, self.rows[number])

    def _changed(
        self, op: Op, before: Mapping[str, Value] | None, after: Mapping[str, Value] | None, *, moved: bool = False
    ) -> list[Delivery]:
        change = Change(self._table, op, None, None, origin=self, moved=moved)
        return self.of(self._encoder.encode([change.with_rows(before, after)]))

    def _table_of(self, columns: Sequence[Column]) -> Table:
        names = [column.name for column in columns]
        key = tuple(names.index(name) for name in self._key)
        return Table(self.topic.partition(".")[2], self.topic, tuple(columns), key, _NoWire(), _SOURCE)


class _NoWire:
    """Rows are values here."""

    def cells(self, wire: bytes) -> Sequence[Cell]:
        return [wire]
