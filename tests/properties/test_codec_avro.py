"""Every value of every schema is written as fastavro writes it, and comes back as it was."""

from __future__ import annotations

import io
import json
import math
import struct
import tempfile
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.codec.avro_envelope import frame
from tailrace.codec.avro_schema import avro_schema, no_default, value_of_default
from tailrace.codec.avro_values import for_reading
from tailrace.codec.avro_writer import UNFIT, writer
from tailrace.codec.connect_schema import connect_schema, schema_of_json
from tailrace.codec.decimals import decimal_of, integer_bytes, unscaled_bytes, variable_decimal_of, variable_scale
from tailrace.codec.decoder import Decoder, plain
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.json_converter import dump, json_schema, json_writer
from tailrace.codec.registry_store import BundledRegistry
from tailrace.errors import BadRecord
from tailrace.event import Cell, Change
from tailrace.schema import DECIMAL, MISSING, UNAVAILABLE, VARIABLE_SCALE_DECIMAL, Field, Schema, Value
from unit.codec.shop import NOW_NS, VARIABLE, change, column, config, table, wire

BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
FINITE = st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(map(int, str(digits))), exponent)),
    st.integers(0, 1),
    st.integers(0, 10**40),
    st.integers(-50, 50),
)
SPECIAL = st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
DECIMALS = FINITE | SPECIAL


def _with_default(draw: st.DrawFn, schema: Schema) -> Schema:
    if schema.type == "struct" or draw(st.booleans()):
        return schema
    default = draw(values(Schema(schema.type, schema.name, schema.version, schema.parameters, items=schema.items)))
    return Schema(
        schema.type, schema.name, schema.version, schema.parameters, schema.optional, default, items=schema.items
    )


@st.composite
def schemas(draw: st.DrawFn, depth: int = 2) -> Schema:
    optional = draw(st.booleans())
    kinds = [*BITS, "float32", "float64", "boolean", "string", "bytes", "decimal", "variable"]
    kind = draw(st.sampled_from(kinds + (["array", "map", "struct"] if depth else [])))
    match kind:
        case "decimal":
            parameters = {"scale": str(draw(st.integers(0, 12)))}
            schema = Schema("bytes", DECIMAL, 1, parameters, optional)
        case "variable":
            schema = VARIABLE.as_optional() if optional else VARIABLE
        case "array" | "map":
            schema = Schema(kind, items=draw(schemas(depth=depth - 1)), optional=optional)
        case "struct":
            fields = draw(st.lists(schemas(depth=depth - 1), max_size=3))
            members = tuple(Field(f"m{i}", member) for i, member in enumerate(fields))
            schema = Schema("struct", fields=members, optional=optional)
        case _:
            schema = Schema(kind, optional=optional)  # type: ignore[arg-type]
    return _with_default(draw, schema)


@st.composite
def values(draw: st.DrawFn, schema: Schema) -> Value:
    if schema.optional and draw(st.booleans()):
        return None
    if schema.name == DECIMAL:
        return draw(st.integers(-(10**30), 10**30).map(lambda n: decimal_of(integer_bytes(n), _scale(schema))))
    if schema.name == VARIABLE_SCALE_DECIMAL:
        return draw(FINITE | SPECIAL)
    if schema.type == "struct":
        return {field.name: draw(values(field.schema)) for field in schema.fields}
    return draw(values_of_type(schema))


def values_of_type(schema: Schema) -> st.SearchStrategy[Value]:
    if schema.type == "array":
        return st.lists(values(schema.items or VARIABLE), max_size=3)
    if schema.type == "map":
        return st.dictionaries(st.text(), values(schema.items or VARIABLE), max_size=3)
    if schema.type in BITS:
        return st.integers(-(1 << BITS[schema.type] - 1), (1 << BITS[schema.type] - 1) - 1)
    return SIMPLE[schema.type]


SIMPLE: dict[str, st.SearchStrategy[Value]] = {
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "boolean": st.booleans(),
    "string": st.text(),
    "bytes": st.binary(),
}


def _scale(schema: Schema) -> int:
    return int(schema.parameters["scale"])


