"""Where each sink is: its position, beside the documents, in an index of the same cluster.

    tailrace-sinks/<task> => position, generation, moves, owner      as text: there is nothing to search for

A cluster that is restored from a snapshot so has a position that fits its documents. Every save names the version that
it replaces: of two tasks that believe to be the writer, the one that opened first is told so at its next save. What it
writes until then does no harm, since documents carry the versions of the log.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import orjson

from tailrace.errors import Fatal, Retriable
from tailrace.position import Position
from tailrace_search.client import Client

NAME = "tailrace-sinks"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a sink. `generation` counts from 1 the indexes that its topics have had.

    `moves` has, by topic and key, the documents of rows on their way to another key. `seen` is what a save replaces.
    """

    task: str
    position: Position | None = None
    generation: int = 1
    moves: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    seen: tuple[int, int] | None = None


class Ledger:
    """Reads and writes entries."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._index = f"{prefix}{NAME}"

    def load(self, task: str) -> Entry:
        """Return the entry of `task`, an empty one where there is none."""
        answer = self._client.request("GET", self._path(task))
        if answer.status == 404:
            return Entry(task)
        if answer.status != 200:
            raise Fatal(f"read {self._index}: {answer.status} {answer.reason}")
        found = answer.json
        told = found["_source"]
        return Entry(
            task,
            orjson.loads(told["position"]),
            told["generation"],
            orjson.loads(told["moves"]),
            told["owner"],
            (found["_seq_no"], found["_primary_term"]),
        )

    def take_over(self, task: str) -> Entry:
        """Become the writer of `task`, and return its entry."""
        return self.save(replace(self.load(task), owner=uuid.uuid4().hex))

    def save(self, entry: Entry) -> Entry:
        """Write an entry in the place of the one that it was; raises `Retriable` where that is another by now."""
        if entry.seen is None:
            self._create_index()
            condition = "?op_type=create"
        else:
            condition = f"?if_seq_no={entry.seen[0]}&if_primary_term={entry.seen[1]}"
        body = {
            "position": orjson.dumps(entry.position).decode(),
            "generation": entry.generation,
            "moves": orjson.dumps(entry.moves).decode(),
            "owner": entry.owner,
        }
        answer = self._client.request("PUT", self._path(entry.task) + condition, body)
        if answer.status == 409:
            raise Retriable(
                f"save the position of {entry.task}: another task has taken over, or the index was built anew",
                hint="the task goes on from the position that is there now",
            )
        if answer.status not in {200, 201}:
            raise Fatal(f"save the position of {entry.task}: {answer.status} {answer.reason}")
        return replace(entry, seen=(answer.json["_seq_no"], answer.json["_primary_term"]))

    def forget(self, task: str) -> None:
        """Remove an entry."""
        self._client.request("DELETE", self._path(task))

    def _create_index(self) -> None:
        kept = {"type": "keyword", "index": False, "doc_values": False}
        properties = {"position": kept, "moves": kept, "owner": kept, "generation": {"type": "integer"}}
        body = {"settings": {"number_of_shards": 1}, "mappings": {"dynamic": False, "properties": properties}}
        answer = self._client.request("PUT", f"/{self._index}", body)
        if answer.status != 200 and "resource_already_exists" not in answer.reason:
            raise Fatal(f"create {self._index}: {answer.status} {answer.reason}")

    def _path(self, task: str) -> str:
        return f"/{self._index}/_doc/{quote(task, safe='')}"
