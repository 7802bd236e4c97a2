"""Records of a topic, as a connector would have written them, on their way into a sink."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.avro_writer import writer
from tailrace.codec.delivery import Delivery, DeliveryDecoder
from tailrace.codec.envelope import envelope_schema, key_schema
from tailrace.codec.registry_store import BundledRegistry
from tailrace.event import Column, StoredRecord, Table
from tailrace.schema import Field, Schema, Value
from tailrace_postgres.row import WireFormat

NOON = 1_772_366_400_000
"""2026-03-01 12:00 UTC, in milliseconds."""

Headers = Sequence[tuple[str, bytes | None]]


def schema(type_: str, name: str | None = None, *, optional: bool = True, **parameters: str) -> Schema:
    return Schema(type_, name=name, version=1 if name else None, parameters=parameters, optional=optional)  # type: ignore[arg-type]


def source(connector: str) -> Schema:
    fields = (Field("connector", Schema("string")), Field("ts_ms", Schema("int64")), Field("lsn", Schema("int64")))
    return Schema("struct", name=f"io.debezium.connector.{connector}.Source", version=1, fields=fields)


def table(
    columns: Mapping[str, Schema], *, topic: str = "shop.public.goods", key: bool = True, connector: str = "postgresql"
) -> Table:
    """A table whose first column is the key."""
    made = tuple(Column(name, each, lambda _: None) for name, each in columns.items())
    form = WireFormat("tuple", "public.goods", len(made))
    return Table("public.goods", topic, made, (0,) if key else (), form, source(connector))


GOODS = table({"id": schema("int64", optional=False), "name": schema("string")})


class Topic:
    """Writes the records of one partition, one offset after the other."""

    def __init__(self, registry: Path, about: Table = GOODS, *, partition: int = 0) -> None:
        self.registry = BundledRegistry(registry)
        self.decoder = DeliveryDecoder(self.registry)
        self.table = about
        self.partition = partition
        self.next = 0

    def change(
        self,
        op: str,
        after: Mapping[str, Value] | None = None,
        before: Mapping[str, Value] | None = None,
        *,
        at: int = NOON,
        headers: Headers = (),
    ) -> Delivery:
        shape = envelope_schema(self.table)
        block = {"connector": "postgresql", "ts_ms": at, "lsn": 1000 + self.next}
        value = {"before": before, "after": after, "source": block, "transaction": None, "op": op, "ts_ms": at}
        framed = self._framed("value", shape, value | {"ts_us": at * 1000, "ts_ns": at * 1_000_000})
        return self.raw(self._key(after or before), framed, at=at, headers=headers)

    def raw(self, key: bytes | None, value: bytes | None, *, at: int = NOON, headers: Headers = ()) -> Delivery:
        offset, self.next = self.next, self.next + 1
        record = StoredRecord(self.table.topic, self.partition, offset, at, key, value, headers)
        return Delivery(record, self.decoder)

    def item(self, number: int) -> Delivery:
        """The insert of a row, told from others by its number; always at the offset of that number."""
        self.next = number
        return self.change("c", {"id": number, "name": f"number {number}"})

    def _key(self, row: Mapping[str, Value] | None) -> bytes | None:
        shape = key_schema(self.table)
        if shape is None or row is None:
            return None
        return self._framed("key", shape, {field.name: row[field.name] for field in shape.fields})

    def _framed(self, part: str, shape: Schema, value: Mapping[str, object]) -> bytes:
        registered = self.registry.register(f"{self.table.topic}-{part}", avro_schema(shape), force=True)
        return b"\x00" + registered.id.to_bytes(4, "big") + writer(shape)(value)


def names(header: str, *columns: str) -> tuple[str, bytes]:
    return header, json.dumps(columns).encode()
