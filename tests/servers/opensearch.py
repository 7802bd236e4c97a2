"""A real OpenSearch node for tests, 2.19 with its security plug-in, from Maven Central.

    opensearch        one node that all tests share; the indexes and templates of a test are gone after it
    start_opensearch  a function that starts nodes of the test's own

Where it cannot run the tests are skipped with a line in the header; where the environment says CI=true that is a
failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from servers.opensearch_node import OpenSearchNode
from servers.opensearch_programs import VERSION, Programs, find, install, missing

FIXTURES = {"opensearch", "start_opensearch", "shared_opensearch"}


def header() -> list[str]:
    """Return one line for the head of the test report."""
    found = find()
    where = str(found.folder) if found.folder.is_dir() else "not yet fetched, which the first test does"
    return [f"opensearch {VERSION}: {f'MISSING, its tests are skipped: {reason}' if (reason := missing()) else where}"]


def require() -> Programs:
    """Return the programs, fetched if need be; skips the test, or fails it in CI."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(f"NO OPENSEARCH: {reason}")
    programs = install()
    if not programs.archive.exists():
        _archive_classes(programs)
    return programs


def _archive_classes(programs: Programs) -> None:
    """Run a node once that keeps what it loaded: the next one starts sooner."""
    made = programs.folder / f"classes-{os.getpid()}.jsa"
    node = OpenSearchNode(programs)
    node.java_options += [f"-XX:ArchiveClassesAtExit={made}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    with node:
        node.stop()
    made.replace(programs.archive)


class SharedOpenSearch:
    """The node that the tests of one session share, started when first asked for."""

    def __init__(self) -> None:
        self._node: OpenSearchNode | None = None

    def get(self) -> OpenSearchNode:
        if self._node is None:
            self._node = OpenSearchNode(require()).__enter__()
        return self._node

    def close(self) -> None:
        if self._node is not None:
            self._node.close()


@pytest.fixture(scope="session")
def shared_opensearch() -> Iterator[SharedOpenSearch]:
    shared = SharedOpenSearch()
    yield shared
    shared.close()


@pytest.fixture
def opensearch(shared_opensearch: SharedOpenSearch) -> Iterator[OpenSearchNode]:
    """A node that other tests use, too: leave it running."""
    node = shared_opensearch.get()
    yield node
    for index in node.call("GET", "/_cat/indices?format=json&h=index&expand_wildcards=all"):
        if not index["index"].startswith("."):
            node.call("DELETE", f"/{index['index']}")
    for template in node.call("GET", "/_index_template")["index_templates"]:
        node.call("DELETE", f"/_index_template/{template['name']}")


StartOpenSearch = Callable[..., OpenSearchNode]


@pytest.fixture
def start_opensearch() -> Iterator[StartOpenSearch]:
    """A function `()` that starts a node; all end with the test."""
    nodes: list[OpenSearchNode] = []

    def start() -> OpenSearchNode:
        node = OpenSearchNode(require())
        nodes.append(node)
        return node.__enter__()

    yield start
    for node in nodes:
        node.close()
