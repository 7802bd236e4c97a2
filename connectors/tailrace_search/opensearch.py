"""Sinks of type `opensearch` and `elasticsearch`: the plug-in, and what commands ask of it.

One class serves both: the bulk API is the same, and what differs (the name of a flattened field) is asked of the
cluster. Elasticsearch's own client refuses OpenSearch, and the other way round, hence plain HTTP (`client.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal
from tailrace.position import Position
from tailrace.sink import Hit
from tailrace.source import Finding
from tailrace_search.catalog import alias_of
from tailrace_search.client import Client
from tailrace_search.cluster import Writer
from tailrace_search.inspection import inspect
from tailrace_search.ledger import Ledger
from tailrace_search.mapping import META
from tailrace_search.rebuilding import BuildSink, switch
from tailrace_search.settings import ClusterConfig
from tailrace_search.shipment import IndexGone


class ClusterSink:
    """A `Sink[Delivery]`."""

    Config = ClusterConfig

    def __init__(self, name: str, config: ClusterConfig) -> None:
        self._name = name
        self._config = config
        self._client = Client(config)
        self._writer: Writer | None = None
        self._reject: Callable[[Delivery, BadRecord], None] = _fail

    def reject_with(self, reject: Callable[[Delivery, BadRecord], None]) -> None:
        """Take what carries out the `errors` setting."""
        self._reject = reject

    def open(self, task: str) -> Position | None:
        """Connect and become the writer; a writer before us is told so when it next commits."""
        self.close()
        self._writer = Writer(self._client, self._config, task, reject=self._reject)
        return self._writer.entry.position

    def write(self, items: Sequence[Delivery]) -> None:
        """Take items up; some are sent, and may be on their way when this returns."""
        with self._writing() as writer:
            for delivery in items:
                writer.take(delivery)

    def commit(self, position: Position) -> None:
        """Wait until every item is there, then save the position."""
        with self._writing() as writer:
            writer.commit(position)

    def close(self) -> None:
        """Close the connections. What is on its way may still arrive; it comes again, and then changes nothing."""
        self._writer = None
        self._client.close()

    def position(self, task: str) -> Position | None:
        """Return the position of the last commit, for `tailrace offsets`."""
        with self._connected() as client:
            return Ledger(client, self._config.index_prefix).load(task).position

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position; a task that runs begins anew from it."""
        with self._connected() as client:
            ledger = Ledger(client, self._config.index_prefix)
            ledger.save(replace(ledger.load(task), position=position))

    def search(self, query: str, *, topics: Sequence[str] = ("*",), limit: int = 10) -> Sequence[Hit]:
        """Return the best matches, by the cluster's query string syntax."""
        with self._connected() as client:
            aliases = {alias: topic for alias, topic in self._topics(client) if _matches(topic, topics)}
            if not aliases:
                return []
            body = {"size": limit, "query": {"query_string": {"query": query, "lenient": True}}}
            answer = client.request("POST", f"/{','.join(aliases)}/_search?ignore_unavailable=true", body)
            if answer.status != 200:
                raise Fatal(f"search {', '.join(aliases)}: {answer.status} {answer.reason}")
            hits = []
            for hit in answer.json["hits"]["hits"]:
                document = {name: value for name, value in hit["_source"].items() if name != META}
                topic = aliases[hit["_index"].rpartition("-")[0]]
                hits.append(Hit(topic, hit["_id"], hit["_score"], document))
            return hits

    def check(self) -> Sequence[Finding]:
        """Ask the cluster for its version, our grants, blocks and templates in our way."""
        try:
            with self._connected() as client:
                return inspect(client, self._config)
        finally:
            self.close()

    def build(self) -> BuildSink:
        """Return a sink that fills new indexes beside those that serve, for `tailrace rebuild`."""
        return BuildSink(self._config, self._reject)

    def switch(self, task: str) -> Sequence[str]:
        """Have the new indexes serve in the place of the old; return what was done, for people to read."""
        with self._connected() as client:
            return switch(client, self._config, task)

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        assert self._writer is not None, "sink used before it is open"
        try:
            yield self._writer
        except IndexGone as gone:
            raise self._writer.explained(gone) from gone

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        client = Client(self._config)
        try:
            yield client
        finally:
            client.close()

    def _topics(self, client: Client) -> Iterator[tuple[str, str]]:
        """Yield alias and topic of each index of ours."""
        answer = client.request("GET", f"/{self._config.index_prefix}*/_mapping?expand_wildcards=open")
        if answer.status != 200:
            raise Fatal(f"list the indexes: {answer.status} {answer.reason}")
        for found in answer.json.values():
            topic = found["mappings"].get("_meta", {}).get("tailrace", {}).get("topic")
            if topic is not None and _matches(topic, self._config.topics):
                yield alias_of(topic, self._config.index_prefix), topic


def _matches(topic: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(topic, pattern) for pattern in patterns)


def _fail(_: Delivery, error: BadRecord) -> None:
    raise error
