"""Which tables are captured: globs of database.table."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

SYSTEM = frozenset({"mysql", "information_schema", "performance_schema", "sys"})


class Selection:
    """Answers from the configuration alone, so that a name is captured or not at any time."""

    def __init__(self, tables: Sequence[str], exclude: Sequence[str]) -> None:
        self._tables = tuple(tables)
        self._exclude = tuple(exclude)
        self._known: dict[tuple[str, str], bool] = {}

    @property
    def scope(self) -> list[list[str]]:
        """The globs, as positions keep them."""
        return [list(self._tables), list(self._exclude)]

    def captures(self, database: str, name: str) -> bool:
        """Whether a table is captured."""
        key = (database, name)
        known = self._known.get(key)
        if known is None:
            table = f"{database}.{name}"
            known = database not in SYSTEM and self._matches(table, self._tables) and not self._matches(
                table, self._exclude
            )  # fmt: skip
            self._known[key] = known
        return known

    @staticmethod
    def _matches(table: str, globs: Sequence[str]) -> bool:
        return any(fnmatchcase(table, glob) for glob in globs)
