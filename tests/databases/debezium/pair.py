"""Debezium and Tailrace side by side on one database: both take the snapshot, then both see the same changes."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import fastavro
import psycopg

from databases.debezium.oracle import Debezium, DebeziumRun, reader_schema
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry_store import BundledRegistry
from tailrace.event import Record
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.source import PostgresSource

PREFIX = "shop"
MARKER = "app.zz_marker"
"""A table of both; a row in it says that everything before has been seen."""
HEARTBEATS = f"__debezium-heartbeat.{PREFIX}"
FOLDER = Path(__file__).parent


@dataclass(slots=True)
class TailraceRun:
    """Everything that Tailrace wrote, in order."""

    registry: BundledRegistry
    records: list[Record] = field(default_factory=list)
    _parsed: dict[int, dict[str, object]] = field(default_factory=dict)

    def of(self, topic: str) -> list[Record]:
        """Return the records of one topic."""
        return [record for record in self.records if record.topic == topic]

    def decode(self, data: bytes | None) -> object:
        """Decode a key or value; None stays None."""
        if data is None:
            return None
        schema_id = int.from_bytes(data[1:5], "big")
        if schema_id not in self._parsed:
            self._parsed[schema_id] = reader_schema(self.registry.by_id(schema_id))
        return fastavro.schemaless_reader(io.BytesIO(data[5:]), self._parsed[schema_id], None)


class Tailrace:
    """Source and encoder in this process, driven by hand: poll, encode, ack."""

    def __init__(
        self, url: str, folder: Path, *, heartbeat_interval: float = 0, columns: Mapping[str, object] | None = None
    ) -> None:
        settings = {
            "url": url, "topic_prefix": PREFIX, "tables": ["app.*"], "heartbeat_interval": heartbeat_interval,
            "columns": columns or {},
        }  # fmt: skip
        config = PostgresConfig.model_validate(settings)
        self.run = TailraceRun(BundledRegistry(folder / "registry"))
        self._source = PostgresSource("shop", config)
        self._encoder = ChangeEncoder(self.run.registry, config)

    def __enter__(self) -> Self:
        self._source.open(None)
        return self

    def __exit__(self, *exception: object) -> None:
        self._source.close()

    def execute(self, connection: psycopg.Connection, statement: str) -> None:
        """Run a statement and poll meanwhile: one that locks a table waits for the chunk that is being read."""
        with ThreadPoolExecutor(1) as beside:
            done = beside.submit(connection.execute, statement.encode())
            self.wait(lambda _: done.done(), pause=0.005)
            done.result()

    def wait(self, until: Callable[[TailraceRun], bool], *, timeout: float = 120, pause: float = 0.1) -> None:
        """Poll until `until` holds of what came out."""
        deadline = time.monotonic() + timeout
        while not until(self.run):
            assert time.monotonic() < deadline, "tailrace did not get there in time"
            batch = self._source.poll(pause)
            self.run.records += self._encoder.encode(batch.items)
            self._source.ack(batch.position)


def statements(file: str, connection: psycopg.Connection) -> Sequence[str]:
    """Return the statements of a file of this folder; each ends with a semicolon at the end of its line.

    A server that was built without libxml has no values of type xml: there they are text.
    """
    text = (FOLDER / file).read_text(encoding="utf-8")
    if not _has_xml(connection):
        text = re.sub(r"\bxml\b", "text", text)
    return [statement for statement in text.split(";\n") if statement.strip()]


def _has_xml(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def run_both(url: str, folder: Path) -> tuple[DebeziumRun, TailraceRun]:
    """Make the tables of `everyday.sql`, let both take them in, then the changes of `changes.sql`."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements("everyday.sql", connection):
            connection.execute(statement.encode())
        # No heartbeats: Debezium would take Tailrace's, which are logical messages, for transactions of their own.
        settings = {"publish.via.partition.root": "true"}  # as Tailrace has it; Debezium's default is the partitions
        oracle = Debezium(url, prefix=PREFIX, tables=["app\\.(?!parts_).*"], settings=settings)
        with oracle as debezium, Tailrace(url, folder) as tailrace:
            _await_marker(debezium, tailrace, 1)
            marks = 1
            for statement in statements("changes.sql", connection):
                if statement.lstrip().startswith("ALTER"):  # so that neither looks up a later shape than the rows'
                    marks += 1
                    _mark(connection, debezium, tailrace, marks)
                tailrace.execute(connection, statement)
            _mark(connection, debezium, tailrace, marks + 1)
            connection.execute("SELECT pg_replication_origin_drop('elsewhere ' || current_database())")
    return debezium.run, tailrace.run


def heartbeats_of_both(url: str, folder: Path) -> tuple[DebeziumRun, TailraceRun]:
    """Let both write heartbeats, one after the other."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA app CREATE TABLE idle (id int PRIMARY KEY)")
    settings = {"heartbeat.interval.ms": "100"}
    with Debezium(url, prefix=PREFIX, tables=["app\\..*"], settings=settings) as debezium:
        debezium.wait(lambda run: bool(run.of(HEARTBEATS)))
    with Tailrace(url, folder, heartbeat_interval=0.1) as tailrace:
        tailrace.wait(lambda run: bool(run.of(HEARTBEATS)))
    return debezium.run, tailrace.run


def _mark(connection: psycopg.Connection, debezium: Debezium, tailrace: Tailrace, number: int) -> None:
    connection.execute(f"INSERT INTO {MARKER} VALUES ({number - 1})".encode())
    _await_marker(debezium, tailrace, number)


def _await_marker(debezium: Debezium, tailrace: Tailrace, number: int) -> None:
    topic = f"{PREFIX}.{MARKER}"
    tailrace.wait(lambda run: len(run.of(topic)) >= number)
    debezium.wait(lambda run: len(run.of(topic)) >= number)


def value_schemas(run: DebeziumRun | TailraceRun) -> Mapping[str, list[object]]:
    """Return the registered schemas by subject, oldest first."""
    found: dict[str, list[object]] = {}
    if isinstance(run, DebeziumRun):
        for schema in run.schemas:
            found.setdefault(schema.subject, []).append(schema.schema)
        return found
    return {s: [version.schema for version in run.registry.versions(s)] for s in run.registry.subjects()}