@st.composite
def rows(draw: st.DrawFn) -> tuple[Schema, dict[str, Value]]:
    fields = draw(st.lists(schemas(), min_size=1, max_size=4))
    schema = Schema("struct", "shop.Row", fields=tuple(Field(f"f{i}", field) for i, field in enumerate(fields)))
    return schema, {field.name: draw(values(field.schema)) for field in schema.fields}


def raw(schema: Schema, value: Value) -> object:
    """Return a value as fastavro takes it when it knows of no logical types."""
    match value:
        case Decimal() if schema.name == VARIABLE_SCALE_DECIMAL:
            scale, unscaled = variable_scale(value)
            result: object = {"scale": scale, "value": unscaled}
        case Decimal():
            result = unscaled_bytes(value, _scale(schema))
        case list():
            result = [raw(schema.items or VARIABLE, item) for item in value]
        case dict() if schema.type == "map":
            result = {key: raw(schema.items or VARIABLE, item) for key, item in value.items()}
        case dict():
            result = {field.name: raw(field.schema, value[field.name]) for field in schema.fields}
        case _:
            result = value
    return result


def alike(one: object, other: object) -> bool:
    """Compare as `repr` does: NaN equals NaN, 0.0 is not -0.0, and 1.50 is not 1.5."""
    return repr(one) == repr(other)


@given(rows())
@settings(max_examples=300, deadline=None)
def test_fastavro_writes_the_same_bytes_and_reads_the_same_values(row: tuple[Schema, dict[str, Value]]) -> None:
    schema, value = row
    octets = writer(schema)(value)
    parsed = fastavro.parse_schema(for_reading(json.loads(json.dumps(avro_schema(schema)))))
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, parsed, raw(schema, value))
    assert octets == stream.getvalue()
    assert alike(fastavro.schemaless_reader(io.BytesIO(octets), parsed, None), raw(schema, value))


@given(rows())
@settings(max_examples=300, deadline=None)
def test_schemas_come_back_from_the_registry_and_from_beside_the_json(row: tuple[Schema, dict[str, Value]]) -> None:
    schema, _ = row
    expected = repr(as_written(schema))
    assert repr(connect_schema(json.loads(json.dumps(avro_schema(schema))))) == expected
    assert repr(schema_of_json(json.loads(dump(json_schema(schema))))) == expected


def as_written(schema: Schema) -> Schema:
    """A default of null is none, and decimals come back as `normal` has them."""
    return replace(
        schema,
        default=MISSING if no_default(schema) else normal(schema, value_of_default(schema)),
        fields=tuple(Field(field.name, as_written(field.schema)) for field in schema.fields),
        items=None if schema.items is None else as_written(schema.items),
        parameters=dict(schema.parameters),
    )


@pytest.fixture(scope="module")
def registry() -> BundledRegistry:
    return BundledRegistry(Path(tempfile.mkdtemp(prefix="tailrace-registry-")))


@given(rows())
@settings(max_examples=150, deadline=None)
def test_the_decoder_gives_back_what_the_writer_wrote(
    registry: BundledRegistry, row: tuple[Schema, dict[str, Value]]
) -> None:
    schema, value = row
    avro = frame(registry.register("s", avro_schema(schema), force=True).id) + writer(schema)(value)
    decoder = Decoder(registry)
    decoded = decoder.value(avro)
    assert alike(decoded, normal(schema, value))
    assert json.loads(json.dumps(decoder.plain(avro), allow_nan=False)) == plain(decoded)
    wrapped = dump({"schema": json_schema(schema), "payload": json_writer(schema)(value)})
    assert alike(singles(schema, decoder.value(wrapped)), normal(schema, value))


def normal(schema: Schema, value: Value) -> Value:
    """Decimals have no negative zero and no NaN with a sign; maps come back in any order but ours is kept."""
    match value:
        case Decimal() if value.is_zero():
            result: Value = abs(value)
        case list():
            result = [normal(schema.items or VARIABLE, item) for item in value]
        case dict() if schema.type == "map":
            result = {key: normal(schema.items or VARIABLE, item) for key, item in value.items()}
        case dict():
            result = {field.name: normal(field.schema, value[field.name]) for field in schema.fields}
        case _:
            result = value
    return result


