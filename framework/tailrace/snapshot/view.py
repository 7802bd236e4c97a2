"""Views: what a chunk's read saw of the database, told by transaction.

A view is made by a connector, which knows how its database says what a read sees (Postgres: `pg_snapshot`; MySQL: a
set of GTIDs). The rule in `table.py` needs no more of it than the two questions below.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from tailrace.position import Json

Transaction: TypeAlias = int
"""Names a transaction of the stream; the connector's own numbers."""

Place: TypeAlias = int
"""A point of the stream, in commit order: a transaction's place is that of its commit."""


class View(Protocol):
    """What one read saw: an exact cut between transactions, not between places of the stream."""

    def sees(self, transaction: Transaction) -> bool:
        """Whether the read saw what `transaction`, which has been streamed, did."""
        ...

    def passed(self, place: Place) -> bool:
        """Whether no transaction that commits at `place` or later can be one that the read saw."""
        ...

    def to_json(self) -> Json:
        """Return the view in the form that positions keep."""
        ...
