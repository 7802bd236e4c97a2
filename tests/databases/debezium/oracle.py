"""Runs Debezium on a Postgres database and gives back what it would have sent to Kafka.

`Debezium` is the running engine; `run_debezium` is one run from start to a marker. The records are bytes exactly as a
Kafka Connect worker with the Confluent Avro converter sends them, the schemas exactly as it registers them.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import unquote, urlsplit

import fastavro

from databases.debezium.install import install

DEFAULT_SETTINGS: Mapping[str, str] = {
    "name": "oracle",
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "plugin.name": "pgoutput",
    "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
    "offset.flush.interval.ms": "0",
    "snapshot.mode": "initial",
    # Avro allows fewer characters in names than Postgres; Debezium's users have to set both for the Avro converter.
    "schema.name.adjustment.mode": "avro",
    "field.name.adjustment.mode": "avro",
    # Truncates are left out by default; they are part of what is compared.
    "skipped.operations": "none",
    # Quick answers; none of these changes what is emitted.
    "poll.interval.ms": "20",
    "status.update.interval.ms": "500",
    "slot.drop.on.stop": "true",
    "publication.autocreate.mode": "filtered",
}

_JAVA = ["java", "-Xmx1g", "-XX:TieredStopAtLevel=1"]
"""One compiler tier: the engine lives for seconds, and starts a third sooner."""


@dataclass(frozen=True, slots=True)
class DebeziumRecord:
    """One record as it would have been sent; `offset` is the connector's own source offset."""

    topic: str
    partition: int | None
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    offset: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DebeziumSchema:
    """One registered schema, `schema` being the registered JSON."""

    id: int
    subject: str
    version: int
    schema: Mapping[str, object]


@dataclass(slots=True)
class DebeziumRun:
    """Everything that came out so far, in order."""

    records: list[DebeziumRecord] = field(default_factory=list)
    schemas: list[DebeziumSchema] = field(default_factory=list)
    end: str | None = None
    _parsed: dict[int, dict[str, object]] = field(default_factory=dict)

    def of(self, topic: str) -> list[DebeziumRecord]:
        """Return the records of one topic."""
        return [record for record in self.records if record.topic == topic]

    def schema(self, subject: str, version: int = -1) -> Mapping[str, object]:
        """Return a registered schema by subject, the last version unless told."""
        found = [schema for schema in self.schemas if schema.subject == subject]
        return found[-1].schema if version < 0 else found[version - 1].schema

    def decode(self, data: bytes | None) -> object:
        """Decode a key or value in Confluent's framing; None stays None."""
        if data is None:
            return None
        assert data[0] == 0, "Confluent's magic byte"
        schema_id = int.from_bytes(data[1:5], "big")
        if schema_id not in self._parsed:
            (schema,) = {id(s.schema): s.schema for s in self.schemas if s.id == schema_id}.values()
            self._parsed[schema_id] = reader_schema(schema)
        return fastavro.schemaless_reader(io.BytesIO(data[5:]), self._parsed[schema_id], None)


def reader_schema(schema: object) -> dict[str, object]:
    """Return a schema for fastavro, without logical types: what is compared are the bytes.

    It refuses some precisions that Debezium declares, too.
    """
    parsed = fastavro.parse_schema(_without_logical_types(schema))
    assert isinstance(parsed, dict)
    return parsed


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {name: _without_logical_types(part) for name, part in schema.items() if name != "logicalType"}
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    return schema


