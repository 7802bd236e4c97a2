"""Schemas and values to ask Kafka Connect about, made from a seed; `python -m unit.codec.connect.cases JARS` asks.

Run from `tests/`, with the folder of Debezium's jars: it compiles `ConnectJudge.java`, asks about every case, and
writes the answers to `answers.jsonl.gz`, which the tests compare with. Nothing here needs Java otherwise.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from tailrace.schema import DECIMAL, MISSING, VARIABLE_SCALE_DECIMAL, Field, Schema, SchemaType, Value

ANSWERS = Path(__file__).with_name("answers.jsonl.gz")
CASES = 300
SEED = 20251122

_SIMPLE: tuple[SchemaType, ...] = (
    "int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "bytes",
)  # fmt: skip
_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
_NAMES = {
    "int32": ["io.debezium.time.Date", None, None],
    "int64": ["io.debezium.time.MicroTimestamp", None, None],
    "string": ["io.debezium.data.Uuid", "io.debezium.data.Enum", None, None],
    "bytes": ["io.debezium.data.Bits", None],
}
VARIABLE = Schema(
    "struct",
    name=VARIABLE_SCALE_DECIMAL,
    version=1,
    doc="Variable scaled decimal",
    fields=(Field("scale", Schema("int32")), Field("value", Schema("bytes"))),
)


def cases() -> Iterator[tuple[Schema, dict[str, Value]]]:
    """Yield structs and values of them, the same ones every time."""
    for number in range(CASES):
        dice = random.Random(SEED + number)
        fields = tuple(Field(f"f{i}", _schema(dice, depth=2)) for i in range(dice.randint(1, 6)))
        schema = Schema("struct", name=f"shop.public.t{number}.Value", version=dice.choice([None, 1]), fields=fields)
        yield schema, {field.name: _value(dice, field.schema) for field in fields}


def _schema(dice: random.Random, *, depth: int) -> Schema:
    optional = dice.random() < 0.5
    kind = dice.randint(0, 11 if depth else 8)
    if kind == 9:
        return Schema("array", items=_schema(dice, depth=depth - 1), optional=optional)
    if kind == 10:
        return Schema("map", items=_schema(dice, depth=depth - 1), optional=optional)
    if kind == 11:
        return _struct(dice, depth, optional=optional)
    if kind == 8:
        return Schema(**{name: getattr(VARIABLE, name) for name in Schema.__slots__} | {"optional": optional})
    if kind == 7:
        scale = dice.randint(0, 6)
        parameters = {"scale": str(scale)}
        if dice.random() < 0.7:
            parameters["connect.decimal.precision"] = str(scale + dice.randint(1, 30))
        return _with_default(dice, Schema("bytes", DECIMAL, 1, parameters, optional))
    return _with_default(dice, _simple(dice, optional=optional))


def _simple(dice: random.Random, *, optional: bool) -> Schema:
    type_ = dice.choice(_SIMPLE)
    name = dice.choice(_NAMES.get(type_, [None]))
    parameters = {"allowed": "a,b"} if name == "io.debezium.data.Enum" else {}
    doc = dice.choice([None, None, 'a comment, with "quotes" and é'])
    return Schema(type_, name, 1 if name else None, parameters, optional, doc=doc)


def _struct(dice: random.Random, depth: int, *, optional: bool) -> Schema:
    fields = tuple(Field(name, _schema(dice, depth=depth - 1)) for name in ("x", "y"))
    name = dice.choice([None, "io.debezium.S", "shop.public.S", "Bare"])
    # Structs of one name must be equal, or AvroData gives up: so the name says what is in it.
    suffix = "" if name is None else f"{dice.randrange(10**9)}"
    return Schema("struct", name and name + suffix, 1, fields=fields, optional=optional)


def _with_default(dice: random.Random, schema: Schema) -> Schema:
    if dice.random() < 0.7:
        return schema
    default = _value(dice, Schema(schema.type, schema.name, schema.version, schema.parameters))
    return Schema(schema.type, schema.name, schema.version, schema.parameters, schema.optional, default, doc=schema.doc)


def _value(dice: random.Random, schema: Schema) -> Value:
    # Connect writes a field's default where its value is null, which we do not: no nulls there.
    if schema.optional and schema.default is MISSING and dice.random() < 0.4:
        return None
    if schema.name == DECIMAL:
        return Decimal(dice.randint(-(10**12), 10**12)).scaleb(-int(schema.parameters["scale"]))
    if schema.name == VARIABLE_SCALE_DECIMAL:
        return Decimal(dice.randint(-(10 ** dice.randint(0, 25)), 10**20)).scaleb(-dice.randint(0, 12))
    return _value_of_type(dice, schema)


def _value_of_type(dice: random.Random, schema: Schema) -> Value:
    if schema.type == "array":
        return [_value(dice, schema.items or VARIABLE) for _ in range(dice.randint(0, 3))]
    if schema.type == "map":  # not more than one: Java's order is its own
        return {_text(dice): _value(dice, schema.items or VARIABLE)} if dice.random() < 0.8 else {}
    if schema.type == "struct":
        return {field.name: _value(dice, field.schema) for field in schema.fields}
    return _simple_value(dice, schema.type)


def _simple_value(dice: random.Random, type_: SchemaType) -> Value:
    if type_ in _BITS:
        top = 1 << (_BITS[type_] - 1)
        return dice.choice([0, 1, -1, top - 1, -top, dice.randint(-min(top, 300), min(top, 300) - 1)])
    if type_ == "float64":
        return dice.choice([0.0, -0.0, 1e10, 0.001, 0.0001, 123456.789, 1e21, float("inf"), float("nan"), -1.5, 100.0])
    if type_ == "float32":
        return dice.choice([0.0, 0.5, 16777216.0, -2.0, float("-inf"), 0.10000000149011612, 3.4028234663852886e38])
    if type_ == "boolean":
        return dice.random() < 0.5
    return _text(dice) if type_ == "string" else dice.randbytes(dice.choice([0, 1, 5, 200]))


def _text(dice: random.Random) -> str:
    return dice.choice(["", "a", 'quote " and \\', "né ü", "𝄞", "line\nbreak", "x" * 100, "a/b\t"])


def as_json(schema: Schema, value: Value) -> object:
    """Return a value as the judge reads it."""
    match value:
        case float() | Decimal():
            result: object = str(value).replace("inf", "Infinity").replace("nan", "NaN")
        case bytes():
            result = b64encode(value).decode()
        case list():
            result = [as_json(schema.items or VARIABLE, item) for item in value]
        case dict() if schema.type == "map":
            result = {key: as_json(schema.items or VARIABLE, item) for key, item in value.items()}
        case dict():
            result = {field.name: as_json(field.schema, value[field.name]) for field in schema.fields}
        case _:
            result = value
    return result


def schema_json(schema: Schema) -> dict[str, object]:
    """Return a schema as the judge reads it."""
    node: dict[str, object] = {
        "type": schema.type,
        "name": schema.name,
        "version": schema.version,
        "doc": schema.doc,
        "optional": schema.optional,
        "parameters": dict(schema.parameters),
        "fields": [{"name": field.name, "schema": schema_json(field.schema)} for field in schema.fields],
    }
    if schema.items is not None:
        node["items"] = schema_json(schema.items)
    if not (schema.default is MISSING or schema.default is None):
        node["default"] = as_json(schema, schema.default)
    return node


def answers() -> list[dict[str, object]]:
    """Return what Connect said, case by case."""
    with gzip.open(ANSWERS, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ask(jars: Path) -> None:
    """Ask Connect, and keep its answers."""
    questions = [
        json.dumps({"schema": schema_json(schema), "value": as_json(schema, value)}) for schema, value in cases()
    ]
    source = Path(__file__).with_name("ConnectJudge.java")
    with tempfile.TemporaryDirectory() as classes:
        subprocess.run(["javac", "-cp", f"{jars}/*", "-d", classes, source], check=True)
        judged = subprocess.run(
            ["java", "-cp", f"{classes}:{jars}/*", "ConnectJudge"],
            input="\n".join(questions) + "\n",
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
    ANSWERS.write_bytes(gzip.compress(judged.stdout.encode(), mtime=0))


if __name__ == "__main__":
    ask(Path(sys.argv[1]))
