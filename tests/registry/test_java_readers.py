"""Confluent's Avro deserializer and Connect's AvroConverter read what Tailrace writes, by the registry it serves.

Each value of each event is compared with what fastavro makes of the bytes, without logical types; Connect's decimals
with the unscaled number and the scale of the schema.
"""

from __future__ import annotations

import io
import json
import math
import os
import struct
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import fastavro
import psycopg
import pytest

from databases.debezium import install, pair, pair_mysql
from databases.debezium.oracle import reader_schema
from databases.mysql.capture import end_of_binlog
from registry.served import serve
from servers.mysql import MysqlDatabase
from servers.postgres import Database
from tailrace.codec.registry_store import BundledRegistry
from tailrace.event import Record

JUDGE = Path(__file__).with_name("RegistryJudge.java")
DECIMAL = "org.apache.kafka.connect.data.Decimal"
TOKEN = "t0ken"
NAN_BITS = 0x7FF8000000000000
"""Java's doubleToLongBits knows one NaN."""
EXACT = Context(prec=200_000)

pytestmark = [pytest.mark.java, pytest.mark.slow]


@pytest.fixture(autouse=True)
def java() -> None:
    if missing := install.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


def test_every_event_of_postgres(postgres: Database, tmp_path: Path) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for statement in pair.statements("everyday.sql", connection):
            connection.execute(statement.encode())
        with pair.Tailrace(postgres.url, tmp_path / "log") as tailrace:
            topic = f"{pair.PREFIX}.{pair.MARKER}"
            tailrace.wait(lambda run: len(run.of(topic)) >= 1)
            for statement in pair.statements("changes.sql", connection):
                tailrace.execute(connection, statement)
            connection.execute(f"INSERT INTO {pair.MARKER} VALUES (1)".encode())
            tailrace.wait(lambda run: len(run.of(topic)) >= 2)
    names = judged(tailrace.run.records, tmp_path)
    assert {"d", "r", "c", "u", "t", "decimal", "double", "array", "unavailable", "null"} <= names


def test_every_event_of_mysql(mysql: MysqlDatabase, tmp_path: Path) -> None:
    ours = pair_mysql.Ours(mysql, tmp_path / "log")
    for statement in pair_mysql.statements("everyday_mysql.sql"):
        mysql.execute(statement)
        ours.declare(statement)
    place = end_of_binlog(mysql.server)
    mysql.execute(pair_mysql.SQL_MODE, *pair_mysql.statements("changes_mysql.sql"))
    ours.snapshot()
    ours.stream(place)
    names = judged(ours.run.records, tmp_path)
    assert {"d", "r", "c", "u", "decimal", "double", "null"} <= names


def judged(records: Sequence[Record], folder: Path) -> set[str]:
    """Put all records to the judge, and compare; return the kinds of values that were among them."""
    questions = list(_questions(records))
    assert len(questions) > 60
    registry = BundledRegistry(folder / "log" / "registry")
    with serve(folder, token=TOKEN) as served:
        answers = _answers(served.url, questions)
    kinds: set[str] = set()
    for (topic, is_key, data), answer in zip(questions, answers, strict=True):
        schema_id = int.from_bytes(data[1:5], "big")
        schema = registry.by_id(schema_id)
        value = fastavro.schemaless_reader(io.BytesIO(data[5:]), reader_schema(schema), None)
        place = f"{topic} {'key' if is_key else 'value'} {value!r}"
        assert answer["avro"] == Expectation(False, kinds).of(schema, value), place
        assert isinstance(schema, Mapping)
        connect = Expectation(True, kinds)
        expected = connect.of(schema, value)
        if connect.specials:
            assert answer["refused"] == "Zero length BigInteger", place
        else:
            assert (answer["connect"], answer["schema"]) == (expected, schema["connect.name"]), place
        assert answer["known"] == schema_id, place
    return kinds


def _questions(records: Sequence[Record]) -> Iterator[tuple[str, bool, bytes]]:
    for record in records:
        if record.key is not None:
            yield record.topic, True, record.key
        if record.value is not None:
            yield record.topic, False, record.value


def _answers(url: str, questions: Sequence[tuple[str, bool, bytes]]) -> list[dict[str, Any]]:
    installed = install.install(JUDGE)
    asked = [{"topic": topic, "key": is_key, "data": b64encode(data).decode()} for topic, is_key, data in questions]
    command = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", installed.class_path, JUDGE.stem, url, TOKEN]
    done = subprocess.run(
        command, input="".join(f"{json.dumps(each)}\n" for each in asked), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@dataclass(slots=True)
class Expectation:
    """How the judge prints a value; `kinds` takes note of what there was, `names` has the records defined so far."""

    connect: bool
    kinds: set[str]
    names: dict[str, Any] = field(default_factory=dict)
    specials: int = 0
    """Decimals of a fixed scale that are no numbers: bytes of no length, which Connect's Decimal cannot be."""

    def of(self, schema: Any, value: Any) -> Any:
        if isinstance(schema, list):
            (branch,) = [each for each in schema if each != "null"]
            self.define(branch)
            self.kinds |= {"null"} if value is None else set()
            return None if value is None else self.of(branch, value)
        schema = self.names.get(schema, {"type": schema}) if isinstance(schema, str) else schema
        match schema["type"]:
            case "record":
                self.define(schema)
                self.kinds.add(str(value.get("op")))
                return {each["name"]: self.of(each["type"], value[each["name"]]) for each in schema["fields"]}
            case "array":
                self.kinds.add("array")
                return [self.of(schema["items"], item) for item in value]
            case "map":
                return {key: self.of(schema["values"], item) for key, item in value.items()}
            case _:
                return self.primitive(schema, value)

    def primitive(self, schema: Mapping[str, Any], value: Any) -> Any:
        match schema["type"]:
            case "bytes" if self.connect and schema.get("connect.name") == DECIMAL:
                self.kinds.add("decimal")
                self.specials += not value
                number = EXACT.scaleb(Decimal(int.from_bytes(value, "big", signed=True)), -schema.get("scale", 0))
                return {"decimal": f"{number:f}"}
            case "bytes":
                return {"bytes": b64encode(value).decode()}
            case "float" | "double":
                self.kinds.add("double")
                (bits,) = struct.unpack(">q", struct.pack(">d", value))
                return {"bits": NAN_BITS if math.isnan(value) else bits}
        if value == "__debezium_unavailable_value":
            self.kinds.add("unavailable")
        return value

    def define(self, schema: Any) -> None:
        """Take note of records, also where the value is null: what follows may refer to them."""
        if not isinstance(schema, Mapping) or schema["type"] != "record":
            return
        self.names[schema["name"]] = self.names[f"{schema.get('namespace')}.{schema['name']}"] = schema
        for each in schema["fields"]:
            for kind in each["type"] if isinstance(each["type"], list) else [each["type"]]:
                self.define(kind)
