"""Kafka as the log holds to the contracts of a log, of its writer and of its reader."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from servers.kafka_broker import KafkaCluster
from tailrace.log.backend import LogBackend
from tailrace.log.kafka.backend import KafkaLog
from tailrace.log.kafka.settings import KafkaLogConfig
from tailrace.testing.log_contract import LOG_CHECKS, LogSinkStage, LogSourceStage
from tailrace.testing.sink_contract import SINK_CHECKS
from tailrace.testing.source_contract import SOURCE_CHECKS


def name(check: object) -> str:
    return str(getattr(check, "__name__", check))


@pytest.fixture(params=[1, 3], ids=["one partition", "three partitions"])
def open_log(request: pytest.FixtureRequest, kafka: KafkaCluster) -> Callable[[], LogBackend]:
    config = KafkaLogConfig(bootstrap_servers=kafka.bootstrap_servers, partitions=request.param, offsets_partitions=3)
    return lambda: KafkaLog(config)


@pytest.mark.parametrize("check", LOG_CHECKS, ids=name)
def test_kafka(check: Callable[[object], None], open_log: Callable[[], LogBackend]) -> None:
    check(open_log)


@pytest.mark.parametrize("check", SINK_CHECKS, ids=name)
def test_writer(check: Callable[[object], None], open_log: Callable[[], LogBackend]) -> None:
    check(LogSinkStage(open_log))


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name)
def test_reader(check: Callable[[object], None], open_log: Callable[[], LogBackend]) -> None:
    check(LogSourceStage(open_log))
