"""Building indexes anew from the log, while the old ones go on being served and kept up to date.

    1  a sink of its own, with a position of its own, fills the next generation: <alias>-000002
    2  when it has caught up with the log, the new indexes are refreshed, so that all documents in them are found, and
       the aliases are switched, all of them in one step
    3  the sink's entry in the ledger gets the new generation, and the position up to which that is filled: the running
       task finds at its next commit that it has lost its place, begins anew, and goes on in the new generation
    4  the old indexes are deleted

Interrupted at any point, the same command goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal
from tailrace.position import Position
from tailrace_search.client import Client
from tailrace_search.cluster import Writer
from tailrace_search.ledger import Entry, Ledger
from tailrace_search.settings import ClusterConfig

_BUILDING = "@next"


class BuildSink:
    """A `Sink[Delivery]` into the next generation of a sink's indexes."""

    def __init__(self, config: ClusterConfig, reject: Callable[[Delivery, BadRecord], None]) -> None:
        self._config = config
        self._client = Client(config)
        self._reject = reject
        self._writer: Writer | None = None

    def open(self, task: str) -> Position | None:
        """Begin the next generation of `task`, or go on with it."""
        self.close()
        ledger = Ledger(self._client, self._config.index_prefix)
        building = ledger.load(task + _BUILDING)
        following = ledger.load(task).generation + 1
        if building.generation != following:
            ledger.save(replace(building, position=None, generation=following, moves={}))
        self._writer = Writer(self._client, self._config, task + _BUILDING, reject=self._reject, building=True)
        return self._writer.entry.position

    def write(self, items: Sequence[Delivery]) -> None:
        """Take items up."""
        assert self._writer is not None, "sink used before it is open"
        for delivery in items:
            self._writer.take(delivery)

    def commit(self, position: Position) -> None:
        """Wait until every item is there, then save the position."""
        assert self._writer is not None, "sink used before it is open"
        self._writer.commit(position)

    def close(self) -> None:
        """Close the connections."""
        self._writer = None
        self._client.close()


def switch(client: Client, config: ClusterConfig, task: str) -> Sequence[str]:
    """Have the generation serve that was built; return what was done. Raises `Fatal` where none was."""
    ledger = Ledger(client, config.index_prefix)
    built = ledger.load(task + _BUILDING)
    if built.seen is None or built.position is None:
        raise Fatal(f"switch {task}: no indexes were built")
    new, old = _indexes(client, config, built)
    _make_searchable(client, new.values())
    actions: list[dict[str, Any]] = []
    for alias, index in new.items():
        actions += [{"remove": {"index": each, "alias": alias}} for each in old.get(alias, [])]
        actions.append({"add": {"index": index, "alias": alias}})
    if actions:
        answer = client.request("POST", "/_aliases", {"actions": actions})
        if answer.status != 200:
            raise Fatal(f"switch aliases: {answer.status} {answer.reason}")
    serving = ledger.load(task)
    ledger.save(replace(serving, position=built.position, generation=built.generation, moves=built.moves))
    done = [f"{alias} is {index}" for alias, index in sorted(new.items())]
    for index in sorted(each for indexes in old.values() for each in indexes):
        client.request("DELETE", f"/{index}")
        done.append(f"{index} is deleted")
    ledger.forget(task + _BUILDING)
    return done


def _make_searchable(client: Client, indexes: Iterable[str]) -> None:
    """Have all documents found that were written: without, an index shows them at its next refresh only."""
    for index in indexes:
        answer = client.request("POST", f"/{index}/_refresh")
        if answer.status != 200:
            raise Fatal(f"refresh {index}: {answer.status} {answer.reason}")


def _indexes(client: Client, config: ClusterConfig, built: Entry) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return by alias the new index, and the indexes that have the alias now."""
    answer = client.request("GET", f"/{config.index_prefix}*-{built.generation:06d}/_alias")
    if answer.status != 200:
        raise Fatal(f"list the new indexes: {answer.status} {answer.reason}")
    new = {}
    for index, told in answer.json.items():
        if f"{index}.writer" in told["aliases"]:
            new[index.rpartition("-")[0]] = index
    old: dict[str, list[str]] = {}
    for alias, index in new.items():
        answer = client.request("GET", f"/_alias/{alias}")
        if answer.status == 200:
            old[alias] = [each for each in answer.json if each != index]
    return new, old
