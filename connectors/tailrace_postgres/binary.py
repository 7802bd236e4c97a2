"""Values that Postgres sent in binary: the very values that `numeric.py`, `temporal.py` and `text.py` read of its text.

    float4, float8    => IEEE 754
    timetz            => int64, microseconds since midnight; int32, seconds west of UTC
    interval          => int64, microseconds; int32, days; int32, months
    point             => float8 x, float8 y
    hstore            => pairs:int32 (size:int32 key size:int32 value)*, the size of a null being -1
    array             => dimensions:int32 nulls:int32 type:oid (size:int32 lower:int32)* (size:int32 element)*

For the forms of the others see `printed.py`. Common types are read directly; a rare one is printed first, and its text
is read. The compiled core does the same by the names that `form.py` gives. Big-endian; every read checks that the
cell is as long as its type. Source: the functions `timetz_send`, `interval_send`, `array_send` …
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Context, Decimal
from struct import Struct
from struct import error as struct_error

from tailrace.codec.avro_schema import shortest_float32
from tailrace.schema import Value
from tailrace_postgres import printed, temporal, text
from tailrace_postgres.array import one_dimension_only, refuse_null
from tailrace_postgres.numeric import Decode
from tailrace_postgres.printed import EPOCH_DAYS, Print, malformed
from tailrace_postgres.temporal import DAY

_FLOAT4 = Struct(">f")
_FLOAT8 = Struct(">d")
_POINT = Struct(">8s8s")
_TIME_AND_ZONE = Struct(">qi")
_INTERVAL = Struct(">qii")
_INT32 = Struct(">i")
_ARRAY = Struct(">iiI")
_DIMENSION = Struct(">ii")

_LARGEST = 3.4e38  # larger than all powers of two that 32 bits hold
_LAST, _FIRST = 2**63 - 1, -(2**63)
_EPOCH = EPOCH_DAYS * DAY


@dataclass(frozen=True, slots=True)
class Binary:
    """How the binary form of a type is read.

    `decode` gives what `Form.decode` gives of the text. `text` prints a value as Postgres does; a type without it can
    be in no key. `name` is what the compiled core calls what `decode` does, if it can do it.
    """

    decode: Decode
    text: Print | None = None
    name: str = ""


def by_text(text_of: Print, decode: Decode) -> Binary:
    """Return the form of a type that is printed, and then read."""
    return Binary(lambda cell: decode(text_of(cell)), text_of)


def by_value(decode: Decode) -> Print:
    """Return what prints a value for people, though not as Postgres does."""
    return lambda cell: str(decode(cell)).encode()


def boolean(cell: bytes) -> Value:
    """Read a bool."""
    return printed.boolean(cell) == b"t"


def float4(cell: bytes) -> Value:
    """Read a float of 32 bits as the double that its text is."""
    try:
        (number,) = _FLOAT4.unpack(cell)
    except struct_error:
        raise malformed("float4") from None
    if not math.isfinite(number):
        return _plain(number)
    return _power_of_two(cell, number) if math.frexp(number)[0] in {0.5, -0.5} else shortest_float32(number)


def _power_of_two(cell: bytes, number: float) -> float:
    """Return what Postgres prints of a power of two.

    Its neighbours below are nearer than those above, so that the shortest decimal that is still `number` need not be
    the nearest one of its length.
    """
    for digits in range(1, 9):
        near = Decimal(f"{number:.{digits - 1}e}")
        beyond = near.next_plus(Context(digits)) if number > 0 else near.next_minus(Context(digits))
        for candidate in (float(near), float(beyond)):
            if abs(candidate) < _LARGEST and _FLOAT4.pack(candidate) == cell:
                return candidate
    return shortest_float32(number)


def float8(cell: bytes) -> Value:
    """Read a float of 64 bits."""
    try:
        (number,) = _FLOAT8.unpack(cell)
    except struct_error:
        raise malformed("float8") from None
    return _plain(number)


def _plain(number: float) -> float:
    """Return `number`, of all that are none the one that text gives."""
    return math.nan if math.isnan(number) else number


def octets(cell: bytes) -> Value:
    """Read bytes."""
    return cell


def uuid(cell: bytes) -> Value:
    """Read a UUID as text."""
    return printed.uuid(cell).decode("ascii")


def jsonb(cell: bytes) -> Value:
    """Read a jsonb as text."""
    return text.text(printed.versioned(cell))


def date(cell: bytes) -> Value:
    """Read a date as days since 1970-01-01."""
    days = printed.number(_INT32, cell, "date")
    if days in {temporal.INFINITY_DAYS, temporal.NEGATIVE_INFINITY_DAYS}:  # which are Postgres' own marks
        return days
    return days + EPOCH_DAYS


def time_micros(cell: bytes) -> int:
    """Read a time of day as microseconds since midnight."""
    micros = printed.int8(cell)
    if not 0 <= micros <= DAY:
        raise malformed("time")
    return micros


def time_millis(cell: bytes) -> Value:
    """Read a time of day as milliseconds since midnight."""
    return time_micros(cell) // 1000


def timestamp_micros(cell: bytes) -> int:
    """Read a timestamp as microseconds since 1970-01-01 00:00:00."""
    micros = printed.int8(cell)
    if micros == _LAST:
        return temporal.INFINITY_MICROS
    return temporal.NEGATIVE_INFINITY_MICROS if micros == _FIRST else micros + _EPOCH


def timestamp_millis(cell: bytes) -> Value:
    """Read a timestamp as milliseconds since 1970-01-01 00:00:00."""
    return timestamp_micros(cell) // 1000


def timestamp_with_zone(precision: int) -> Decode:
    """Return what reads a timestamptz of `precision` digits as ISO-8601 text in UTC."""

    def decode(cell: bytes) -> Value:
        micros = printed.int8(cell)
        if micros in {_LAST, _FIRST}:
            return "infinity" if micros == _LAST else "-infinity"
        return temporal.iso_text(micros + _EPOCH, precision)

    return decode


def time_with_zone(cell: bytes) -> Value:
    """Read a time with a zone as ISO-8601 text in UTC."""
    try:
        micros, west = _TIME_AND_ZONE.unpack(cell)
    except struct_error:
        raise malformed("timetz") from None
    if not 0 <= micros <= DAY:
        raise malformed("timetz")
    return temporal.iso_time(micros, -west * temporal.SECOND)


def interval(cell: bytes) -> Value:
    """Read an interval as microseconds; raises `BadRecord` for the infinite ones of Postgres 17."""
    try:
        parts = _INTERVAL.unpack(cell)
    except struct_error:
        raise malformed("interval") from None
    if parts in {(_LAST, 2**31 - 1, 2**31 - 1), (_FIRST, -(2**31), -(2**31))}:
        raise malformed("interval")
    micros, days, months = parts
    return int(months * temporal.MONTH + days * DAY + micros)


def point(cell: bytes) -> Value:
    """Read a point of the plane."""
    try:
        x, y = map(float8, _POINT.unpack(cell))
    except struct_error:
        raise malformed("point") from None
    assert isinstance(x, float)
    assert isinstance(y, float)
    return text.point_value(x, y)


def hstore(cell: bytes) -> Value:
    """Read an hstore as the text of a JSON object, its keys in Postgres' order."""
    reader = _Sized(cell, "hstore")
    pairs: dict[str, str | None] = {}
    for _ in range(reader.count()):
        key, value = reader.item(), reader.item()
        if key is None:
            raise malformed("hstore")
        pairs[str(text.text(key))] = None if value is None else str(text.text(value))
    reader.end()
    return json.dumps(pairs, ensure_ascii=False, separators=(",", ":"))


