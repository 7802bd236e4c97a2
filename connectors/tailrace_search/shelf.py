"""One topic's documents in the index file, and the words in them.

    "shop.public.orders"          id, document      the row as JSON, by its key
    "shop.public.orders words"    one column per field that has words; FTS5, contentless

A contentless index keeps no copy of the text. To take a row out it has to be told the very words that it was given, so
they are always derived from the stored document, by the same list of fields; when the list changes, the index is made
anew in the same transaction. Source: SQLite's manual, "FTS5", sections 4.4.3 and 6.3.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from tailrace_search.document import Document

_RESERVED = {"rank", "rowid"}
"""FTS5 has columns of these names itself."""


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


class Shelf:
    """The documents of one topic. All calls belong to the transaction that the connection is in."""

    def __init__(self, connection: sqlite3.Connection, topic: str, fields: Sequence[str]) -> None:
        self._connection = connection
        self._documents = quoted(topic)
        self._words = quoted(f"{topic} words")
        self.fields: list[str] = []
        self._insert = self._delete = ""
        self._use(fields)

    def create(self) -> None:
        """Make the tables."""
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._documents} (number INTEGER PRIMARY KEY, id TEXT UNIQUE, document TEXT)"
        )
        self._create_words()

    def follow(self, fields: Sequence[str]) -> None:
        """Take up fields that the index has no column for yet; those that are gone keep theirs."""
        self._connection.execute(f"DROP TABLE {self._words}")
        self._use([*self.fields, *(name for name in fields if name not in self.fields)])
        self._create_words()
        rows = self._connection.execute(f"SELECT number, document FROM {self._documents}")
        self._connection.executemany(
            self._insert, ((number, *self._texts(json.loads(document))) for number, document in rows)
        )

    def get(self, identity: str) -> Document | None:
        """Return a document."""
        found = self._find(identity)
        return None if found is None else found[1]

    def put(self, identity: str, document: Document) -> None:
        """Write a document in the place of the one with the same id."""
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        found = self._find(identity)
        if found is None:
            number = self._connection.execute(
                f"INSERT INTO {self._documents} (id, document) VALUES (?, ?)",
                (identity, text),
            ).lastrowid
        else:
            number, before = found
            self._connection.execute(self._delete, (number, *self._texts(before)))
            self._connection.execute(
                f"UPDATE {self._documents} SET document = ? WHERE number = ?",
                (text, number),
            )
        self._connection.execute(self._insert, (number, *self._texts(document)))

    def remove(self, identity: str) -> None:
        """Take a document out, if it is there."""
        if (found := self._find(identity)) is not None:
            number, before = found
            self._connection.execute(self._delete, (number, *self._texts(before)))
            self._connection.execute(f"DELETE FROM {self._documents} WHERE number = ?", (number,))

    def clear(self) -> None:
        """Take all documents out."""
        self._connection.execute(f"DROP TABLE {self._words}")
        self._connection.execute(f"DELETE FROM {self._documents}")
        self._create_words()

    def documents(self) -> Iterator[Document]:
        """Yield all documents, in the order in which their ids came."""
        for (document,) in self._connection.execute(f"SELECT document FROM {self._documents} ORDER BY number"):
            yield json.loads(document)

    def search(self, query: str, limit: int) -> Iterator[tuple[str, float, Document]]:
        """Yield id, score and document of the best matches, best first; `query` is FTS5's language."""
        rows = self._connection.execute(
            f"SELECT d.id, w.rank, d.document FROM {self._words} w JOIN {self._documents} d ON d.number = w.rowid "
            f"WHERE w.{self._words} MATCH ? ORDER BY w.rank LIMIT ?",
            (query, limit),
        )
        for identity, rank, document in rows:
            yield identity, -rank, json.loads(document)

    def _use(self, fields: Sequence[str]) -> None:
        self.fields = list(fields)
        columns = _columns(self.fields)
        places = ", ".join("?" * (len(columns) + 1))
        names = ", ".join(map(quoted, columns))
        self._insert = f"INSERT INTO {self._words} (rowid, {names}) VALUES ({places})"
        self._delete = f"INSERT INTO {self._words} ({self._words}, rowid, {names}) VALUES ('delete', {places})"

    def _create_words(self) -> None:
        names = ", ".join(map(quoted, _columns(self.fields)))
        self._connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {self._words} "
            f"USING fts5({names}, content='', tokenize='unicode61 remove_diacritics 2')"
        )

    def _find(self, identity: str) -> tuple[int, Document] | None:
        query = f"SELECT number, document FROM {self._documents} WHERE id = ?"
        row = self._connection.execute(query, (identity,)).fetchone()
        return None if row is None else (row[0], json.loads(row[1]))

    def _texts(self, document: Mapping[str, object]) -> list[str]:
        return [_words_of(document.get(name)) for name in self.fields]


def _columns(fields: Sequence[str]) -> list[str]:
    """Return a column for each field: SQLite's names do not tell A from a, and some are FTS5's own."""
    taken = set(_RESERVED)
    columns = []
    for field in fields:
        column = field
        while column.lower() in taken:
            column += "_"
        taken.add(column.lower())
        columns.append(column)
    return columns or ["_"]


def _words_of(value: object) -> str:
    match value:
        case None | bool():
            return ""
        case str():
            return value
        case Mapping():
            return " ".join(filter(None, map(_words_of, value.values())))
        case list():
            return " ".join(filter(None, map(_words_of, value)))
        case _:
            return str(value)
