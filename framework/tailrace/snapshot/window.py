"""Rows that change while it is uncertain whether a chunk's read sees it.

Some databases cannot say exactly what a read saw, only bounds: all that was streamed before the read was asked for, and
nothing beyond a place that is known once it has begun. While the stream runs up to that place, the changes of the
chunk's rows are noted here. Then the chunk, with these rows as they are now, is what a read at exactly that place
would have given.
"""

from __future__ import annotations

from enum import Enum

from tailrace.snapshot.order import Key

MOST_AMENDED = 20_000
"""Rows noted for one chunk; more make the read useless: it is repeated, when less happens."""


class Torn(Enum):
    """`TORN`: a row of which the change told some columns only."""

    TORN = "torn"


TORN = Torn.TORN


class Window:
    """What became of a chunk's rows since its read was asked for: the row, or None where it is gone."""

    __slots__ = ("rows", "useless")

    def __init__(self) -> None:
        self.rows: dict[Key, object] = {}
        self.useless = False
        """A row changed in a way that cannot be made up for: the read has to be repeated."""

    def note(self, key: Key | None, row: object) -> None:
        """Note that the row with `key` is `row` now (None: it is gone); no key: it cannot be told which row."""
        if key is None or row is TORN or len(self.rows) >= MOST_AMENDED:
            self.useless = True
            self.rows.clear()
        elif not self.useless:
            self.rows[key] = row
