"""How far a topic has told the history of one key."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from crash.history import Entry


class Trail:
    """How far the topic has told the history of one key.

    `open`: the snapshot may still choose where the history begins. `skipped` are entries passed over, lost unless they
    turn up later. `again`: the snapshot may read the row a second time, once it is told to be deleted: that is what
    it does with a row that comes here from another key without its large values.
    """

    __slots__ = ("again", "entries", "next", "open", "seen", "skipped", "versions")

    def __init__(self, entries: Sequence[Entry], *, again: bool = False) -> None:
        self.entries = entries
        self.again = again
        self.versions = [entry.ver for entry in entries]
        self.next = 0
        self.open = True
        self.seen: set[int] = set()
        self.skipped: set[int] = set()

    def find(self, ver: int) -> int | None:
        """Return the index of the upsert with version `ver`."""
        index = bisect.bisect_left(self.versions, ver)
        found = index < len(self.versions) and self.versions[index] == ver and self.entries[index].content is not None
        return index if found else None

    def find_delete(self) -> int | None:
        """Return the index of the next delete that the topic has not told, if it lies before the next truncate."""
        for index in range(self.next, len(self.entries)):
            if self.entries[index].op in "dt":
                return index if self.entries[index].op == "d" else None
        return None

    @property
    def begins(self) -> bool:
        """Whether the history may begin here, or begin anew."""
        return self.open or (self.again and self.next > 0 and self.entries[self.next - 1].content is None)

    def advance(self, index: int, settled: int | None, *, beginning: bool) -> None:
        """Go on behind entry `index`; a beginning may leave out what was before the snapshot was complete."""
        begins = self.begins
        for skipped in range(self.next, index):
            if not (beginning and begins and (settled is None or self.versions[skipped] <= settled)):
                self.skipped.add(skipped)
        self.next = index + 1
        self.seen.add(index)
        self.open = False

    def truncate(self, ver: int, settled: int | None) -> bool:
        """Take the truncate with version `ver`; return whether it is in its place.

        While the snapshot is under way it may come after rows that were read later than it: it wipes them, and the
        snapshot reads them again.
        """
        index = bisect.bisect_left(self.versions, ver)
        if index == len(self.versions) or self.versions[index] != ver:
            return True  # the key came into being later
        early = settled is None or ver <= settled
        if index < self.next and not early:
            return False
        self.next = min(self.next, index)
        self.seen = {told for told in self.seen if told < index}
        self.skipped = {left for left in self.skipped if left < index}
        self.advance(index, settled, beginning=early or self.entries[index - 1].content is None)
        self.open = early
        return True

    def lost(self, settled: int | None) -> list[Entry]:
        """Return what the topic should have told and did not."""
        rest = list(range(self.next, len(self.entries)))
        if self.begins and rest:
            # The snapshot came after all that was before it; only a row that is still there had to be read.
            last = rest[-1] if self.entries[-1].content is not None else None
            rest = [i for i in rest if i == last or (settled is not None and self.versions[i] > settled)]
        return [self.entries[i] for i in sorted((self.skipped - self.seen).union(rest))]
