"""What all tests share: the real servers, and a loud line about those that are missing."""

from __future__ import annotations

import signal
from pathlib import Path

import hypothesis
import pytest

from servers import apicurio
from servers import hdfs as hdfs_servers
from servers import kafka as kafka_servers
from servers import mysql as mysql_servers
from servers import opensearch as opensearch_servers
from servers.apicurio import registry_server
from servers.hdfs import hdfs
from servers.kafka import kafka, kafka_cluster, shared_kafka, start_kafka
from servers.mysql import (
    binlog_database,
    binlog_server,
    mariadb,
    mariadb_server,
    mysql,
    mysql_server,
    shared_mysql_servers,
    start_mysql,
)
from servers.opensearch import opensearch, shared_opensearch, start_opensearch
from servers.postgres import header, postgres, postgres_server, shared_servers, start_postgres

__all__ = [
    "binlog_database",
    "binlog_server",
    "hdfs",
    "kafka",
    "kafka_cluster",
    "mariadb",
    "mariadb_server",
    "mysql",
    "mysql_server",
    "opensearch",
    "postgres",
    "postgres_server",
    "registry_server",
    "shared_kafka",
    "shared_mysql_servers",
    "shared_opensearch",
    "shared_servers",
    "start_kafka",
    "start_mysql",
    "start_opensearch",
    "start_postgres",
]

SERVER_FIXTURES = {"postgres", "postgres_server", "start_postgres", "shared_servers"}
SERVER_MARKS = {"postgres", "mysql", "kafka", "opensearch", "java"}


def pytest_configure() -> None:
    # How long an example takes, or is drawn, says something about the machine and its load, and nothing about the code.
    hypothesis.settings.register_profile(
        "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("patient")
    # A shell starts what it puts into the background with Ctrl-C ignored, and programs hand that on to those that they
    # start; tests that press Ctrl-C would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    return [
        *header(),
        *mysql_servers.header(),
        *kafka_servers.header(),
        *opensearch_servers.header(),
        *apicurio.header(),
        *hdfs_servers.header(),
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if SERVER_FIXTURES & fixtures:
            item.add_marker("postgres")
        if mysql_servers.FIXTURES & fixtures:
            item.add_marker("mysql")
        if kafka_servers.FIXTURES & fixtures:
            item.add_marker("kafka")
        if opensearch_servers.FIXTURES & fixtures:
            item.add_marker("opensearch")
        if (apicurio.FIXTURES | hdfs_servers.FIXTURES) & fixtures:
            item.add_marker("java")
    put_long_files_first(items)


def put_long_files_first(items: list[pytest.Item]) -> None:
    """So that no worker of pytest-xdist, which are given file by file, is left alone with a long one at the end."""
    ranks: dict[Path, int] = {}
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        rank = 0 if "slow" in marks else 1 if marks & SERVER_MARKS else 2
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])
