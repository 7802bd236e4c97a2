"""Keys and envelopes of one version of a table as Confluent-framed Avro.

    frame    => 0:byte  schema id:int32 big-endian
    key      => frame  key columns
    value    => frame  before  after  source  transaction  op  ts_ms  ts_us  ts_ns
    before, after => 0x00 (null)  or  0x02 columns
    transaction   => 0x00 (null)
    ts_*          => 0x02 long

Everything that does not change from event to event is put together beforehand; per event it is one `join`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tailrace.codec.avro_writer import branches, plain_writer, varint, write_text, writer
from tailrace.codec.row import REFUSED, FromCell, FromValue
from tailrace.errors import BadRecord
from tailrace.event import Column, Op
from tailrace.schema import Schema, Value

_NULL = b"\x00"
_SOME = b"\x02"
_OP_AFTER_NO_TRANSACTION: dict[Op, bytes] = {
    "r": _NULL + write_text("r"),
    "c": _NULL + write_text("c"),
    "u": _NULL + write_text("u"),
    "d": _NULL + write_text("d"),
    "t": _NULL + write_text("t"),
}
_REMEMBERED = 1000
"""Most values of one field of `source` whose bytes are remembered; most fields are the same in event after event."""


def frame(schema_id: int) -> bytes:
    """Return what stands before every value of the schema."""
    return b"\x00" + schema_id.to_bytes(4, "big")


class AvroForm:
    """Writes values as Avro bytes."""

    def value_writer(self, schema: Schema) -> FromValue[bytes]:
        """Return the writer of a schema's values."""
        return writer(schema)

    def cell_writer(self, column: Column) -> FromCell[bytes]:
        """Return the writer of a column's cells, the branch of its union included."""
        decode, schema = column.decode, column.schema
        some = branches(schema)[1] if schema.optional else b""
        write = plain_writer(schema)
        if some:
            return lambda cell: some + write(decode(cell))
        return lambda cell: write(decode(cell))


class AvroEnvelope:
    """Puts together keys and values of one table; `key_id` is None for a table without a key."""

    def __init__(self, source: Schema, *, key_id: int | None, value_id: int) -> None:
        self._key_frame = b"" if key_id is None else frame(key_id)
        self._value_frame = frame(value_id)
        self._source = [_remembering(writer(field.schema)) for field in source.fields]
        self._stamp = b""

    def at(self, now_ns: int) -> None:
        """Set the processing time of the events that follow, in nanoseconds since 1970."""
        stamps = (now_ns // 1_000_000, now_ns // 1000, now_ns)
        self._stamp = b"".join([_SOME + varint(stamp) for stamp in stamps])

    def key(self, pieces: Sequence[bytes]) -> bytes:
        """Return a key from the pieces of its columns."""
        return self._key_frame + b"".join(pieces)

    def value(
        self, before: Sequence[bytes] | None, after: Sequence[bytes] | None, source: Sequence[Value], op: Op
    ) -> bytes:
        """Return an envelope; raises `BadRecord` where `source` does not fit its schema."""
        try:
            block = [write(value) for write, value in zip(self._source, source, strict=True)]
        except REFUSED:
            raise BadRecord("source block does not fit its schema") from None
        parts = [self._value_frame]
        if before is None:
            parts.append(_NULL)
        else:
            parts.append(_SOME)
            parts += before
        if after is None:
            parts.append(_NULL)
        else:
            parts.append(_SOME)
            parts += after
        parts += block
        parts.append(_OP_AFTER_NO_TRANSACTION[op])
        parts.append(self._stamp)
        return b"".join(parts)


def _remembering(write: Callable[..., bytes]) -> Callable[[Value], bytes]:
    known: dict[Value, bytes] = {}

    def remembered(value: Value) -> bytes:
        piece = known.get(value)
        if piece is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            piece = known[value] = write(value)
        return piece

    return remembered
