"""Debezium's MySQL or MariaDB connector before, Tailrace after: nothing is lost, and nothing told twice."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from databases.debezium import install, install_mariadb
from databases.debezium.oracle import Debezium, DebeziumRecord
from databases.debezium.pair_mysql import CLASS_PATHS, CONNECTORS
from servers.mysql import MysqlDatabase
from tailrace.cli.main import app
from tailrace.codec.decoder import Decoder
from tailrace.config.settings import load_settings
from tailrace.errors import Fatal
from tailrace.event import Change, Message
from tailrace.runtime.build import build_log, plan_worker
from tailrace.runtime.supervisor import Supervisor
from tailrace_mysql.config import MariadbConfig, MysqlConfig
from tailrace_mysql.origin import SOURCES
from tailrace_mysql.source import BinlogSource

pytestmark = [pytest.mark.java, pytest.mark.mysql, pytest.mark.slow]

NOT_OURS = {"version"}
"""Fields of the source block that cannot be equal: whose version it is."""

MISSING = {"mysql": install.missing, "mariadb": install_mariadb.missing}


@pytest.fixture
def shop(binlog_database: MysqlDatabase) -> MysqlDatabase:
    if missing := MISSING[binlog_database.flavour]():
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    binlog_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(40))", "INSERT INTO t VALUES (0, 's')",
        "CREATE TABLE other (id int PRIMARY KEY)",
    )  # fmt: skip
    return binlog_database


def debezium_on(shop: MysqlDatabase, folder: Path) -> Debezium:
    settings = {
        **CONNECTORS[shop.flavour],
        "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
        "schema.history.internal.file.filename": str(folder / "history.dat"),
        "include.schema.changes": "false",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": str(folder / "offsets.dat"),
        "database.server.id": str(shop.server.port + 1),
        "database.include.list": shop.name,
    }
    dsn = f"mysql://root@127.0.0.1:{shop.server.port}/{shop.name}"
    return Debezium(
        dsn, prefix="shop", tables=[f"{shop.name}\\.t"], settings=settings, class_path=CLASS_PATHS[shop.flavour]
    )


def change(shop: MysqlDatabase) -> None:
    """Transactions of one row, of one event with many rows, of several statements and tables, a compressed one."""
    shop.execute("INSERT INTO t VALUES (1, 'a')")
    shop.execute("INSERT INTO t VALUES (2, 'b'), (3, 'c'), (4, 'd')")
    shop.execute(
        "BEGIN", "INSERT INTO t VALUES (5, 'e')", "INSERT INTO other VALUES (1), (2)",
        "UPDATE t SET v = 'h' WHERE id < 3",
        "DELETE FROM t WHERE id = 1", "COMMIT",
    )  # fmt: skip
    if shop.flavour == "mysql":
        shop.execute("SET binlog_transaction_compression = ON", "INSERT INTO t VALUES (6, 'f'), (7, 'g')")
    else:
        shop.execute("INSERT INTO t VALUES (6, 'f'), (7, 'g')")


CHANGES = [("c", 1), ("c", 2), ("c", 3), ("c", 4), ("c", 5), ("u", 0), ("u", 1), ("u", 2), ("d", 1), ("c", 6), ("c", 7)]


def told_by(debezium: Debezium, record: DebeziumRecord) -> tuple[str, int]:
    value: Any = debezium.run.decode(record.value)
    return value["op"], (value["after"] or value["before"])["id"]


def source_on(shop: MysqlDatabase) -> BinlogSource:
    model = MariadbConfig if shop.flavour == "mariadb" else MysqlConfig
    chosen = {"url": shop.url, "tables": [f"{shop.name}.t"], "topic_prefix": "shop", "heartbeat_interval": 0}
    return BinlogSource("shop", model.model_validate(chosen))


def told_from(shop: MysqlDatabase, offset: Mapping[str, Any], count: int) -> list[tuple[str, int, dict[str, Any]]]:
    """Return op, key and source block of the `count` changes that follow `offset`, and of what comes behind them."""
    source = source_on(shop)
    found: list[tuple[str, int, dict[str, Any]]] = []
    deadline = time.monotonic() + 60
    try:
        source.open(source.take_over(offset))
        while len(found) < count:
            assert time.monotonic() < deadline, found
            found += [_told(shop, item) for item in source.poll(0.1).items if isinstance(item, Change)]
        found += [_told(shop, item) for item in source.poll(0.1).items if isinstance(item, Change)]
    finally:
        source.close()
    return found


def _told(shop: MysqlDatabase, change: Change) -> tuple[str, int, dict[str, Any]]:
    row = change.after if change.op != "d" else change.before
    assert row is not None
    assert change.origin is not None
    block = dict(
        zip((field.name for field in SOURCES[shop.flavour].fields), change.origin.source_block(change), strict=True)
    )
    return change.op, int(str(row["id"])), block


def test_every_place_to_stop_at_and_the_same_source_block(shop: MysqlDatabase, tmp_path: Path) -> None:
    topic = f"shop.{shop.name}.t"
    with debezium_on(shop, tmp_path) as debezium:
        debezium.wait(lambda run: len(run.of(topic)) == 1)
        change(shop)
        debezium.wait(lambda run: len(run.of(topic)) >= len(CHANGES) + 2)
    records = [record for record in debezium.run.of(topic) if record.value is not None]
    assert [told_by(debezium, record) for record in records] == [("r", 0), *CHANGES]
    shop.execute("INSERT INTO t VALUES (9, 'after')")
    wanted = [*CHANGES, ("c", 9)]
    blocks: list[dict[str, Any]] = []
    for place, record in enumerate(records[1:], 1):
        rest = told_from(shop, record.offset, len(wanted) - place)
        assert [(op, number) for op, number, _ in rest] == wanted[place:], (place, record.offset)
        if place == 1:
            blocks = [block for _, _, block in rest]
    for record, block in zip(records[2:], blocks, strict=False):
        theirs: Any = debezium.run.decode(record.value)
        assert {name: theirs["source"][name] for name in theirs["source"].keys() - NOT_OURS} == {
            name: block[name] for name in block.keys() - NOT_OURS
        }


def test_from_a_stopped_debezium_to_a_worker(shop: MysqlDatabase, tmp_path: Path) -> None:
    topic = f"shop.{shop.name}.t"
    with debezium_on(shop, tmp_path) as debezium:
        debezium.wait(lambda run: len(run.of(topic)) == 1)
        change(shop)
        debezium.wait(lambda run: len(run.of(topic)) >= len(CHANGES) + 2)
    shop.execute("INSERT INTO t VALUES (9, 'between')", "UPDATE t SET v = 'u' WHERE id = 2")
    config = tmp_path / "shop.yaml"
    config.write_text(f"""