def singles(schema: Schema, value: object) -> object:
    """JSON holds the shortest digits of a 32-bit float: round them back to one."""
    match value:
        case float() if schema.type == "float32" and math.isfinite(value):
            result: object = struct.unpack("<f", struct.pack("<f", value))[0]
        case list():
            result = [singles(schema.items or VARIABLE, item) for item in value]
        case dict() if schema.type == "map":
            result = {key: singles(schema.items or VARIABLE, item) for key, item in value.items()}
        case dict():
            result = {field.name: singles(field.schema, value[field.name]) for field in schema.fields}
        case _:
            result = value
    return result


@given(st.sampled_from(sorted(BITS)), st.integers(), st.booleans())
def test_an_integer_is_written_exactly_or_refused(kind: str, number: int, optional: bool) -> None:
    schema = Schema(kind, optional=optional)  # type: ignore[arg-type]
    low = -(1 << BITS[kind] - 1)
    if low <= number <= -low - 1:
        octets = writer(schema)(number)
        parsed = fastavro.parse_schema(json.loads(json.dumps(avro_schema(schema))))
        assert fastavro.schemaless_reader(io.BytesIO(octets), parsed, None) == number
    else:
        with pytest.raises(BadRecord, match=f"does not fit {kind}"):
            writer(schema)(number)


@given(DECIMALS, st.integers(0, 40))
def test_a_decimal_is_written_exactly_or_refused(value: Decimal, scale: int) -> None:
    try:
        unscaled = unscaled_bytes(value, scale)
    except BadRecord:
        assert value.is_infinite() or (Fraction(value) * 10**scale).denominator != 1
        return
    back = decimal_of(unscaled, scale)
    assert back.is_nan() if value.is_nan() else back == value


@given(DECIMALS)
def test_a_variable_decimal_keeps_its_digits(value: Decimal) -> None:
    scale, unscaled = variable_scale(value)
    back = variable_decimal_of(scale, unscaled)
    assert str(back) == str(abs(value) if value.is_zero() else value)
    assert (unscaled == b"") == (not value.is_finite())


@given(st.integers())
def test_unscaled_bytes_are_javas(number: int) -> None:
    octets = integer_bytes(number)
    assert int.from_bytes(octets, "big", signed=True) == number
    shorter = octets[1:]
    assert not shorter or int.from_bytes(shorter, "big", signed=True) != number


@given(schemas(), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | DECIMALS)
@settings(max_examples=300, deadline=None)
def test_a_value_of_another_type_raises_nothing_but_what_callers_expect(schema: Schema, value: Value) -> None:
    try:
        octets = writer(schema)(value)
    except (BadRecord, *UNFIT):
        return
    assert isinstance(octets, bytes)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
CELLS: st.SearchStrategy[str | None | object] = st.none() | st.just(UNAVAILABLE) | TEXTS


@given(st.lists(st.tuples(CELLS, CELLS, st.booleans(), st.booleans()), min_size=1, max_size=5), st.sampled_from("rcud"))
@settings(max_examples=150, deadline=None)
def test_a_change_from_the_wire_and_from_values_is_the_same(
    registry: BundledRegistry, columns: list[tuple[Cell, Cell, bool, bool]], op: str
) -> None:
    of = table(
        column("id", Schema("int32"), int),
        *(
            column(f"c{i}", Schema("string", optional=optional, default="d" if default else MISSING), placeholder="?")
            for i, (_, _, optional, default) in enumerate(columns)
        ),
    )
    before = wire("1", *(each[0] for each in columns)) if op in "ud" else None  # type: ignore[arg-type]
    after = wire("1", *(each[1] for each in columns)) if op != "d" else None  # type: ignore[arg-type]
    untouched = change(of, op, before, after)  # type: ignore[arg-type]
    touched = untouched.with_rows(untouched.before, untouched.after)
    encoder = ChangeEncoder(registry, config(on_incompatible_schema="register"), clock=lambda: NOW_NS)
    assert _records(encoder, untouched) == _records(encoder, touched)


def _records(encoder: ChangeEncoder, event: Change) -> list[object]:
    return [(each.topic, each.key, each.value, list(each.headers)) for each in encoder.encode([event])]
