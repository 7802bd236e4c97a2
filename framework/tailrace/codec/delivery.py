"""What a sink from the log is handed: a record as it rests there, which decodes itself only if somebody looks.

A sink that moves bytes never pays for decoding. One that wants rows looks at `change`, and at `shape` for what their
columns are: by the schema that the writer had, so that a change of the table shows as another shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tailrace.codec.connect_schema import connect_schema, schema_of_json
from tailrace.codec.decoder import Decoder, RowChange, row_change
from tailrace.codec.registry import AvroSchema, Registry, UnknownSchema
from tailrace.errors import BadRecord
from tailrace.event import StoredRecord
from tailrace.schema import Field, Schema

_FRAME = 5
_ENVELOPE = {"op", "after", "source"}


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a key or of a row; of a value that is no envelope, its fields.

    `id` is the registry's id of the schema, the same for as long as the schema is. A schema that stood beside its JSON
    has none: it gets a negative number, which is good within this process. `name` is the schema's own. `enveloped` says
    that these are the rows of an envelope, so that a delivery of this shape is a change.
    """

    id: int
    name: str
    columns: tuple[Field, ...]
    enveloped: bool = False


class DeliveryDecoder:
    """Decodes what deliveries hold; asks the registry once for each schema id, and makes each shape once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._decoder = Decoder(registry)
        self._shapes: dict[int, Shape | None] = {}
        self._schemas: dict[int, AvroSchema] = {}
        self._json_ids: dict[str, int] = {}

    def value(self, data: bytes | None) -> object:
        """Return the value as `Decoder.value` does; raises `BadRecord` where it cannot."""
        try:
            return self._decoder.value(data)
        except UnknownSchema as error:
            raise BadRecord(error.message, hint=error.hint) from error

    def shape(self, data: bytes | None) -> Shape | None:
        """Return the shape of a key or a value; None for no bytes, and for JSON without a schema.

        Raises `BadRecord` for bytes that are malformed, ids that the registry does not have, and schemas that Connect
        does not have.
        """
        if not data:
            return None
        if data[0]:
            return self._shape_of_json(data)
        if len(data) < _FRAME:
            raise BadRecord(f"cannot decode a frame of {len(data)} bytes")
        schema_id = int.from_bytes(data[1:_FRAME], "big")
        if schema_id not in self._shapes:
            self._shapes[schema_id] = _shape(schema_id, connect_schema(self._schema(schema_id)))
        return self._shapes[schema_id]

    def writer_schema(self, data: bytes | None) -> tuple[int, AvroSchema] | None:
        """Return id and schema of framed Avro; None for no bytes, and for JSON. Raises `BadRecord` as `shape` does."""
        if not data or data[0]:
            return None
        if len(data) < _FRAME:
            raise BadRecord(f"cannot decode a frame of {len(data)} bytes")
        schema_id = int.from_bytes(data[1:_FRAME], "big")
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._schema(schema_id)
        return schema_id, self._schemas[schema_id]

    def _schema(self, schema_id: int) -> AvroSchema:
        try:
            return self._registry.by_id(schema_id)
        except UnknownSchema as error:
            raise BadRecord(error.message, hint=error.hint) from error

    def _shape_of_json(self, data: bytes) -> Shape | None:
        try:
            message = json.loads(data)
        except ValueError:
            raise BadRecord(f"cannot decode {len(data)} bytes: neither framed Avro nor JSON") from None
        if not isinstance(message, dict) or message.keys() != {"schema", "payload"} or message["schema"] is None:
            return None
        schema = message["schema"]
        json_id = self._json_ids.setdefault(json.dumps(schema), -len(self._json_ids) - 1)
        if json_id not in self._shapes:
            self._shapes[json_id] = _shape(json_id, schema_of_json(schema))
        return self._shapes[json_id]


def _shape(schema_id: int, schema: Schema) -> Shape | None:
    members = {field.name: field.schema for field in schema.fields}
    enveloped = members.keys() >= _ENVELOPE
    if enveloped:
        schema = members["after"]
    if schema.type != "struct":
        return None
    return Shape(schema_id, schema.name or "", schema.fields, enveloped)


class _Later:
    """`_LATER`: not decoded yet."""


_LATER = _Later()


class Delivery:
    """A record of the log on its way into a destination.

    `record` has topic, partition, offset, time, headers, and the bytes of key and value. Everything else is decoded at
    the first look, and raises `BadRecord` where it cannot be; a sink that is `Rejecting` hands such a delivery back.
    """

    __slots__ = ("_change", "_decoder", "_key", "_value", "record")

    def __init__(self, record: StoredRecord, decoder: DeliveryDecoder) -> None:
        self.record = record
        self._decoder = decoder
        self._key: object = _LATER
        self._value: object = _LATER
        self._change: RowChange | _Later | None = _LATER

    @property
    def key(self) -> object:
        """The key; None where there is none."""
        if self._key is _LATER:
            self._key = self._decoder.value(self.record.key)
        return self._key

    @property
    def value(self) -> object:
        """The value; None for a tombstone."""
        if self._value is _LATER:
            self._value = self._decoder.value(self.record.value)
        return self._value

    @property
    def change(self) -> RowChange | None:
        """The row change; None for a tombstone, and for what is no change of a row (a heartbeat)."""
        if isinstance(self._change, _Later):
            value = self.value
            is_envelope = isinstance(value, Mapping) and value.keys() >= _ENVELOPE
            self._change = row_change(value, self.record.headers) if is_envelope else None
        return self._change

    @property
    def key_shape(self) -> Shape | None:
        """The columns of the key; None where there is no key, or JSON without a schema."""
        return self._decoder.shape(self.record.key)

    @property
    def shape(self) -> Shape | None:
        """The columns of the row, by its writer's schema; None for a tombstone, and for JSON without a schema."""
        return self._decoder.shape(self.record.value)

    @property
    def writer_schema(self) -> tuple[int, AvroSchema] | None:
        """The registry's id of the value's schema, and the schema; None for a tombstone, and for JSON."""
        return self._decoder.writer_schema(self.record.value)

    def __repr__(self) -> str:
        return f"Delivery({self.record.topic}-{self.record.partition}:{self.record.offset})"
