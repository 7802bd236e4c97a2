"""The commands that look into a log, on one in Kafka."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kafka_log.stage import TOPIC, make_log, writing
from servers.kafka_broker import KafkaCluster
from tailrace.cli import main as cli
from tailrace.event import Record

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["tailrace", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert ended.value.code in {0, None}, captured.err
        return captured.out

    return call


@pytest.fixture
def config(kafka: KafkaCluster, tmp_path: Path) -> Path:
    """A config file of a log with four records in two partitions and a position, and of a sink that never ran."""
    block = {"registry_path": str(tmp_path / "registry"), "partitions": 2}
    with writing(make_log(kafka, **block)) as sink:
        sink.write([Record(TOPIC, None, b'{"n":%d}' % number, 1_700_000_000_000 + number) for number in range(3)])
        sink.write([Record(TOPIC, b'{"id":3}', b'{"n":3}', 1_700_000_000_003, partition=1)])
        sink.commit({"lsn": 7})
    document = {
        "log": {"type": "kafka", "bootstrap_servers": kafka.bootstrap_servers, "offsets_partitions": 1, **block},
        "connectors": {"shop": {"type": "postgres", "url": "postgresql://nowhere/shop"}},
        "sinks": {"copy": {"type": "replica", "url": f"sqlite:{tmp_path / 'copy.db'}", "topics": ["*"]}},
    }
    file = tmp_path / "tailrace.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.mark.kafka
def test_the_commands_tell_what_is_in_kafka(config: Path, run: Run) -> None:
    # The marker of the transaction takes an offset, too. Brokers write it to each partition a little after the commit.
    ends, deadline = [(0, 0, 4), (1, 0, 2)], time.monotonic() + 120
    while True:
        topics = [told for told in json.loads(run("topics", config, "--json")) if told["topic"] == TOPIC]
        found = [(each["partition"], each["first_offset"], each["next_offset"]) for each in topics]
        if found == ends or time.monotonic() > deadline:
            break
    assert found == ends
    assert {each["bytes"] for each in topics} == {None}
    (line,) = (line for line in run("topics", config).splitlines() if line.split()[:2] == [TOPIC, "0"])
    assert line.split()[2:] == ["0", "4", "-"]

    tailed = [json.loads(line) for line in run("tail", TOPIC, "--config", config, "--from", "earliest").splitlines()]
    assert sorted((each["partition"], each["offset"], each["value"]["n"]) for each in tailed) == [
        (0, 0, 0),
        (0, 1, 1),
        (0, 2, 2),
        (1, 0, 3),
    ]
    late = [json.loads(line) for line in run("tail", TOPIC, "--config", config, "--from", "1").splitlines()]
    assert [each["offset"] for each in late if each["partition"] == 0] == [1, 2]

    assert json.loads(run("offsets", "show", config, "--json"))["shop"] == {"lsn": 7}
    run("offsets", "reset", config, "--connector", "shop")
    assert json.loads(run("offsets", "show", config, "--json"))["shop"] is None
    assert json.loads(run("status", config, "--json"))["running"] is False
