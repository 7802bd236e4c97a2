"""Looks into indexes: at documents by id, as they are at this moment, and at all that are older than a version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tailrace.errors import Fatal
from tailrace.event import StoredRecord
from tailrace_search.bulk import Operation
from tailrace_search.catalog import Shelf
from tailrace_search.client import Answer, Client
from tailrace_search.document import Document
from tailrace_search.mapping import META
from tailrace_search.pending import Entry

T = TypeVar("T")

_CHUNK = 500
_PAGE = 2_000


class Stored:
    """Reads; `_mget` and `GET` see every write that was answered, without a refresh."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def document(self, shelf: Shelf, identity: str) -> Document | None:
        """Return a document without what we added to it."""
        (found,) = self._get([{"_index": shelf.writer, "_id": identity}])
        return None if found is None else {name: value for name, value in found["_source"].items() if name != META}

    def complete(self, entries: Sequence[Entry]) -> set[Entry]:
        """Fill in what entries lack; return those whose document is there already, in their version or a later one."""
        known: set[Entry] = set()
        for chunk in _chunks(entries):
            own = self._get([_wanted(entry, entry.id) for entry in chunk])
            known |= {entry for entry, found in zip(chunk, own, strict=True) if _is_known(entry, found)}
            moved = [entry for entry in chunk if entry.source and entry not in known]
            old = dict(zip(moved, self._get([_wanted(entry, entry.source) for entry in moved]), strict=True))
            for entry, found in zip(chunk, own, strict=True):
                _fill(entry, old.get(entry) if entry.source else found)
        return known

    def foreign(self, operations: Sequence[Operation]) -> StoredRecord | None:
        """Return the record of an operation that met a later document that cannot be from the same log."""
        for chunk in _chunks(operations):
            documents = self._get([{"_index": each.writer, "_id": each.id, "_source": [META]} for each in chunk])
            for operation, found in zip(chunk, documents, strict=True):
                place = {} if found is None else found["_source"].get(META, {})
                if operation.delivery is None or not place or place["offset"] <= operation.version:
                    continue
                record = operation.delivery.record
                if place["partition"] != record.partition or place["timestamp"] < record.timestamp_ms:
                    return record
        return None

    def has_others(self, shelf: Shelf, partition: int) -> bool:
        """Tell whether there are documents of other partitions than `partition`."""
        self._refresh(shelf)
        query = {"bool": {"must_not": {"term": {f"{META}.partition": partition}}}}
        answer = self._client.request("POST", f"/{shelf.writer}/_search", {"size": 1, "_source": False, "query": query})
        return bool(_found(answer, shelf))

    def older(self, shelf: Shelf, version: int) -> Iterator[list[str]]:
        """Yield the ids of all documents that are older than `version`, page by page."""
        self._refresh(shelf)
        body = {"size": _PAGE, "_source": False, "version": True, "sort": ["_doc"], "query": {"match_all": {}}}
        answer = self._client.request("POST", f"/{shelf.writer}/_search?scroll=5m", body)
        while hits := _found(answer, shelf):
            page = [hit["_id"] for hit in hits if hit["_version"] < version]
            if page:
                yield page
            scroll = answer.json["_scroll_id"]
            answer = self._client.request("POST", "/_search/scroll", {"scroll": "5m", "scroll_id": scroll})
        self._client.request("DELETE", "/_search/scroll", {"scroll_id": [answer.json["_scroll_id"]]})

    def _refresh(self, shelf: Shelf) -> None:
        answer = self._client.request("POST", f"/{shelf.writer}/_refresh")
        if answer.status != 200:
            raise Fatal(f"refresh {shelf.index}: {answer.status} {answer.reason}")

    def _get(self, wanted: Sequence[Mapping[str, object]]) -> list[dict[str, Any] | None]:
        if not wanted:
            return []
        answer = self._client.request("POST", "/_mget", {"docs": wanted})
        if answer.status != 200:
            raise Fatal(f"look up {len(wanted)} documents: {answer.status} {answer.reason}")
        return [found if found.get("found") else None for found in answer.json["docs"]]


def _wanted(entry: Entry, identity: str) -> dict[str, object]:
    return {"_index": entry.shelf.writer, "_id": identity, "_source": [*sorted(entry.missing)]}


def _is_known(entry: Entry, found: dict[str, Any] | None) -> bool:
    return found is not None and found["_version"] >= entry.version


def _fill(entry: Entry, found: dict[str, Any] | None) -> None:
    if found is not None and entry.document is not None:
        entry.document.update({name: value for name, value in found["_source"].items() if name in entry.missing})


def _found(answer: Answer, shelf: Shelf) -> list[dict[str, Any]]:
    if answer.status != 200:
        raise Fatal(f"search {shelf.index}: {answer.status} {answer.reason}")
    hits: list[dict[str, Any]] = answer.json["hits"]["hits"]
    return hits


def _chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
