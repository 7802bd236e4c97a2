"""What is to be sent: one entry for each document, the last state of those that change several times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tailrace.codec.delivery import Delivery
from tailrace_search.catalog import Shelf
from tailrace_search.document import Document


@dataclass(slots=True, eq=False)
class Entry:
    """A document to be written at `version`, or removed where there is none.

    `missing` are fields whose value is the one in the index: under `source`, where the row had another key before.
    `moved_as` marks a removal that has to wait for the row under its new key.
    """

    shelf: Shelf
    id: str
    version: int
    delivery: Delivery
    document: Document | None
    missing: frozenset[str] = frozenset()
    source: str = ""
    moved_as: str = ""


class Pending:
    """Entries by index and id, in the order in which documents first changed; and about how many bytes they take."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._waiting: dict[str, Entry] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def waiting(self) -> Mapping[str, Entry]:
        """The removals that wait, by the key under which their row goes on."""
        return self._waiting

    def find(self, shelf: Shelf, identity: str) -> Entry | None:
        """Return the entry of a document."""
        return self._entries.get((shelf.index, identity))

    def add(self, entry: Entry) -> None:
        """Take up an entry in the place of an earlier one for the same document; what it misses is filled from that."""
        place = (entry.shelf.index, entry.id)
        before = self._entries.get(place)
        if before is not None:
            self._waiting = {key: each for key, each in self._waiting.items() if each is not before}
            if entry.missing and not entry.source:
                _complete(entry, before)
        self._entries[place] = entry
        if entry.moved_as:
            self._waiting[entry.moved_as] = entry
        self.bytes += len(entry.delivery.record.value or b"")

    def arrived(self, key: str) -> Entry | None:
        """Return the removal that waited for the row under `key`, and wait no more."""
        entry = self._waiting.pop(key, None)
        if entry is not None:
            entry.moved_as = ""
        return entry

    def take(self, *, holding: bool) -> list[Entry]:
        """Return all entries and forget them; `holding`: but those of removals that wait."""
        taken = [entry for entry in self._entries.values() if not (holding and entry.moved_as)]
        self._entries = {(entry.shelf.index, entry.id): entry for entry in self._waiting.values()} if holding else {}
        if not holding:
            self._waiting = {}
        self.bytes = 0
        return taken


def _complete(entry: Entry, before: Entry) -> None:
    if before.document is None or entry.document is None:
        return
    entry.document.update({name: before.document[name] for name in entry.missing if name in before.document})
    entry.missing &= before.missing
    entry.source = before.source
