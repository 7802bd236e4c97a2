"""The search sinks of a campaign: the node that the blows fall on, and the rows that both indexes have in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crash.side import PostgresSide
from crash.tables import SCHEMA, TABLES, CrashTable
from crash.worker import CONNECTOR
from servers.opensearch_node import OpenSearchNode
from tailrace_search.fulltext import Library
from tailrace_search.identity import document_id

KEYED = [table for table in TABLES if not table.keyless]

Rows = Mapping[str, tuple[str | None, ...]]
"""By id, a row's values as text."""


class NodeServer:
    """An OpenSearch node, stopped and started as the harness does it with a database's server."""

    def __init__(self, node: OpenSearchNode) -> None:
        self._node = node

    def stop(self, mode: str = "fast", *, timeout: float = 60.0) -> None:
        """Stop it in good order, or at once."""
        if mode == "immediate":
            self._node.kill()
        else:
            self._node.stop()

    def start(self) -> None:
        """Start it again."""
        self._node.start()

    def kill(self) -> None:
        """Kill it with signal 9."""
        self._node.kill()

    def restart(self) -> None:
        """Kill it with signal 9, and start it again."""
        self.kill()
        self.start()


class Destination:
    """The side that the blows fall on."""

    def __init__(self, node: OpenSearchNode) -> None:
        self.server = NodeServer(node)


def search_sinks(node: OpenSearchNode, port: int, folder: Path) -> dict[str, object]:
    """Return two sinks over the same topics: into the cluster behind `port`, and into a file."""
    topics = [f"{CONNECTOR}.{SCHEMA}.{table.name}" for table in KEYED]
    cluster = {
        "type": "opensearch", "topics": topics, "urls": [f"https://127.0.0.1:{port}"], "username": "loader",
        "password": "loader", "ca": str(node.ca), "index_settings": {"number_of_replicas": 0}, "timeout": 5.0,
    }  # fmt: skip
    return {"find": cluster, "words": {"type": "search", "topics": topics, "path": str(folder / "words")}}


def differences(source: PostgresSide, node: OpenSearchNode, folder: Path) -> Iterator[str]:
    """Compare both indexes with the source, row by row."""
    with Library(folder / "words").reading() as shelves:
        in_file = {topic: list(shelf.documents()) for topic, shelf in shelves.items()}
    for table in KEYED:
        topic = f"{CONNECTOR}.{table.topic}"
        there = _rows_of(source, table)
        assert there or table.truncated, f"{table.name} is empty at its source"
        in_cluster = {hit["_id"]: _told(table, hit["_source"]) for hit in _hits(node, topic)}
        yield from _differing(f"cluster {table.name}", there, in_cluster)
        documents = in_file.get(topic, [])
        rows = {document_id({name: each[name] for name in table.key}): _told(table, each) for each in documents}
        yield from _differing(f"file {table.name}", there, rows)
        if len(rows) != len(documents):
            yield f"file {table.name}: rows are there twice"


def _differing(name: str, there: Rows, here: Rows) -> Iterator[str]:
    if there != here:
        lacks, more = there.keys() - here.keys(), here.keys() - there.keys()
        other = [key for key in there.keys() & here.keys() if there[key] != here[key]]
        yield f"{name}: lacks {len(lacks)}, has {len(more)} that should not be, {len(other)} differ, of {len(there)}"


def _rows_of(source: PostgresSide, table: CrashTable) -> Rows:
    with source.server.connect() as connection:
        rows = connection.execute(f"SELECT {', '.join(table.names)} FROM {SCHEMA}.{table.name}").fetchall()
    records = (dict(zip(table.names, row, strict=True)) for row in rows)
    return {document_id({name: each[name] for name in table.key}): _told(table, each) for each in records}


def _told(table: CrashTable, row: Mapping[str, Any]) -> tuple[str | None, ...]:
    return tuple(None if row[name] is None else str(row[name]) for name in table.names)


def _hits(node: OpenSearchNode, topic: str) -> Iterator[dict[str, Any]]:
    """Yield all documents behind a topic's alias, each as often as it is found."""
    node.call("POST", f"/{topic}/_refresh", missing={})
    body = {"size": 5_000, "sort": ["_doc"]}
    found = node.call("POST", f"/{topic}/_search?scroll=1m", body, missing={"hits": {"hits": []}})
    seen: Counter[str] = Counter()
    while hits := found["hits"]["hits"]:
        seen.update(hit["_id"] for hit in hits)
        yield from hits
        found = node.call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": found["_scroll_id"]})
    assert not [name for name, count in seen.items() if count > 1], f"{topic}: documents are there twice"
