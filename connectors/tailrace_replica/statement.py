"""The statements of destinations that bind values, row by row: SQLite's and MySQL's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tailrace_replica.target import Target


@dataclass(frozen=True, slots=True)
class Statements:
    """How one dialect says it: `quote` a name, the `mark` of a parameter, the words that make an insert an upsert."""

    quote: Callable[[str], str]
    mark: str
    upsert: Callable[[Sequence[str], Sequence[str]], str]
    """Of the key's and the other columns' quoted names."""

    def table(self, target: Target) -> str:
        """Return the table's name."""
        return self.quote(".".join(target.name))

    def insert(self, target: Target) -> str:
        """Return the statement that adds a row."""
        names = [self.quote(column.name) for column in target.columns]
        marks = ", ".join([self.mark] * len(names))
        return f"INSERT INTO {self.table(target)} ({', '.join(names)}) VALUES ({marks})"

    def put(self, target: Target) -> str:
        """Return the statement that adds a row, or writes over the one that has its key."""
        key = [self.quote(name) for name in target.key]
        others = [self.quote(column.name) for column in target.columns if column.name not in target.key]
        return f"{self.insert(target)} {self.upsert(key, others)}"

    def delete(self, target: Target) -> str:
        """Return the statement that takes a row away by its key."""
        return f"DELETE FROM {self.table(target)} WHERE {self._which(target)}"

    def change(self, target: Target, names: Sequence[str]) -> str:
        """Return the statement that sets the named columns of a row."""
        to_set = ", ".join([f"{self.quote(name)} = {self.mark}" for name in names])
        return f"UPDATE {self.table(target)} SET {to_set} WHERE {self._which(target)}"

    def exists(self, target: Target) -> str:
        """Return the query for a row by its key."""
        return f"SELECT 1 FROM {self.table(target)} WHERE {self._which(target)}"

    def _which(self, target: Target) -> str:
        return " AND ".join([f"{self.quote(name)} = {self.mark}" for name in target.key])
