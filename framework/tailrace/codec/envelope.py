"""Debezium's envelope: the schemas of keys and values of a table's topic, and of the heartbeat and transaction topics.

    Envelope => before after source transaction op ts_ms ts_us ts_ns      connect.version 2
    Value    => one field per column
    Key      => one field per key column

The records are named after the table's topic (`shop.public.users.Envelope`), adjusted as with Debezium's
`schema.name.adjustment.mode=avro` and `field.name.adjustment.mode=avro`: what Avro does not allow in a name becomes
`_`, and a name that starts with a digit gets a `_` before it. Where two columns would get one name, Debezium gives
up; here the later one gets `_2`, `_3`, … after its name.
Source: Debezium's SchemaFactory, TableSchemaBuilder, Envelope, SchemaNameAdjuster.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tailrace.event import Column, Table
from tailrace.schema import Field, Schema

_STRING = Schema("string")
_LONG = Schema("int64")
_OPTIONAL_LONG = Schema("int64", optional=True)

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_.]")
_NOT_IN_FIELD = re.compile(r"[^A-Za-z0-9_]")

TRANSACTION_BLOCK = Schema(
    "struct",
    name="event.block",
    version=1,
    optional=True,
    fields=(Field("id", _STRING), Field("total_order", _LONG), Field("data_collection_order", _LONG)),
)
HEARTBEAT_KEY = Schema(
    "struct",
    name="io.debezium.connector.common.ServerNameKey",
    version=1,
    fields=(Field("serverName", _STRING),),
)
HEARTBEAT_VALUE = Schema(
    "struct", name="io.debezium.connector.common.Heartbeat", version=1, fields=(Field("ts_ms", _LONG),)
)
TRANSACTION_KEY = Schema(
    "struct", name="io.debezium.connector.common.TransactionMetadataKey", version=1, fields=(Field("id", _STRING),)
)
_EVENT_COUNT = Schema(
    "struct",
    name="event.collection",
    version=1,
    optional=True,
    fields=(Field("data_collection", _STRING), Field("event_count", _LONG)),
)
TRANSACTION_VALUE = Schema(
    "struct",
    name="io.debezium.connector.common.TransactionMetadataValue",
    version=1,
    fields=(
        Field("status", _STRING),
        Field("id", _STRING),
        Field("event_count", _OPTIONAL_LONG),
        Field("data_collections", Schema("array", items=_EVENT_COUNT, optional=True)),
        Field("ts_ms", _LONG),
    ),
)


def heartbeat_topic(topic_prefix: str) -> str:
    """Return the topic of a connector's heartbeats."""
    return f"__debezium-heartbeat.{topic_prefix}"


def transaction_topic(topic_prefix: str) -> str:
    """Return the topic of a connector's transaction markers."""
    return f"{topic_prefix}.transaction"


def key_schema(table: Table) -> Schema | None:
    """Return the schema of the keys of `table`; None for a table without a key."""
    if not table.key:
        return None
    names = field_names(table.columns)
    fields = tuple(Field(names[index], table.columns[index].schema) for index in table.key)
    return Schema("struct", name=schema_name(f"{table.topic}.Key"), fields=fields)


def value_schema(table: Table) -> Schema:
    """Return the schema of one row of `table`."""
    names = field_names(table.columns)
    fields = tuple(Field(name, column.schema) for name, column in zip(names, table.columns, strict=True))
    return Schema("struct", name=schema_name(f"{table.topic}.Value"), fields=fields, optional=True)


def envelope_schema(table: Table) -> Schema:
    """Return the schema of the values of the topic of `table`."""
    row = value_schema(table)
    fields = (
        Field("before", row),
        Field("after", row),
        Field("source", replace(table.source, optional=False)),
        Field("transaction", TRANSACTION_BLOCK),
        Field("op", _STRING),
        Field("ts_ms", _OPTIONAL_LONG),
        Field("ts_us", _OPTIONAL_LONG),
        Field("ts_ns", _OPTIONAL_LONG),
    )
    return Schema("struct", name=schema_name(f"{table.topic}.Envelope"), version=2, fields=fields)


def schema_name(name: str) -> str:
    """Return `name` as Avro allows it: `my-shop.public.order lines.Value` is `my_shop.public.order_lines.Value`."""
    return _adjusted(name, _NOT_IN_NAME)


def field_names(columns: Sequence[Column]) -> list[str]:
    """Return the names of the fields for `columns`, in order, each of them once."""
    names: list[str] = []
    as_they_are = {column.name for column in columns if _adjusted(column.name, _NOT_IN_FIELD) == column.name}
    taken = set(as_they_are)
    for column in columns:
        name = column.name
        if name not in as_they_are:
            name = _unused(_adjusted(name, _NOT_IN_FIELD), taken)
            taken.add(name)
        names.append(name)
    return names


def _unused(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _adjusted(name: str, forbidden: re.Pattern[str]) -> str:
    # Java counts in UTF-16 units: a character beyond the basic plane becomes two underscores.
    adjusted = forbidden.sub(lambda match: "__" if ord(match[0]) > 0xFFFF else "_", name)
    return f"_{adjusted}" if adjusted[:1].isdigit() else adjusted
