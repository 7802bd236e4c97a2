"""How fast does a topic come into OpenSearch, against opensearch-py's `parallel_bulk` with prepared documents?

    python benchmarks/search.py --rows 50000 --rounds 5

A topic of envelopes, inserts and updates of a table of ten columns, is written once. By turns, each into an index of
its own with the same mapping, on a node of its own:

* `sink`: the topic through the log's reader and the sink, position committed
* `parallel_bulk`: the documents that the sink makes of the rows, prepared in memory as actions, four threads, 500 a
  request, which is what opensearch-py does unless told otherwise
* `worker`: `tailrace run --until-current` over the same topic, from the start of the process to its end; its memory

Every row is in the topic once, so records and documents are as many.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from opensearchpy import OpenSearch
from opensearchpy.helpers import parallel_bulk

from contest import Figures, Run, hold
from log_read import fill
from measurement import Goal, parser, publish
from program import run
from servers.opensearch import require
from servers.opensearch_node import OpenSearchNode
from tailrace.codec.delivery import DeliveryDecoder
from tailrace.log.store.backend import BundledLog
from tailrace.runtime.rejection import DeliveryStage, Rejections
from tailrace.runtime.task import run_task
from tailrace_search.effect import Put, Reader
from tailrace_search.opensearch import ClusterSink
from tailrace_search.settings import ClusterConfig

TASK = "bench"
TOPIC = "shop.public.orders"


class Bench:
    """The node, the log, and what was prepared."""

    def __init__(self, node: OpenSearchNode, folder: Path, count: int) -> None:
        self._node = node
        self._folder = folder
        self._count = count
        self._log = BundledLog.at(folder / "log")
        fill(self._log, count)
        self.block: dict[str, Any] = {
            "type": "opensearch",
            "topics": [TOPIC],
            "urls": [node.url],
            "username": "admin",
            "password": "admin",
            "ca": str(node.ca),
            "timeout": 300.0,
            "index_settings": {"number_of_replicas": 0, "number_of_shards": 1},
        }
        self._documents = list(self._prepared())
        self._mapping: Mapping[str, Any] = {}

    def sink(self) -> Figures:
        """Run the sink's task in this process."""
        self._clear()
        config = ClusterConfig.model_validate(self.block)
        stage = DeliveryStage(DeliveryDecoder(self._log.registry()), Rejections(TASK, "fail"), decoding=False)
        begun, spent = time.perf_counter(), time.process_time()
        run_task(TASK, self._log.reader([TOPIC]), stage, ClusterSink(TASK, config), until_current=True)
        figures = self._told(time.perf_counter() - begun, time.process_time() - spent)
        self._mapping = self._node.call("GET", f"/{TOPIC}-000001/_mapping")[f"{TOPIC}-000001"]["mappings"]
        return figures

    def parallel_bulk(self) -> Figures:
        """Index the prepared documents with opensearch-py."""
        self._clear()
        index = f"{TOPIC}-000001"
        settings = {"index": self.block["index_settings"]}
        self._node.call("PUT", f"/{index}", {"settings": settings, "mappings": self._mapping})
        client = OpenSearch([self._node.url], http_auth=("admin", "admin"), ca_certs=str(self._node.ca), timeout=300)
        actions = ({"_index": index, "_id": name, "_source": document} for name, document in self._documents)
        begun, spent = time.perf_counter(), time.process_time()
        for done, told in parallel_bulk(client, actions):
            assert done, told
        figures = self._told(time.perf_counter() - begun, time.process_time() - spent)
        client.close()
        return figures

    def worker(self) -> Figures:
        """Run a worker as its users do."""
        self._clear()
        file = self._folder / "bench.yaml"
        file.write_text(
            yaml.safe_dump({"log": {"type": "bundled", "path": str(self._folder / "log")}, "sinks": {TASK: self.block}})
        )
        used = run([str(Path(sys.executable).parent / "tailrace"), "run", str(file), "--until-current"])
        return {**self._told(used.ended - used.began, used.cpu), "peak_mb": used.peak_mb}

    def _told(self, seconds: float, cpu: float) -> dict[str, float]:
        self._node.call("POST", f"/{TOPIC}-000001/_refresh")
        there = self._node.call("GET", f"/{TOPIC}-000001/_count")["count"]
        if there != self._count:
            raise SystemExit(f"{there} documents instead of {self._count}")
        return {"documents_per_second": self._count / seconds, "cpu_us_per_document": cpu / self._count * 1e6}

    def _clear(self) -> None:
        for index in self._node.call("GET", "/_cat/indices?format=json&h=index"):
            if not index["index"].startswith("."):
                self._node.call("DELETE", f"/{index['index']}")

    def _prepared(self) -> Any:
        reader = Reader(without_key="refuse")
        stage = DeliveryStage(DeliveryDecoder(self._log.registry()), Rejections(TASK, "fail"), decoding=False)
        for delivery in stage(list(self._log.records(TOPIC, 0, 0))):
            effect = reader.effect(delivery)
            assert isinstance(effect, Put)
            record = delivery.record
            place = {"partition": record.partition, "offset": record.offset, "timestamp": record.timestamp_ms}
            yield effect.id, {**effect.document, "_tailrace": place}


def main() -> None:
    """Measure, and publish."""
    given = parser(__doc__ or "", rows=50_000).parse_args()
    node = OpenSearchNode(require(), heap_mb=1024)
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder, node:
        bench = Bench(node, Path(folder), given.rows)
        bench.sink()  # the node compiles itself, and the mapping is known
        contenders: dict[str, Run] = {
            "sink": bench.sink, "parallel_bulk": bench.parallel_bulk, "worker": bench.worker
        }  # fmt: skip
        contest = hold("", contenders, rounds=given.rounds)
        about_bytes = len(json.dumps(bench._documents[0][1]))  # noqa: SLF001 - of our own
    figure = "documents_per_second"
    publish(
        "search", list(contest.medians()), about=__doc__ or "", every_run=list(contest.every_run()),
        goals=[
            Goal("documents a second against parallel_bulk", "", contest.ratios("sink", "parallel_bulk", figure),
                 at_least=0.7),
            Goal("peak memory of a task", "", contest.values("worker", "peak_mb"), at_most=250, unit=" MB"),
        ],
        parameters=vars(given), document_bytes=about_bytes,
    )  # fmt: skip


if __name__ == "__main__":
    main()
