"""Debezium before, Tailrace after, on one database: nothing is lost, and nothing told twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from databases.debezium import install
from databases.debezium.oracle import Debezium, DebeziumRecord
from servers.kafka_broker import KafkaCluster
from servers.postgres import Database
from tailrace.cli.main import app
from tailrace.codec.decoder import Decoder
from tailrace.config.settings import load_settings
from tailrace.errors import Fatal, Retriable
from tailrace.event import Change
from tailrace.position import Json
from tailrace.runtime.build import build_log, plan_worker
from tailrace.runtime.connect_offsets import _java_map
from tailrace.runtime.supervisor import Supervisor
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.source import PostgresSource

pytestmark = [pytest.mark.java, pytest.mark.slow]

TOPIC = "shop.app.t"
TABLES = ["app\\.t"]
KEPT = {"slot.name": "debezium", "publication.name": "dbz_publication", "slot.drop.on.stop": "false"}
NEVER = {**KEPT, "offset.flush.interval.ms": "3600000", "lsn.flush.mode": "manual"}
"""The slot stays where it was, so that every offset that came with a record can be gone on from."""


@pytest.fixture(autouse=True)
def java() -> None:
    if missing := install.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


def prepare(database: Database) -> None:
    database.execute(
        "CREATE SCHEMA app CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO app.t VALUES (0, 's')"
    )


def change(database: Database) -> None:
    """Transactions of one row, of many that share their LSN, of several statements, and two that overlap."""
    with database.connect() as one, database.connect() as other:
        one.execute("INSERT INTO app.t VALUES (1, 'a')")
        with one.cursor().copy("COPY app.t FROM STDIN") as copy:
            copy.write("2\tb\n3\tc\n4\td\n")
        with one.transaction():
            one.execute("INSERT INTO app.t VALUES (5, 'e')")
            with other.transaction():
                other.execute("INSERT INTO app.t VALUES (6, 'f'), (7, 'g')")
            one.execute("UPDATE app.t SET v = 'h' WHERE id = 5")
            one.execute("DELETE FROM app.t WHERE id = 1")
        one.execute("INSERT INTO app.t VALUES (8, 'i')")


def settings_of(database: Database, **more: object) -> PostgresConfig:
    return PostgresConfig.model_validate(
        {
            "type": "postgres", "url": database.url, "topic_prefix": "shop", "tables": ["app.t"], "slot": "debezium",
            "publication": "dbz_publication", "heartbeat_interval": 0, **more,
        }
    )  # fmt: skip


def told_from(config: PostgresConfig, offset: Mapping[str, Json], count: int) -> list[tuple[str, int]]:
    """Return op and key of the `count` changes that follow `offset`, and of what comes behind them, if anything."""
    source = PostgresSource("shop", config)
    deadline = time.monotonic() + 120
    position = source.take_over(offset)
    found: list[tuple[str, int]] = []
    while True:
        try:
            source.open(position)
            break
        except Retriable:  # the server has not noticed yet that the last one is gone
            assert time.monotonic() < deadline
            source.close()
            time.sleep(0.1)
    try:
        while len(found) < count:
            assert time.monotonic() < deadline, found
            found += [_op_and_key(item) for item in source.poll(0.1).items if isinstance(item, Change)]
        found += [_op_and_key(item) for item in source.poll(0.1).items if isinstance(item, Change)]
    finally:
        source.close()
    return found


def _op_and_key(change: Change) -> tuple[str, int]:
    row = change.after if change.op != "d" else change.before
    assert row is not None
    return change.op, int(str(row["id"]))


def of_debezium(debezium: Debezium, record: DebeziumRecord) -> tuple[str, int]:
    value: Any = debezium.run.decode(record.value)
    return value["op"], (value["after"] or value["before"])["id"]


def test_every_place_to_stop_at(postgres: Database) -> None:
    prepare(postgres)
    with Debezium(postgres.url, prefix="shop", tables=TABLES, settings=NEVER) as debezium:
        debezium.wait(lambda run: len(run.of(TOPIC)) == 1)
        change(postgres)
        debezium.wait(lambda run: len(run.of(TOPIC)) >= 12)
        assert debezium._process is not None
        with pytest.raises(Retriable, match="slot debezium is in use"):
            PostgresSource("shop", settings_of(postgres)).take_over(debezium.run.of(TOPIC)[-1].offset)  # type: ignore[arg-type]
        debezium._process.kill()
        debezium._process.wait()
    records = [record for record in debezium.run.of(TOPIC) if record.value is not None]
    told = [of_debezium(debezium, record) for record in records]
    assert len(told) == 11
    wait_until_idle(postgres)
    postgres.execute("INSERT INTO app.t VALUES (9, 'after')")
    for place, record in enumerate(records):
        # Rows of one COPY share their LSN, and the offset does not say how many of them were told: one was.
        first = told.index(("c", 2)) if told[place] in {("c", 3), ("c", 4)} else place
        rest = [*told[first + 1 :], ("c", 9)]
        offset: Any = record.offset
        assert told_from(settings_of(postgres), offset, len(rest)) == rest, (place, offset)


def wait_until_idle(database: Database) -> None:
    deadline = time.monotonic() + 120
    while database.execute("SELECT active FROM pg_replication_slots WHERE slot_name = 'debezium'")[0][0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def into_topic(kafka: KafkaCluster, topic: str, stored: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Write offsets as Connect does into its topic: the one before, then the last, and another's that was forgotten."""
    kafka.create_topic(topic, 25, cleanup_policy="compact")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for key, value in stored:
        producer.produce(topic, b'{"lsn":1}', key)
        producer.produce(topic, value, key)
    for forgotten in (b'{"lsn":2}', None):
        producer.produce(topic, forgotten, b'["gone",{"server":"shop"}]')
    assert producer.flush(60) == 0


