"""A shop's tables and changes for the tests of the codec: cells are text, a row is JSON of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal

from tailrace.event import Cell, Change, Column, Op, Table
from tailrace.schema import DECIMAL, UNAVAILABLE, VARIABLE_SCALE_DECIMAL, Field, Schema, SchemaType, Unavailable, Value
from tailrace.source import SourceConfig

NOW_NS = 1_763_806_745_123_456_789

SNAPSHOT = Schema(
    "string",
    "io.debezium.data.Enum",
    1,
    {"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},
    optional=True,
    default="false",
)


def _source(connector: str, *fields: tuple[str, SchemaType | Schema]) -> Schema:
    first: tuple[tuple[str, SchemaType | Schema], ...] = (
        ("version", "string"), ("connector", "string"), ("name", "string"), ("ts_ms", "int64"), ("snapshot", SNAPSHOT),
        ("db", "string"), ("sequence?", "string"), ("ts_us?", "int64"), ("ts_ns?", "int64"),
    )  # fmt: skip
    return Schema(
        "struct",
        f"io.debezium.connector.{connector}.Source",
        1,
        fields=tuple(
            Field(name.rstrip("?"), type_ if isinstance(type_, Schema) else Schema(type_, optional="?" in name))
            for name, type_ in first + fields
        ),
    )


POSTGRES = _source(
    "postgresql",
    ("schema", "string"), ("table", "string"), ("txId?", "int64"), ("lsn?", "int64"), ("xmin?", "int64"),
    ("origin?", "string"), ("origin_lsn?", "int64"),
)  # fmt: skip
MYSQL = _source(
    "mysql",
    ("table?", "string"), ("server_id", "int64"), ("gtid?", "string"), ("file", "string"), ("pos", "int64"),
    ("row", "int32"), ("thread?", "int64"), ("query?", "string"),
)  # fmt: skip

SOURCE_VALUES: tuple[Value, ...] = (
    "0.1.0", "postgresql", "shop", 1_763_806_745_000, "false", "shop", '["1","2"]', 1_763_806_745_000_000,
    1_763_806_745_000_000_000, "public", "users", 777, 26_000_000, None, None, None,
)  # fmt: skip

VARIABLE = Schema(
    "struct",
    VARIABLE_SCALE_DECIMAL,
    1,
    fields=(Field("scale", Schema("int32")), Field("value", Schema("bytes"))),
    doc="Variable scaled decimal",
)
PRICE = Schema("bytes", DECIMAL, 1, {"scale": "2", "connect.decimal.precision": "8"})


class JsonRows:
    """Rows as a JSON list of texts, nulls, and `{}` for what was not sent."""

    def cells(self, wire: bytes) -> Sequence[Cell]:
        return [
            UNAVAILABLE if cell == {} else None if cell is None else str(cell).encode() for cell in json.loads(wire)
        ]


def wire(*cells: str | int | Unavailable | None) -> bytes:
    return json.dumps([{} if cell is UNAVAILABLE else cell for cell in cells]).encode()


def text(cell: bytes) -> str:
    return cell.decode()


def decimal(cell: bytes) -> Decimal:
    return Decimal(cell.decode())


def boolean(cell: bytes) -> bool:
    return cell == b"t"


class Anywhere:
    """An origin whose source block is always the same."""

    def __init__(self, values: Sequence[Value] = SOURCE_VALUES) -> None:
        self.values = values

    def source_block(self, change: Change) -> Sequence[Value]:
        return self.values


ID = Column("id", Schema("int32", default=0), int)
EMAIL = Column("email", Schema("string"), text, "__debezium_unavailable_value")


def table(
    *columns: Column, key: tuple[int, ...] = (0,), topic: str = "shop.public.users", source: Schema = POSTGRES
) -> Table:
    return Table(topic.partition(".")[2], topic, columns or (ID, EMAIL), key, JsonRows(), source)


def column(name: str, schema: Schema, decode: Callable[[bytes], Value] = text, placeholder: Value = None) -> Column:
    return Column(name, schema, decode, placeholder)


def change(of: Table, op: Op, before: bytes | None, after: bytes | None, *, moved: bool = False) -> Change:
    return Change(of, op, before, after, origin=Anywhere(), moved=moved)


def config(**settings: object) -> SourceConfig:
    return SourceConfig.model_validate({"type": "test", **settings})
