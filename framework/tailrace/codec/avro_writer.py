"""Writes values as Avro binary: a `Schema` compiled, once, into closures from a value to its bytes.

    int, long         => zig-zag varint, 7 bits a byte, least significant first
    float, double     => IEEE 754, little-endian
    string, bytes     => length:long  octets
    union with null   => branch:long  (0 is the type that stands first)  value
    array, map        => count:long  items  ...  0:long
    record            => its fields, in order

Nothing wraps and nothing is rounded: an integer outside of its type, a decimal with more digits than its scale, text
that is not Unicode are refused. A refused value raises `BadRecord`, or one of `UNFIT`, which the caller turns into a
`BadRecord` that names the column; messages never hold a value. Source: Avro specification 1.11, "Binary Encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from tailrace.codec.avro_schema import decimal_scale, items_of, no_default
from tailrace.codec.decimals import unscaled_bytes, variable_scale
from tailrace.errors import BadRecord
from tailrace.schema import DECIMAL, VARIABLE_SCALE_DECIMAL, Schema

Write: TypeAlias = Callable[..., bytes]
"""From one value to its Avro bytes; what it takes depends on the schema, and is checked when it runs."""

UNFIT = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, struct.error)
"""What a writer raises for a value of another type than its schema's, besides `BadRecord`."""

NULL_FIRST = (b"\x00", b"\x02")
"""Branches of a union that begins with null: of null, and of the type."""
NULL_LAST = (b"\x02", b"\x00")

_BITS = 14
_CHUNK = 1 << _BITS
_MORE = [bytes((z & 0x7F | 0x80, z >> 7 | 0x80)) for z in range(_CHUNK)]
"""Two bytes of a varint with more to come, by the 14 bits that they hold."""
_LAST = [bytes((z,)) if z < 0x80 else bytes((z & 0x7F | 0x80, z >> 7)) for z in range(_CHUNK)]
"""The last one or two bytes of a varint."""
LENGTHS = _LAST[::2]
"""Zig-zag varints of the lengths 0..8191."""
_SMALL = LENGTHS + _LAST[:0:-2]
"""Zig-zag varints of -8192..8191, by index: negative numbers count from the end, as Python's indexes do."""
_SMALL_LIMIT = _CHUNK // 2

_FLOAT = struct.Struct("<f").pack
_DOUBLE = struct.Struct("<d").pack
_BOOLEANS = {False: b"\x00", True: b"\x01"}


def varint(number: int) -> bytes:
    """Return `number` as a zig-zag varint; raises `BadRecord` outside of 64 bits."""
    if -_SMALL_LIMIT <= number < _SMALL_LIMIT:
        return _SMALL[number]
    rest = number << 1 if number >= 0 else ~(number << 1)
    if rest >> 64:
        raise BadRecord("integer does not fit int64")
    out = b""
    while rest >= _CHUNK:
        out += _MORE[rest & (_CHUNK - 1)]
        rest >>= _BITS
    return out + _LAST[rest]


def write_text(value: str) -> bytes:
    """Return a string with its length before it."""
    octets = value.encode()
    size = len(octets)
    return (LENGTHS[size] if size < _SMALL_LIMIT else varint(size)) + octets


def write_octets(value: bytes) -> bytes:
    """Return bytes with their length before them."""
    size = len(value)
    return (LENGTHS[size] if size < _SMALL_LIMIT else varint(size)) + value


def writer(schema: Schema) -> Write:
    """Return the function that writes values of `schema`, null among them where it is optional."""
    write = plain_writer(schema)
    if not schema.optional:
        return write
    null, some = branches(schema)

    def write_optional(value: object) -> bytes:
        return null if value is None else some + write(value)

    return write_optional


def branches(schema: Schema) -> tuple[bytes, bytes]:
    """Return the branch bytes of an optional schema: of null, and of a value."""
    return NULL_FIRST if schema.type == "struct" or no_default(schema) else NULL_LAST


def plain_writer(schema: Schema) -> Write:
    """Return the function that writes values of `schema` without the branch of a union, even where it is optional."""
    if schema.name == DECIMAL and schema.type == "bytes":
        return _decimal_writer(decimal_scale(schema))
    if schema.name == VARIABLE_SCALE_DECIMAL and schema.type == "struct":
        return _variable_decimal_writer(schema)
    if schema.type in _PLAIN:
        return _PLAIN[schema.type]
    if schema.type == "array":
        return _array_writer(writer(items_of(schema)))
    if schema.type == "map":
        return _map_writer(writer(items_of(schema)))
    return _struct_writer(schema)


def _integer_writer(bits: int) -> Write:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def write(value: int) -> bytes:
        if -_SMALL_LIMIT <= value < _SMALL_LIMIT and low <= value <= high:
            return _SMALL[value]
        if not low <= value <= high:
            raise BadRecord(f"integer does not fit int{bits}")
        return varint(value)

    return write


def _write_boolean(value: bool) -> bytes:  # noqa: FBT001 - it is the value itself
    return _BOOLEANS[value]


def _write_float(value: float) -> bytes:
    return _FLOAT(value)


def _write_double(value: float) -> bytes:
    return _DOUBLE(value)


_PLAIN: dict[str, Write] = {
    "int8": _integer_writer(8),
    "int16": _integer_writer(16),
    "int32": _integer_writer(32),
    "int64": varint,
    "boolean": _write_boolean,
    "float32": _write_float,
    "float64": _write_double,
    "string": write_text,
    "bytes": write_octets,
}


def _decimal_writer(scale: int) -> Write:
    def write(value: Decimal) -> bytes:
        return write_octets(unscaled_bytes(value, scale))

    return write


def _variable_decimal_writer(schema: Schema) -> Write:
    value_first = bool(schema.fields) and schema.fields[0].name == "value"

    def write(value: Decimal) -> bytes:
        scale, unscaled = variable_scale(value)
        if value_first:
            return write_octets(unscaled) + varint(scale)
        return varint(scale) + write_octets(unscaled)

    return write


def _array_writer(write_item: Write) -> Write:
    def write(value: list[object]) -> bytes:
        if not value:
            return b"\x00"
        return b"".join((varint(len(value)), *map(write_item, value), b"\x00"))

    return write


def _map_writer(write_item: Write) -> Write:
    def write(value: dict[str, object]) -> bytes:
        if not value:
            return b"\x00"
        items = [write_text(key) + write_item(item) for key, item in value.items()]
        return b"".join((varint(len(items)), *items, b"\x00"))

    return write


def _struct_writer(schema: Schema) -> Write:
    fields = [(field.name, writer(field.schema)) for field in schema.fields]

    def write(value: dict[str, object]) -> bytes:
        return b"".join([write_field(value.get(name)) for name, write_field in fields])

    return write
