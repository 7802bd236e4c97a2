"""What `tailrace check` says of a log in Kafka: each fault with its mend, and that nothing was made meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kafka_log.stage import make_log, writing
from servers.kafka_broker import KafkaCluster
from tailrace.cli import main as cli
from tailrace.demo.postgres import free_port
from tailrace.event import Record
from tailrace.source import Finding

pytestmark = pytest.mark.kafka


def faults(cluster: KafkaCluster, **settings: Any) -> list[Finding]:
    return [finding for finding in make_log(cluster, **settings).check() if not finding.ok]


def topics(cluster: KafkaCluster) -> set[str]:
    return {each.topic for each in make_log(cluster).partitions()}


def test_a_cluster_that_is_well_is_named_and_left_as_it_is(kafka: KafkaCluster) -> None:
    before = topics(kafka)
    [finding] = make_log(kafka, offsets_topic="not-yet").check()
    assert finding.ok
    assert finding.what.startswith("connected to kafka cluster ")
    assert finding.what.endswith(", brokers: 1")
    assert topics(kafka) == before


def test_where_no_broker_answers_that_is_all_there_is_to_say(kafka: KafkaCluster) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    [fault] = make_log(kafka, bootstrap_servers=nobody).check()
    assert not fault.ok
    assert nobody in fault.what
    assert "is a broker there" in fault.mend


def test_copies_that_a_cluster_cannot_keep_are_faults(kafka: KafkaCluster) -> None:
    own = {"big.*": {"replication_factor": 1, "config": {"min.insync.replicas": "2"}}}
    found = faults(kafka, replication_factor=3, topics=own)
    assert [fault.what for fault in found] == [
        "replication_factor is 3, and the cluster has 1 brokers",
        "topics big.*: min.insync.replicas is 2, of 1 replicas: nothing could be written",
    ]
    assert all("no more than" in fault.mend or "less than" in fault.mend for fault in found)


def test_topics_that_may_not_be_made_have_to_be_there(kafka: KafkaCluster) -> None:
    [fault] = faults(kafka, offsets_topic="elsewhere", create_topics=False)
    assert "elsewhere" in fault.what
    assert "kafka-topics --create --topic elsewhere" in fault.mend
    kafka.create_topic("kept-short", cleanup_policy="delete")
    [fault] = faults(kafka, offsets_topic="kept-short")
    assert "cleanup.policy is delete" in fault.what
    assert "kafka-configs" in fault.mend
    assert "elsewhere" not in topics(kafka)


def test_a_registry_that_does_not_answer_is_a_fault(kafka: KafkaCluster) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    [fault] = faults(kafka, schema_registry={"url": url})
    assert url in fault.what


def test_the_command_names_faults_of_the_log_and_globs_that_fit_no_topic(
    kafka: KafkaCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with writing(make_log(kafka)) as sink:
        sink.write([Record("seen.by.check", None, b"1", 1)])
        sink.commit({"at": 1})
    block: dict[str, Any] = {"type": "kafka", "bootstrap_servers": kafka.bootstrap_servers, "offsets_partitions": 1}
    globs = ["seen.by.*", "never.seen.*"]
    sinks = {"copy": {"type": "replica", "url": f"sqlite:{tmp_path / 'copy.db'}", "topics": globs}}
    file = tmp_path / "tailrace.yaml"
    told: list[list[dict[str, Any]]] = []
    capsys.readouterr()  # what the log told of the topics that it made
    for changes, code in (({}, 0), ({"replication_factor": 3}, 1)):
        file.write_text(yaml.safe_dump({"log": {**block, **changes}, "sinks": sinks}))
        monkeypatch.setattr("sys.argv", ["tailrace", "check", str(file), "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == code
        told.append(json.loads(capsys.readouterr().out))
    waits = {
        "connector": "copy",
        "ok": True,
        "what": "no topic fits never.seen.* yet: the sink waits for one",
        "mend": "",
    }
    assert waits in told[0]
    assert not any("seen.by.*" in each["what"] for each in told[0])
    assert [each["connector"] for each in told[1] if not each["ok"]] == ["log"]
