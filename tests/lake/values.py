"""A column of every type that events have: what goes in, and what pyarrow reads; and an archive for such rows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from lake.reading import Row, rows
from lake.records import GOODS, Topic, schema, table
from tailrace.event import Table
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Field, Schema, Value
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.sink import ArchiveSink

VARIABLE = Schema("struct", name=VARIABLE_SCALE_DECIMAL, version=1, optional=True,
                  fields=(Field("scale", Schema("int32")), Field("value", Schema("bytes"))))  # fmt: skip


def decimal(precision: str, scale: str) -> Schema:
    return Schema("bytes", DECIMAL, 1, {"scale": scale, "connect.decimal.precision": precision}, optional=True)


def naive(seconds: int, micros: int) -> datetime:
    """A point in time that has no zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=micros)


# name: schema, value as it is written, value as pyarrow reads it, type of Arrow
TYPES: Mapping[str, tuple[Schema, Value, object, pa.DataType]] = {
    "id": (schema("int64", optional=False), 2**63 - 1, 2**63 - 1, pa.int64()),
    "small": (schema("int16"), -(2**15), -(2**15), pa.int16()),
    "real": (schema("float32"), 0.5, 0.5, pa.float32()),
    "double": (schema("float64"), float("-inf"), float("-inf"), pa.float64()),
    "flag": (schema("boolean"), True, True, pa.bool_()),
    "text": (schema("string"), "grün 𝄞", "grün 𝄞", pa.string()),
    "octets": (schema("bytes"), b"\x00\xff", b"\x00\xff", pa.binary()),
    "price": (decimal("12", "2"), Decimal("-9999999999.99"), Decimal("-9999999999.99"), pa.decimal128(12, 2)),
    "most": (decimal("38", "0"), Decimal(10**38 - 1), Decimal(10**38 - 1), pa.decimal128(38, 0)),
    "unsigned": (schema("bytes", DECIMAL, scale="0"), Decimal(2**64 - 1), Decimal(2**64 - 1), pa.decimal128(38, 0)),
    "huge": (decimal("65", "30"), Decimal("1.5") * 10**34, "15000000000000000000000000000000000." + "0" * 30,
             pa.string()),
    "any": (VARIABLE, Decimal("-0.00012"), "-0.00012", pa.string()),
    "long": (VARIABLE, Decimal("100000000000000000000." + "0" * 29 + "1"), "100000000000000000000." + "0" * 29 + "1",
             pa.string()),
    "infinite": (VARIABLE, Decimal("-Infinity"), "-Infinity", pa.string()),
    "day": (schema("int32", "io.debezium.time.Date"), 20_000, date(2024, 10, 4), pa.date32()),
    "clock": (schema("int64", "io.debezium.time.MicroTime"), 1, time(0, 0, 0, 1), pa.time64("us")),
    "second": (schema("int32", "io.debezium.time.Time"), 1000, time(0, 0, 1), pa.time32("ms")),
    "moment": (schema("int64", "io.debezium.time.MicroTimestamp"), 1, naive(0, 1), pa.timestamp("us")),
    "milli": (schema("int64", "io.debezium.time.Timestamp"), -1, naive(-1, 999_000), pa.timestamp("ms")),
    "zoned": (schema("string", "io.debezium.time.ZonedTimestamp"), "2024-02-29T23:59:59.123456Z",
              datetime(2024, 2, 29, 23, 59, 59, 123456, UTC), pa.timestamp("us", "UTC")),
    "token": (schema("string", "io.debezium.data.Uuid"), "0f9e0a2c-6ac5-4a0b-8a35-000000000001",
              UUID("0f9e0a2c-6ac5-4a0b-8a35-000000000001"), pa.uuid()),
    "json": (schema("string", "io.debezium.data.Json"), '{"a": 1}', '{"a": 1}', pa.json_()),
    "mood": (schema("string", "io.debezium.data.Enum", allowed="a,b"), "a", "a", pa.string()),
    "list": (Schema("array", items=schema("string"), optional=True), ["x", None, ""], ["x", None, ""],
             pa.list_(pa.string())),
    "map": (Schema("map", items=schema("int32"), optional=True), {"k": 1, "n": None}, [("k", 1), ("n", None)],
            pa.map_(pa.string(), pa.int32())),
}  # fmt: skip
EVERY = table({name: each for name, (each, *_) in TYPES.items()})


class Archive:
    """Writes deliveries and publishes them, all at once."""

    def __init__(self, folder: Path, about: Table = GOODS, **settings: object) -> None:
        self.topic = Topic(folder / "registry", about)
        self.path = folder / "archive"
        told = {"type": "archive", "topics": ["*"], "path": str(self.path), **settings}
        self.sink = ArchiveSink("lake", ArchiveConfig.model_validate(told))

    def publish(self, *deliveries: Any) -> list[Row]:
        with closing(self.sink):
            self.sink.open("lake")
            self.sink.write(deliveries)
            self.sink.commit({"at": self.topic.next})
        return rows(self.path)
