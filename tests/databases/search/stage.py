"""A real cluster as the other side of a sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from servers.opensearch_node import OpenSearchNode
from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord
from tailrace.testing.deliveries import TOPIC, Deliveries
from tailrace_search.opensearch import ClusterSink
from tailrace_search.settings import ClusterConfig

TASK = "find"


class ClusterStage:
    """A sink's settings, what it is told, and a look at what it wrote."""

    def __init__(self, node: OpenSearchNode, told: Deliveries, **settings: object) -> None:
        self.node = node
        self.told = told
        self.rejected: list[tuple[Delivery, BadRecord]] = []
        self.settings: dict[str, Any] = {
            "type": "opensearch",
            "topics": ["contract.*"],
            "urls": [node.url],
            "username": "loader",
            "password": "loader",
            "ca": node.ca,
            "index_settings": {"number_of_replicas": 0},
            **settings,
        }

    def sink(self) -> ClusterSink:
        sink = ClusterSink(TASK, ClusterConfig.model_validate(self.settings))
        sink.reject_with(lambda delivery, error: self.rejected.append((delivery, error)))
        return sink

    def load(self, *deliveries: Sequence[Delivery]) -> None:
        with closing(self.sink()) as sink:
            sink.open(TASK)
            for each in deliveries:
                sink.write(each)
            sink.commit(self.told.position)

    def item(self, number: int) -> Delivery:
        (delivery,) = self.told.insert(number)
        return delivery

    def hits(self, alias: str = TOPIC) -> list[dict[str, Any]]:
        self.node.call("POST", f"/{alias}*/_refresh")
        body = {"size": 10_000, "version": True}
        found = self.node.call("POST", f"/{alias}/_search", body, missing={"hits": {"hits": []}})
        hits: list[dict[str, Any]] = found["hits"]["hits"]
        return hits

    def rows(self) -> Sequence[Mapping[str, object]]:
        return [hit["_source"] for hit in self.hits()]

    def stored(self) -> list[int]:
        return sorted(int(str(row["id"])) for row in self.rows())


def stage_of(node: OpenSearchNode, folder: Path, **settings: object) -> ClusterStage:
    return ClusterStage(node, Deliveries(folder / "told"), **settings)
