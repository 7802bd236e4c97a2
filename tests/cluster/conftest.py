"""The broker of the crews: not that of other tests, since workers that were killed stay in its groups for a while."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.kafka import require
from servers.kafka_broker import KafkaCluster
from servers.proxy import TcpProxy


@pytest.fixture(scope="session")
def brokers() -> Iterator[tuple[KafkaCluster, TcpProxy]]:
    """A broker that crews share, and a proxy in front of one of its two listeners."""
    cluster = KafkaCluster(require())
    (broker,) = cluster.brokers
    with TcpProxy(broker.client_port) as proxy:
        broker.advertised_port = proxy.port
        with cluster:
            yield cluster, proxy
