"""Pairs of Avro schemas, made from a seed; `python -m unit.codec.compatibility.pairs JARS` asks Confluent's code.

Run from `tests/`, with the folder of Debezium's jars: it compiles `CompatibilityJudge.java`, asks whether the reader of
each pair reads its writer, and writes the answers to `answers.txt`. Nothing here needs Java otherwise.
"""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).with_name("answers.txt")
PAIRS = 3000
SEED = 7

_SIMPLE = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]

Avro = Any
"""An Avro schema as parsed JSON, to be taken apart and changed."""


class Maker:
    """Makes one schema, with names of its own."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._names = 0

    def name(self) -> str:
        self._names += 1
        return f"N{self._names}"

    def schema(self, depth: int) -> Avro:
        kinds: list[Callable[[int], Avro]] = [self.simple] * 4
        if depth:
            kinds += [self.record, self.array, self.map, self.union, self.enum, self.fixed, self.union]
        return self._dice.choice(kinds)(depth)

    def simple(self, _: int) -> Avro:
        return self._dice.choice(_SIMPLE)

    def record(self, depth: int) -> Avro:
        name = self.name()
        fields = [self.field(f"f{i}", depth - 1) for i in range(self._dice.randint(0, 4))]
        if self._dice.random() < 0.2:
            fields.append({"name": "next", "type": ["null", name], "default": None})
        return {"type": "record", "name": name, "namespace": self._dice.choice(["a", "b"]), "fields": fields}

    def field(self, name: str, depth: int) -> Avro:
        field: Avro = {"name": name, "type": self.schema(depth)}
        if isinstance(field["type"], str) and field["type"] in _DEFAULTS and self._dice.random() < 0.4:
            field["default"] = _DEFAULTS[field["type"]]
        return field

    def array(self, depth: int) -> Avro:
        return {"type": "array", "items": self.schema(depth - 1)}

    def map(self, depth: int) -> Avro:
        return {"type": "map", "values": self.schema(depth - 1)}

    def union(self, depth: int) -> Avro:
        count = self._dice.randint(1, 3)
        branches = self._dice.sample(_SIMPLE, count)
        if self._dice.random() < 0.4:
            branches.append(self._dice.choice([self.record, self.enum])(depth))
        return branches

    def enum(self, _: int) -> Avro:
        symbols = self._dice.sample(["A", "B", "C", "D"], self._dice.randint(1, 4))
        enum: Avro = {"type": "enum", "name": self.name(), "symbols": symbols}
        if self._dice.random() < 0.3:
            enum["default"] = symbols[0]
        return enum

    def fixed(self, _: int) -> Avro:
        return {"type": "fixed", "name": self.name(), "size": self._dice.randint(1, 3)}


_DEFAULTS: dict[str, object] = {
    "null": None, "boolean": False, "int": 1, "long": 1, "float": 1.5, "double": 1.5, "bytes": "a", "string": "a",
}  # fmt: skip


def pairs() -> Iterator[tuple[Avro, Avro]]:
    """Yield readers with writers, the same ones every time: mostly a schema and what became of it."""
    for number in range(PAIRS):
        dice = random.Random(SEED * PAIRS + number)
        writer = Maker(dice).record(3)
        reader = copy.deepcopy(writer)
        for _ in range(dice.randint(0, 3)):
            _change(dice, reader, Maker(random.Random(number)))
        yield (reader, writer) if dice.random() < 0.5 else (writer, reader)


def _change(dice: random.Random, schema: Avro, maker: Maker) -> None:
    """Change `schema` in place, at one place or another, so that it stays valid."""
    records = [node for node in _nodes(schema) if node["type"] == "record"]
    record = dice.choice(records)
    fields = record["fields"]
    match dice.randint(0, 8):
        case 0 if fields:
            fields.pop(dice.randrange(len(fields)))
        case 1:
            fields.append({"name": f"g{len(fields)}", "type": dice.choice(_SIMPLE)})
        case 2:
            fields.append({"name": f"h{len(fields)}", "type": ["null", "string"], "default": None})
        case 3 if fields:
            _retype(dice, dice.choice(fields))
        case 4 if fields:
            field = dice.choice(fields)
            field["aliases"] = [field["name"]]
            field["name"] = f"r{len(record['name'])}{field['name']}"
        case 5:
            _change_enum(dice, schema)
        case 6:
            record["namespace"] = "c"
        case 7:
            _change_fixed(schema)
        case _:
            dice.shuffle(fields)


def _retype(dice: random.Random, field: Avro) -> None:
    if isinstance(field["type"], str) and field["type"] in _SIMPLE:
        field["type"] = dice.choice(_SIMPLE)
        field.pop("default", None)
    elif isinstance(field["type"], list) and "default" not in field:
        simple = [branch for branch in field["type"] if branch in _SIMPLE]
        unused = [branch for branch in _SIMPLE if branch not in simple]
        if simple and dice.random() < 0.5 and len(field["type"]) > 1:
            field["type"].remove(dice.choice(simple))
        elif unused:
            field["type"].append(dice.choice(unused))


def _change_enum(dice: random.Random, schema: Avro) -> None:
    for node in _nodes(schema):
        if node["type"] == "enum" and "default" not in node and len(node["symbols"]) > 1:
            node["symbols"].remove(dice.choice(node["symbols"]))


def _change_fixed(schema: Avro) -> None:
    for node in _nodes(schema):
        if node["type"] == "fixed":
            node["size"] += 1


def _nodes(schema: Avro) -> Iterator[Avro]:
    if isinstance(schema, list):
        for branch in schema:
            yield from _nodes(branch)
    elif isinstance(schema, dict):
        if isinstance(schema["type"], str):
            yield schema
        for key in ("items", "values", "type"):
            if isinstance(schema.get(key), dict | list):
                yield from _nodes(schema[key])
        for field in schema.get("fields", ()):
            yield from _nodes(field["type"])


def answers() -> list[bool]:
    """Return what Confluent's code said, pair by pair: whether the reader reads the writer."""
    return [answer == "1" for answer in ANSWERS.read_text().split()]


def ask(jars: Path) -> None:
    """Ask, and keep the answers."""
    questions = [json.dumps({"reader": reader, "writer": writer}) for reader, writer in pairs()]
    source = Path(__file__).with_name("CompatibilityJudge.java")
    with tempfile.TemporaryDirectory() as classes:
        subprocess.run(["javac", "-cp", f"{jars}/*", "-d", classes, source], check=True)
        judged = subprocess.run(
            ["java", "-cp", f"{classes}:{jars}/*", "CompatibilityJudge"],
            input="\n".join(questions) + "\n",
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
    said = "".join(judged.stdout.split())
    ANSWERS.write_text("\n".join(" ".join(said[i : i + 60]) for i in range(0, len(said), 60)) + "\n")


if __name__ == "__main__":
    ask(Path(sys.argv[1]))
