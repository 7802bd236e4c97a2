"""The embedded index: a sink of type `search`, into one SQLite file. Exactly once: the position is in its commits.

Nothing else has to run, and nothing has to be installed. It is for one machine, and for as many rows as SQLite likes:
some millions. `docs/decisions/0030-embedded-index.md` says why it is SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field

from tailrace.codec.delivery import Delivery, Shape
from tailrace.errors import BadRecord, Fatal
from tailrace.position import Position
from tailrace.sink import Hit, SinkConfig
from tailrace.source import Finding
from tailrace_search.effect import Clear, Effect, Put, Reader, Remove, WithoutKey
from tailrace_search.fulltext import Library, told
from tailrace_search.query import matches
from tailrace_search.shelf import Shelf

NOT_WORDS = ("bytes", "boolean")


class SearchConfig(SinkConfig):
    """Settings of an embedded index."""

    path: Path = Field(description="folder of the index; it is made if it is not there")
    without_key: WithoutKey = Field(
        "refuse", description="tables without a key: `append` makes a document of every change"
    )


class SearchSink:
    """A `Sink[Delivery]`."""

    Config = SearchConfig

    def __init__(self, name: str, config: SearchConfig) -> None:
        self._name = name
        self._library = Library(config.path)
        self._reader = Reader(without_key=config.without_key, json_as="object")
        self._reject: Callable[[Delivery, BadRecord], None] | None = None
        self._task = ""
        self._fields: dict[int, list[str]] = {}

    def reject_with(self, reject: Callable[[Delivery, BadRecord], None]) -> None:
        """Take what carries out the `errors` setting."""
        self._reject = reject

    def open(self, task: str) -> Position | None:
        """Become the writer of the file; what was not committed is gone."""
        self._library.open()
        self._task = task
        return self._library.position(task)

    def write(self, items: Sequence[Delivery]) -> None:
        """Carry out each change in the transaction."""
        with told(self._library.file):
            for delivery in items:
                try:
                    effect = self._reader.effect(delivery)
                    fields = [] if effect is None else self._fields_of(delivery.shape, effect)
                except BadRecord as error:
                    if self._reject is None:
                        raise
                    self._reject(delivery, error)
                    continue
                if effect is not None:
                    self._carry_out(delivery.record.topic, effect, fields)

    def commit(self, position: Position) -> None:
        """Commit documents and position."""
        with told(self._library.file):
            self._library.set_position(self._task, position)
            self._library.commit()

    def close(self) -> None:
        """Roll back what is not committed."""
        self._library.close()

    def position(self, task: str) -> Position | None:
        """Return the position of the last commit, for `tailrace offsets`."""
        if not self._library.file.is_file():
            return None
        with self._library.reading():
            return self._library.position(task)

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position; raises `Retriable` while a writer is at work."""
        try:
            self._library.open()
            with told(self._library.file):
                self._library.set_position(task, position)
                self._library.commit()
        finally:
            self._library.close()

    def search(self, query: str, *, topics: Sequence[str] = ("*",), limit: int = 10) -> Sequence[Hit]:
        """Return the best matches of all topics that match the globs, best first."""
        hits: list[Hit] = []
        with self._library.reading() as shelves:
            for topic, shelf in shelves.items():
                if any(fnmatchcase(topic, pattern) for pattern in topics):
                    hits += [Hit(topic, *found) for found in matches(shelf, query, limit)]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def check(self) -> Sequence[Finding]:
        """Open the index, or see whether it could be made."""
        file = self._library.file
        try:
            self._library.open()
        except Fatal as error:
            return [Finding(ok=False, what=error.message, mend=error.hint)]
        finally:
            self._library.close()
        return [Finding(ok=True, what=f"search index {file} can be written")]

    def _carry_out(self, topic: str, effect: Effect, fields: Sequence[str]) -> None:
        if isinstance(effect, Put):
            self._put(topic, self._library.shelf(topic, fields), effect)
        elif (known := self._library.known(topic)) is None:
            return
        elif isinstance(effect, Clear):
            known.clear()
        else:
            self._remove(topic, known, effect)

    def _put(self, topic: str, shelf: Shelf, put: Put) -> None:
        kept = self._library.take_move(topic, put.moved_from) if put.moved_from else None
        if put.missing:
            kept = kept or shelf.get(put.id) or {}
            put.document.update({name: value for name, value in kept.items() if name in put.missing})
        shelf.put(put.id, put.document)

    def _remove(self, topic: str, shelf: Shelf, remove: Remove) -> None:
        if remove.moved_as and (document := shelf.get(remove.id)) is not None:
            self._library.keep_move(topic, remove.moved_as, document)
        shelf.remove(remove.id)

    def _fields_of(self, shape: Shape | None, effect: Effect) -> list[str]:
        """Return the fields whose words are looked up: of a table, its columns that can have any."""
        if shape is None:
            return list(effect.document) if isinstance(effect, Put) else []
        fields = self._fields.get(shape.id)
        if fields is None:
            columns = (column for column in shape.columns if column.schema.type not in NOT_WORDS or column.schema.name)
            fields = self._fields[shape.id] = [column.name for column in columns]
        return fields
