"""Keys and envelopes of one version of a table as Connect's JSON, with or without the schema in every message."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.codec.json_converter import dump, json_schema, json_writer
from tailrace.codec.row import REFUSED, FromCell, FromValue
from tailrace.errors import BadRecord
from tailrace.event import Column, Op
from tailrace.schema import Schema, Value


class JsonForm:
    """Writes values as what `json.dumps` takes."""

    def value_writer(self, schema: Schema) -> FromValue[object]:
        """Return the writer of a schema's values."""
        return json_writer(schema)

    def cell_writer(self, column: Column) -> FromCell[object]:
        """Return the writer of a column's cells."""
        decode, write = column.decode, json_writer(column.schema)
        return lambda cell: write(decode(cell))


class JsonWrap:
    """Puts a payload into its message, beside its schema where that is wanted."""

    def __init__(self, schema: Schema, *, with_schema: bool) -> None:
        self._head = b'{"schema":' + dump(json_schema(schema)) + b',"payload":' if with_schema else b""
        self._tail = b"}" if with_schema else b""

    def __call__(self, payload: object) -> bytes:
        """Return the message."""
        return self._head + dump(payload) + self._tail


class JsonEnvelope:
    """Puts together keys and values of one table; `key` is None for a table without a key."""

    def __init__(self, key: Schema | None, envelope: Schema, *, with_schema: bool) -> None:
        self._wrap_key = None if key is None else JsonWrap(key, with_schema=with_schema)
        self._wrap_value = JsonWrap(envelope, with_schema=with_schema)
        self._key_names = [] if key is None else [field.name for field in key.fields]
        members = {field.name: field.schema for field in envelope.fields}
        self._names = [field.name for field in members["after"].fields]
        self._source = [(field.name, json_writer(field.schema)) for field in members["source"].fields]
        self._now_ns = 0

    def at(self, now_ns: int) -> None:
        """Set the processing time of the events that follow, in nanoseconds since 1970."""
        self._now_ns = now_ns

    def key(self, pieces: Sequence[object]) -> bytes:
        """Return a key from the pieces of its columns."""
        if self._wrap_key is None:
            raise BadRecord("a table without a key has no keys")
        return self._wrap_key(dict(zip(self._key_names, pieces, strict=True)))

    def value(
        self, before: Sequence[object] | None, after: Sequence[object] | None, source: Sequence[Value], op: Op
    ) -> bytes:
        """Return an envelope; raises `BadRecord` where `source` does not fit its schema."""
        try:
            block = {name: write(value) for (name, write), value in zip(self._source, source, strict=True)}
        except REFUSED:
            raise BadRecord("source block does not fit its schema") from None
        return self._wrap_value(
            {
                "before": self._row(before),
                "after": self._row(after),
                "source": block,
                "transaction": None,
                "op": op,
                "ts_ms": self._now_ns // 1_000_000,
                "ts_us": self._now_ns // 1000,
                "ts_ns": self._now_ns,
            }
        )

    def _row(self, pieces: Sequence[object] | None) -> dict[str, object] | None:
        return None if pieces is None else dict(zip(self._names, pieces, strict=True))
