"""What people type, as FTS5 takes it.

pear                    rows with the word
red pear*               rows with both, the second as a beginning
"red pear" OR plum      FTS5's own language: phrases, OR, NOT, NEAR(a b), name: pear for one field
o'neill@example.com     no such language: the words of it, next to each other
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from tailrace_search.document import Document
from tailrace_search.shelf import Shelf


def matches(shelf: Shelf, query: str, limit: int) -> list[tuple[str, float, Document]]:
    """Return id, score and document of the best matches; a query that FTS5 cannot read is taken as plain words."""
    if not query.strip():
        return []
    try:
        return list(shelf.search(query, limit))
    except sqlite3.OperationalError:
        return list(shelf.search(" ".join(_phrases(query)), limit))


def _phrases(query: str) -> Iterator[str]:
    """Yield each word as a phrase, in which nothing means anything; a star at its end stays one."""
    for word in query.split():
        text = word.rstrip("*").replace('"', '""')
        yield f'"{text}"*' if word.endswith("*") else f'"{text}"'