log: {{type: bundled, path: ./log}}
connectors:
  shop: {{type: {shop.flavour}, url: "{shop.url}", tables: ["{shop.name}.t"]}}
""")
    command = ["offsets", "import", str(config), "--connector", "shop", "--file", str(tmp_path / "offsets.dat")]
    dry = CliRunner().invoke(app, [*command, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    done = CliRunner().invoke(app, [*command, "--name", "oracle"])
    assert (done.exit_code, done.output) == (0, dry.output)
    plan = plan_worker(load_settings(config), until_current=True)
    assert Supervisor(plan, until_current=True).run() == 0
    log = build_log(plan.settings.log, tmp_path)
    decoder = Decoder(log.registry())
    values: list[Any] = [decoder.value(record.value) for record in log.records(topic, 0, 0)]
    assert [(value["op"], value["after"]["id"]) for value in values if value is not None] == [("c", 9), ("u", 2)]
    for subject in (f"{topic}-key", f"{topic}-value"):
        assert log.registry().versions(subject)[-1].schema == debezium.run.schema(subject)


def offset_now(shop: MysqlDatabase) -> dict[str, Any]:
    status = "SHOW BINARY LOG STATUS" if shop.flavour == "mysql" else "SHOW MASTER STATUS"
    ((file, pos, *_),) = shop.execute(status)
    gtids = "@@gtid_executed" if shop.flavour == "mysql" else "@@gtid_binlog_pos"
    ((executed,),) = shop.execute(f"SELECT {gtids}")
    return {"file": file, "pos": pos, "gtids": executed}


def test_what_cannot_be_gone_on_from(binlog_database: MysqlDatabase) -> None:
    shop = binlog_database
    shop.execute("CREATE TABLE t (id int PRIMARY KEY)")
    here = offset_now(shop)
    source = source_on(shop)
    for offset, fault in (
        ({**here, "snapshot": "INITIAL"}, "Debezium's snapshot was under way"),
        ({"lsn": 1}, "the offset has no file and pos"),
        ({**here, "event": 2, "row": 1}, "the offset does not fit the binlog"),
    ):
        with pytest.raises(Fatal, match=fault):
            source.take_over(offset)
    # MariaDB's connector may have read by places; the server knows which GTIDs those are.
    position = source.take_over({name: here[name] for name in ("file", "pos")})
    assert position["gtids"] == (here["gtids"] if shop.flavour == "mariadb" else "")
    shop.execute("INSERT INTO t VALUES (1)", "ALTER TABLE t ADD v int", "INSERT INTO t VALUES (2, 2)")
    try:
        with pytest.raises(Fatal, match=rf"table {shop.name}\.t was altered behind") as altered:
            source.open(source.take_over(here))
    finally:
        source.close()
    assert "import its offset again" in altered.value.hint
    try:
        source.open(source.take_over(offset_now(shop)))
        shop.execute("INSERT INTO t VALUES (3, 3)")
        items: list[object] = []
        deadline = time.monotonic() + 120
        while not any(isinstance(item, Change) for item in items) and time.monotonic() < deadline:
            items += source.poll(1).items
        items += source.poll(0.5).items  # and nothing more
        assert [item.after and item.after["v"] for item in items if isinstance(item, Change)] == [3]
        assert any(isinstance(item, Message) for item in items)  # how tables are declared, for the schema history
    finally:
        source.close()
