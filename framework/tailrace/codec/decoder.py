"""From the bytes of a record back to values: Confluent-framed Avro by the registry, or Connect's JSON.

    first byte 0          => frame: 0:byte, schema id:int32 big-endian, Avro
    anything else         => JSON; an object of just `schema` and `payload` is read by its schema

Decimals come back exactly, the special ones included; semantic types keep their encoding (a date is a number of
days). `plain` makes JSON of that, as `tailrace tail` prints it: bytes as base64, decimals as strings. Row-level reading
for sinks: `row_change`.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias, cast

from tailrace.codec.avro_reader import LeftOver, ValueReader
from tailrace.codec.avro_writer import UNFIT
from tailrace.codec.header import UNAVAILABLE_COLUMNS
from tailrace.codec.json_values import payload_value
from tailrace.codec.registry import Registry
from tailrace.errors import BadRecord
from tailrace.event import Op

_FRAME = 5
_MALFORMED = (*UNFIT, EOFError, MemoryError, StopIteration)
"""What reading raises where the bytes are not what the schema says."""

Plain: TypeAlias = "str | int | float | bool | None | list[Plain] | dict[str, Plain]"


@dataclass(frozen=True, slots=True)
class RowChange:
    """An envelope as sinks need it; rows are by field name. `unavailable` names fields that hold a placeholder."""

    op: Op
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    source: Mapping[str, object]
    unavailable: frozenset[str] = frozenset()


class Decoder:
    """Decodes keys and values; asks the registry once for each schema id."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._readers: dict[int, ValueReader] = {}

    def value(self, data: bytes | None) -> object:
        """Return the value: dicts, lists, str, int, float, bool, bytes, `Decimal`, None.

        Raises `UnknownSchema` for an id that the registry does not have, and `BadRecord` for malformed data.
        """
        if data is None:
            return None
        if not data:
            raise BadRecord("cannot decode a value of no bytes")
        return self._avro(data) if data[0] == 0 else _json(data)

    def plain(self, data: bytes | None) -> Plain:
        """Return the value as what `json.dumps` takes; raises as `value` does."""
        return plain(self.value(data))

    def _avro(self, data: bytes) -> object:
        if len(data) < _FRAME:
            raise BadRecord(f"cannot decode a frame of {len(data)} bytes")
        schema_id = int.from_bytes(data[1:_FRAME], "big")
        reader = self._readers.get(schema_id)
        if reader is None:
            reader = self._readers[schema_id] = ValueReader(self._registry.by_id(schema_id))
        try:
            return reader.read(data, _FRAME)
        except LeftOver as left:
            raise BadRecord(f"cannot decode {len(data)} bytes with schema {schema_id}: it ends at {left.end}") from None
        except _MALFORMED:
            raise BadRecord(f"cannot decode {len(data)} bytes with schema {schema_id}") from None


def plain(value: object) -> Plain:
    """Return a value as what `json.dumps` takes: bytes as base64, decimals and what is not finite as strings."""
    match value:
        case float():
            result: Plain = value if math.isfinite(value) else _special(value)
        case bytes():
            result = b64encode(value).decode("ascii")
        case Decimal():
            result = f"{value:f}" if value.is_finite() else _special(float(value))
        case Mapping():
            result = {str(key): plain(member) for key, member in value.items()}
        case list() | tuple():
            result = [plain(item) for item in value]
        case _:
            result = cast("Plain", value)
    return result


def row_change(envelope: object, headers: Sequence[tuple[str, bytes | None]] = ()) -> RowChange:
    """Return the change in a decoded envelope; raises `BadRecord` for a value that is no envelope."""
    if not isinstance(envelope, Mapping) or not {"op", "after", "source"} <= envelope.keys():
        raise BadRecord("value is not a change envelope", hint="the topic holds something else than changes of a table")
    names = dict(headers).get(UNAVAILABLE_COLUMNS)
    return RowChange(
        cast("Op", envelope["op"]),
        cast("Mapping[str, object] | None", envelope.get("before")),
        cast("Mapping[str, object] | None", envelope["after"]),
        cast("Mapping[str, object]", envelope["source"]),
        frozenset(json.loads(names)) if names else frozenset(),
    )


def _json(data: bytes) -> object:
    try:
        value = json.loads(data)
    except ValueError:
        raise BadRecord(f"cannot decode {len(data)} bytes: neither framed Avro nor JSON") from None
    if isinstance(value, dict) and value.keys() == {"schema", "payload"}:
        try:
            return payload_value(value["schema"], value["payload"])
        except _MALFORMED:
            raise BadRecord("cannot decode a JSON payload: it does not fit its schema") from None
    return value


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
