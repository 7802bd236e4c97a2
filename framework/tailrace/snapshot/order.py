"""The order of keys, which is the database's, and where a key lies among the bounds of chunks.

Integers compare here as they do there. Text does not (collations cannot be imitated), so for all other types a
connector asks its database; `KeyOrder` is the border.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol, TypeAlias

Key: TypeAlias = tuple[str, ...]
"""The columns of a key as the database writes them; composite keys compare as rows do."""


class KeyOrder(Protocol):
    """Compares keys of one table."""

    def ranks(self, keys: Sequence[Key], bounds: Sequence[Key]) -> list[int]:
        """Return, for each key, how many of the ascending `bounds` lie below it; a bound equal to it does not."""
        ...


class IntegerOrder:
    """For keys whose columns are all integers."""

    def ranks(self, keys: Sequence[Key], bounds: Sequence[Key]) -> list[int]:
        """Compare as tuples of integers."""
        below = [tuple(map(int, bound)) for bound in bounds]
        return [bisect_left(below, tuple(map(int, key))) for key in keys]


class OctetOrder:
    """For keys whose text sorts as their values do, octet by octet: UUIDs, booleans."""

    def ranks(self, keys: Sequence[Key], bounds: Sequence[Key]) -> list[int]:
        """Compare as tuples of text."""
        return [bisect_left(bounds, key) for key in keys]