@pytest.mark.kafka
@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_from_a_stopped_debezium_to_a_worker(postgres: Database, kafka: KafkaCluster, tmp_path: Path) -> None:
    offsets = tmp_path / "offsets.dat"
    storage = {
        **KEPT,
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": str(offsets),
    }
    prepare(postgres)
    with Debezium(postgres.url, prefix="shop", tables=TABLES, settings=storage) as debezium:
        debezium.wait(lambda run: len(run.of(TOPIC)) == 1)
        change(postgres)
        debezium.wait(lambda run: len(run.of(TOPIC)) >= 12)
    told = [of_debezium(debezium, record) for record in debezium.run.of(TOPIC) if record.value is not None]
    postgres.execute("INSERT INTO app.t VALUES (9, 'between')", "UPDATE app.t SET v = 'u' WHERE id = 2")
    wait_until_idle(postgres)

    config = tmp_path / "shop.yaml"
    config.write_text(f"""
log: {{type: bundled, path: ./log}}
connectors:
  shop: {{type: postgres, url: "{postgres.url}", tables: [app.t], slot: debezium, publication: dbz_publication}}
""")
    command = ["offsets", "import", str(config), "--connector", "shop", "--file", str(offsets)]
    dry = CliRunner().invoke(app, [*command, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert CliRunner().invoke(app, ["offsets", "show", str(config)]).output == "shop  -\n"
    into_topic(kafka, "connect-offsets", _java_map(offsets.read_bytes()))
    in_kafka = tmp_path / "kafka.yaml"
    block = f"{{type: kafka, bootstrap_servers: '{kafka.bootstrap_servers}'}}"
    in_kafka.write_text(config.read_text().replace("{type: bundled, path: ./log}", block))
    from_topic = ["offsets", "import", str(in_kafka), "--connector", "shop", "--topic", "connect-offsets"]
    again = CliRunner().invoke(app, from_topic)
    assert again.output == dry.output, again.exception
    shown = CliRunner().invoke(app, ["offsets", "show", str(in_kafka)]).output
    assert shown == dry.output.splitlines()[1] + "\n"
    done = CliRunner().invoke(app, [*command, "--name", "oracle"])
    assert (done.exit_code, done.output) == (0, dry.output)
    plan = plan_worker(load_settings(config), until_current=True)
    assert Supervisor(plan, until_current=True).run() == 0
    log = build_log(plan.settings.log, tmp_path)
    decoder = Decoder(log.registry())
    values: list[Any] = [decoder.value(record.value) for record in log.records(TOPIC, 0, 0)]
    ours = [(value["op"], (value["after"] or value["before"])["id"]) for value in values if value is not None]
    assert told[0] == ("r", 0)
    assert ours == [("c", 9), ("u", 2)]
    for subject in (f"{TOPIC}-key", f"{TOPIC}-value"):
        assert log.registry().versions(subject)[-1].schema == debezium.run.schema(subject)


@pytest.mark.parametrize(
    ("offset", "fault"),
    [
        ({"lsn": 1, "snapshot": "INITIAL", "snapshot_completed": False}, "Debezium's snapshot was under way"),
        ({"lsn": 1, "snapshot": True, "last_snapshot_record": False}, "Debezium's snapshot was under way"),
        ({"lsn": 1, "incremental_snapshot_collections": "[{}]"}, "an incremental snapshot of Debezium's was under way"),
        ({"file": "binlog.000001", "pos": 4}, "publication dbz_publication is missing"),
    ],
)
@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_what_cannot_be_gone_on_from(postgres: Database, offset: dict[str, Any], fault: str) -> None:
    with pytest.raises(Fatal, match=fault):
        PostgresSource("shop", settings_of(postgres)).take_over(offset)


@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_a_slot_that_is_missing_or_ahead(postgres: Database) -> None:
    postgres.execute("CREATE TABLE t (id int)", "CREATE PUBLICATION dbz_publication FOR TABLE t")
    source = PostgresSource("shop", settings_of(postgres))
    offset: dict[str, Json] = {"lsn": 20, "lsn_commit": 10}
    with pytest.raises(Fatal, match="slot debezium is missing") as missing:
        source.take_over(offset)
    assert "slot.name" in missing.value.hint
    postgres.execute("SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')")
    with pytest.raises(Fatal, match="ahead of the offset's lsn_commit"):
        source.take_over(offset)
    with pytest.raises(Fatal, match="the offset has no lsn"):
        source.take_over({"file": "binlog.000001"})


def test_offsets_as_json_and_by_name(tmp_path: Path) -> None:
    config = tmp_path / "shop.yaml"
    config.write_text("connectors:\n  shop: {type: postgres, url: 'postgresql://127.0.0.1:1/x'}\n")
    file = tmp_path / "offsets.json"
    run = CliRunner()

    def fault(*more: str) -> str:
        result = run.invoke(app, ["offsets", "import", str(config), "--connector", "shop", *more])
        assert result.exception is not None
        return str(result.exception)

    assert "say where the offsets are, once" in fault()
    assert "cannot read" in fault("--file", str(tmp_path / "none"))
    for content in (b"\xac\xed\x00\x05sr\x00\x03abc", b"{}", b"nothing", b"\xac\xed\x00\x05"):
        file.write_bytes(content)
        assert "holds no offsets of Kafka Connect" in fault("--file", str(file))
    file.write_text(json.dumps({"offsets": [{"partition": {"server": "other"}, "offset": {"lsn": 1}}]}))
    assert "no offsets with topic.prefix shop" in fault("--file", str(file))
    lines = [
        '["a",{"server":"shop"}]\t{"lsn":1}',
        '["b",{"server":"shop"}]\t{"lsn":2}',
        '["c",{"server":"shop"}]\tnull',
    ]
    file.write_text("\n".join(lines))
    assert "there are 2 offsets with topic.prefix shop" in fault("--file", str(file))
    assert "connect" in fault("--file", str(file), "--name", "b")
    assert "no topic connect-offsets" in fault("--topic", "connect-offsets")
    result = run.invoke(app, ["offsets", "import", str(config), "--connector", "none", "--file", str(file)])
    assert "no connector named none" in str(result.exception)
