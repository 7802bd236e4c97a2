"""The demo's database, whichever it is: a server of our own, and the few words that a shop says to it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

Row: TypeAlias = tuple[Any, ...]


class Refused(Exception):
    """A check of the database says no: the transaction is rolled back."""


class ShopConnection(Protocol):
    """An autocommitting connection of the shop's; values stand for `%s`. Every method may raise `Refused`."""

    random: str
    """The database's name for a number by chance."""

    def create_tables(self) -> None:
        """Create the shop's four tables."""

    def tags(self, names: Sequence[str]) -> str:
        """Return the value of a column that holds several names."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Run one statement."""

    def rows(self, statement: str, values: Sequence[object] = ()) -> Sequence[Row]:
        """Run one query; return all of its rows."""

    def insert(self, statement: str, values: Sequence[object]) -> int:
        """Insert one row; return the id that it got."""

    def transaction(self) -> AbstractContextManager[object]:
        """Return a block that is committed at its end, and rolled back by whatever is raised in it."""


class ShopServer(Protocol):
    """A server that runs while it is entered, with an empty database `shop`."""

    type: str
    """Of the connector that captures it."""

    namespace: str
    """What stands between prefix and table in the names of topics."""

    @property
    def url(self) -> str:
        """The database's address, for the connector; known while the server runs."""

    def connect(self) -> AbstractContextManager[ShopConnection]:
        """Return a connection, closed at the end of the block."""

    def __enter__(self) -> object: ...

    def __exit__(self, *raised: object) -> None: ...
