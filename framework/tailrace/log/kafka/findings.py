"""What `tailrace check` finds of a cluster and its registry; nothing is made or changed there."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import ClusterMetadata

from tailrace.codec.registry import Registry
from tailrace.errors import TailraceError
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.offsets import OffsetsTopic
from tailrace.log.kafka.settings import KafkaLogConfig, KafkaTopicSettings
from tailrace.log.kafka.topics import Topics
from tailrace.source import Finding

ANSWER = 10.0
"""Seconds to wait for a broker."""
_NO_ANSWER = "is a broker there, and does its listener want TLS and a login just as `security` says?"


def findings(clients: Clients, topics: Topics, registry: Registry | None) -> Iterator[Finding]:
    """Yield what is found; where no broker answers, that alone."""
    config = clients.config
    try:
        cluster = _cluster(clients)
    except TailraceError as error:
        yield Finding(ok=False, what=error.message, mend=error.hint or _NO_ANSWER)
        return
    yield Finding(ok=True, what=f"connected to kafka cluster {cluster.cluster_id}, brokers: {len(cluster.brokers)}")
    for label, settings in _topic_settings(config):
        yield from _copies(label, settings, len(cluster.brokers))
    if config.offsets_topic in cluster.topics or not config.create_topics:
        yield _offsets_topic(clients, topics)
    if registry is not None and config.schema_registry is not None:
        urls = config.schema_registry.url
        yield _registry(registry, urls if isinstance(urls, str) else ", ".join(urls))


def _cluster(clients: Clients) -> ClusterMetadata:
    try:
        return clients.admin.list_topics(timeout=ANSWER)
    except KafkaException as error:
        raise clients.complaints.explain(error, f"connect to kafka at {clients.config.servers}") from error


def _topic_settings(config: KafkaLogConfig) -> Iterator[tuple[str, KafkaTopicSettings]]:
    """Yield the settings of new topics: of those that match a glob, and of all others."""
    yield "", config
    for glob in config.topics:
        yield f"topics {glob}: ", config.for_topic(glob)


def _copies(label: str, settings: KafkaTopicSettings, brokers: int) -> Iterator[Finding]:
    copies = settings.replication_factor
    if copies is None:
        return
    if copies > brokers:
        yield Finding(
            ok=False, what=f"{label}replication_factor is {copies}, and the cluster has {brokers} brokers",
            mend="set replication_factor to no more than there are brokers",
        )  # fmt: skip
    in_sync = settings.config.get("min.insync.replicas", "1")
    if not in_sync.isdecimal() or int(in_sync) > copies:
        yield Finding(
            ok=False, what=f"{label}min.insync.replicas is {in_sync}, of {copies} replicas: nothing could be written",
            mend="set min.insync.replicas to less than replication_factor, 2 of 3 say",
        )  # fmt: skip


def _offsets_topic(clients: Clients, topics: Topics) -> Finding:
    """Look at the topic of positions, which is there or may not be made."""
    name = clients.config.offsets_topic
    try:
        OffsetsTopic(clients, topics).ensure()
    except TailraceError as error:
        return Finding(ok=False, what=error.message, mend=error.hint)
    return Finding(ok=True, what=f"topic {name} keeps positions")


def _registry(registry: Registry, url: str) -> Finding:
    try:
        level = registry.compatibility()
    except TailraceError as error:
        return Finding(ok=False, what=error.message, mend=error.hint)
    return Finding(ok=True, what=f"schema registry {url} answers, compatibility level {level}")