class Debezium:
    """One running engine. Leaving the context stops it and drops its slot."""

    def __init__(
        self,
        dsn: str,
        *,
        prefix: str,
        tables: Iterable[str],
        settings: Mapping[str, str] | None = None,
        class_path: Callable[[], str] = lambda: install().class_path,
    ) -> None:
        self.run = DebeziumRun()
        self._class_path = class_path
        url = urlsplit(dsn)
        self._settings = {
            **DEFAULT_SETTINGS,
            "topic.prefix": prefix,
            "slot.name": f"oracle_{os.getpid()}_{time.monotonic_ns() % 10**9}",
            "publication.name": f"oracle_{os.getpid()}_{time.monotonic_ns() % 10**9}",
            "table.include.list": ",".join(tables),
            "database.hostname": url.hostname or "127.0.0.1",
            "database.port": str(url.port or 5432),
            "database.user": unquote(url.username or "postgres"),
            "database.password": unquote(url.password or ""),
            "database.dbname": url.path.removeprefix("/"),
            **(settings or {}),
        }
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._output: BinaryIO | None = None
        self._partial = b""

    def __enter__(self) -> Self:
        class_path = self._class_path()
        self._folder = tempfile.TemporaryDirectory(prefix="debezium-")
        folder = Path(self._folder.name)
        properties, output = folder / "engine.properties", folder / "records.jsonl"
        properties.write_text("".join(f"{k}={_escape(v)}\n" for k, v in self._settings.items()))
        output.touch()
        with (folder / "engine.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*_JAVA, "-cp", class_path, "Oracle", str(properties), str(output)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._output = output.open("rb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None and self._process.stdin is not None
        assert self._output is not None and self._folder is not None
        self._process.stdin.close()
        try:
            self._process.wait(45)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._read()
        self._output.close()
        self._folder.cleanup()

    def wait(self, until: Callable[[DebeziumRun], bool], *, timeout: float = 150) -> DebeziumRun:
        """Wait until `until` holds of what came out; fails with the engine's last log lines where it does not."""
        deadline = time.monotonic() + timeout
        while not until(self.run):
            if self.run.end is not None or time.monotonic() > deadline:
                raise AssertionError(f"debezium did not get there: {self.run.end or 'time-out'}\n{self.log()}")
            if not self._read():
                time.sleep(0.05)
        return self.run

    def log(self) -> str:
        """Return the end of the engine's log."""
        assert self._folder is not None
        return (Path(self._folder.name) / "engine.log").read_text(errors="replace")[-20_000:]

    def _read(self) -> int:
        assert self._output is not None
        lines = (self._partial + self._output.read()).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            _take(self.run, json.loads(line))
        return len(lines)


def run_debezium(
    dsn: str,
    tables: Sequence[str],
    *,
    prefix: str = "shop",
    until: Callable[[DebeziumRun], bool],
    settings: Mapping[str, str] | None = None,
) -> DebeziumRun:
    """Run Debezium on `tables` (`schema.table`, regular expressions) until `until` holds."""
    with Debezium(dsn, prefix=prefix, tables=tables, settings=settings) as debezium:
        debezium.wait(until)
    return debezium.run


def _take(run: DebeziumRun, line: Mapping[str, object]) -> None:
    match line:
        case {"kind": "record", **rest}:
            run.records.append(_record(rest))
        case {
            "kind": "schema",
            "id": int(number),
            "subject": str(subject),
            "version": int(version),
            "schema": str(text),
        }:
            run.schemas.append(DebeziumSchema(number, subject, version, json.loads(text)))
        case {"kind": "end", "success": success, "message": message}:
            run.end = f"{'ended' if success else 'failed'}: {message}"
        case _:
            raise AssertionError(f"unknown line of the oracle: {line}")


def _record(line: Mapping[str, object]) -> DebeziumRecord:
    headers = line["headers"]
    assert isinstance(headers, list)
    return DebeziumRecord(
        topic=str(line["topic"]),
        partition=line["partition"],  # type: ignore[arg-type]  # null or an integer, by the oracle's format
        timestamp=line["timestamp"],  # type: ignore[arg-type]
        key=_bytes(line["key"]),
        value=_bytes(line["value"]),
        headers=tuple((name, _bytes(value)) for name, value in headers),
        offset=line["offset"],  # type: ignore[arg-type]
    )


def _bytes(text: object) -> bytes | None:
    return None if text is None else base64.b64decode(str(text))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\")
