"""What a user of Iceberg tables sees where a column changes as its table cannot: the mend, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from crash.worker import Worker
from lake.records import Topic, schema, table
from lake.tables import set_aside, table_rows
from tailrace.codec.delivery import Delivery
from tailrace.event import Record
from tailrace.log.store.backend import BundledLog

NAME = "shop_public.goods"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path, "", ())
    sink = {"type": "iceberg", "topics": ["shop.*"], "path": "./lake", "mode": "state"}
    told = {"log": {"type": "bundled", "path": "./data"}, "sinks": {"tables": sink}}
    worker.config.write_text(yaml.safe_dump(told))
    yield worker
    worker.kill(with_tasks=True)


def put(log: BundledLog, *deliveries: Delivery) -> None:
    records = [each.record for each in deliveries]
    writer = log.writer()
    writer.open("shop")
    writer.write([Record(each.topic, each.key, each.value, each.timestamp_ms) for each in records])
    writer.commit({"at": records[-1].offset})
    writer.close()


@pytest.mark.slow
def test_a_column_of_another_type_ends_the_worker_with_the_mend(worker: Worker, tmp_path: Path) -> None:
    log = BundledLog.at(worker.log_path)
    topic = Topic(worker.log_path / "registry", table({"id": schema("int64", optional=False), "size": schema("int32")}))
    put(log, topic.change("c", {"id": 1, "size": 7}))
    worker.start("--until-current")
    assert worker.wait(timeout=120) == 0, worker.last_words()
    topic.table = table({"id": schema("int64", optional=False), "size": schema("string")})
    put(log, topic.change("c", {"id": 2, "size": "large"}))
    worker.start("--until-current")
    assert worker.wait(timeout=120) == 3
    words = worker.last_words()
    assert "table shop_public.goods cannot have the columns of topic shop.public.goods" in words
    assert "size: int -> string" in words
    assert "rename or drop the table" in words
    assert table_rows(tmp_path / "lake", NAME, "id") == [{"id": 1, "size": 7}]
    set_aside(tmp_path / "lake", NAME, "shop_public.goods_before")
    worker.start("--until-current")
    assert worker.wait(timeout=120) == 0, worker.last_words()
    assert table_rows(tmp_path / "lake", NAME, "id") == [{"id": 2, "size": "large"}]
    assert table_rows(tmp_path / "lake", "shop_public.goods_before", "id") == [{"id": 1, "size": 7}]