def array(element: Decode, element_oid: int, type_name: str, *, nulls: bool = True) -> Decode:
    """Return what reads an array of one type; `nulls` says whether NULL elements have a form.

    Raises `BadRecord` for one of several dimensions, as the reader of its text does.
    """

    def decode(cell: bytes) -> Value:
        try:
            dimensions, _, oid = _ARRAY.unpack_from(cell)
            if dimensions > 1:
                raise one_dimension_only(type_name)
            count = _DIMENSION.unpack_from(cell, _ARRAY.size)[0] if dimensions else 0
        except struct_error:
            raise malformed(type_name) from None
        if oid != element_oid or dimensions < 0:
            raise malformed(type_name)
        reader = _Sized(cell, type_name, _ARRAY.size + _DIMENSION.size * dimensions)
        items = reader.items(count)
        if not nulls and None in items:
            raise refuse_null(type_name)
        return [None if item is None else element(item) for item in items]

    return decode


class _Sized:
    """Cuts items that have their sizes before them."""

    __slots__ = ("_at", "_cell", "_type_name")

    def __init__(self, cell: bytes, type_name: str, at: int = 0) -> None:
        self._cell, self._type_name, self._at = cell, type_name, at

    def count(self) -> int:
        """Return the next 32 bits."""
        self._at += 4
        return printed.number(_INT32, self._cell[self._at - 4 : self._at], self._type_name)

    def item(self) -> bytes | None:
        """Return the next item, None for a null."""
        size = self.count()
        if size == -1:
            return None
        if not 0 <= size <= len(self._cell) - self._at:
            raise malformed(self._type_name)
        self._at += size
        return self._cell[self._at - size : self._at]

    def items(self, count: int) -> list[bytes | None]:
        """Return the rest, which is `count` items."""
        if not 0 <= count <= len(self._cell):  # each takes some octets: a count that is junk must not take time
            raise malformed(self._type_name)
        found = [self.item() for _ in range(count)]
        self.end()
        return found

    def end(self) -> None:
        """Refuse octets that are left over."""
        if self._at != len(self._cell):
            raise malformed(self._type_name)
