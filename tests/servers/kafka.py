"""Real Kafka brokers for tests, version 4 in KRaft mode, from Maven Central.

    kafka           one broker that all tests share; topics and consumer groups are gone after each test
    kafka_cluster   three brokers that the tests of one module share
    start_kafka     a function that starts clusters with the count and settings that the test wants

Where they cannot run the tests are skipped with a line in the header; where the environment says CI=true that is a
failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

import pytest

from servers.kafka_broker import Access, KafkaCluster
from servers.kafka_programs import VERSION, Programs, find, install, missing

FIXTURES = {"kafka", "kafka_cluster", "start_kafka", "shared_kafka"}


def header() -> list[str]:
    """Return one line for the head of the test report."""
    found = find()
    where = str(found.folder) if found.folder.is_dir() else "not yet fetched, which the first test does"
    return [f"kafka {VERSION}: {f'MISSING, its tests are skipped: {reason}' if (reason := missing()) else where}"]


def require() -> Programs:
    """Return the programs, fetched if need be; skips the test, or fails it in CI."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(f"NO KAFKA: {reason}")
    programs = install()
    if not programs.archive.exists():
        _archive_classes(programs)
    return programs


def _archive_classes(programs: Programs) -> None:
    """Run a broker once that keeps what it loaded: the next one starts in half the time."""
    made = programs.folder / f"classes-{os.getpid()}.jsa"
    with KafkaCluster(programs) as cluster:
        (broker,) = cluster.brokers
        broker.stop()
        broker.java_options += [f"-XX:ArchiveClassesAtExit={made}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        cluster.start()
        broker.stop()
    made.replace(programs.archive)


class SharedKafka:
    """The broker that the tests of one session share, started when first asked for."""

    def __init__(self) -> None:
        self._cluster: KafkaCluster | None = None

    def get(self) -> KafkaCluster:
        if self._cluster is None:
            self._cluster = KafkaCluster(require()).__enter__()
        return self._cluster

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()


@pytest.fixture(scope="session")
def shared_kafka() -> Iterator[SharedKafka]:
    shared = SharedKafka()
    yield shared
    shared.close()


@pytest.fixture
def kafka(shared_kafka: SharedKafka) -> Iterator[KafkaCluster]:
    """One broker that other tests use, too: leave it running."""
    cluster = shared_kafka.get()
    yield cluster
    cluster.clear()


@pytest.fixture(scope="module")
def kafka_cluster() -> Iterator[KafkaCluster]:
    """Three brokers; whoever stops one starts it again."""
    with KafkaCluster(require(), 3) as cluster:
        yield cluster


StartKafka = Callable[..., KafkaCluster]


@pytest.fixture
def start_kafka() -> Iterator[StartKafka]:
    """A function `(count=1, *, access=None, settings=None)` that starts a cluster; all end with the test."""
    clusters: list[KafkaCluster] = []

    def start(
        count: int = 1, *, access: Access | None = None, settings: Mapping[str, str] | None = None
    ) -> KafkaCluster:
        cluster = KafkaCluster(require(), count, access=access, settings=settings)
        clusters.append(cluster)
        return cluster.__enter__()

    yield start
    for cluster in clusters:
        cluster.close()
