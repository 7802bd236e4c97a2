"""The index file: a SQLite database with a shelf for each topic, and the sink's position in the same transactions.

    topics      topic, fields      which there are, and the fields whose words are looked up
    positions   task, position     committed with the documents
    moves       topic, key, document    rows on their way to another key

`sqlite3` can read it while a sink writes: it is in WAL mode.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import ConfigError, Fatal, Retriable
from tailrace.position import Position
from tailrace_search.document import Document
from tailrace_search.shelf import Shelf

FILE = "index.sqlite"
_LAYOUT = """
    CREATE TABLE IF NOT EXISTS topics (topic TEXT PRIMARY KEY, fields TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS positions (task TEXT PRIMARY KEY, position TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS moves (topic TEXT, key TEXT, document TEXT NOT NULL, PRIMARY KEY (topic, key));
"""
_FULL_DISK = "free some space; the task goes on by itself"
_NO_RIGHT = "give the user of the worker the right to write to its folder"


class Library:
    """One writer holds it open; any number of readers may look at the same time."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self._connection: sqlite3.Connection | None = None
        self._shelves: dict[str, Shelf] = {}

    def open(self) -> None:
        """Become the writer, by beginning a transaction; raises `Retriable` if there is one already."""
        self.close()
        with told(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.file, isolation_level=None, timeout=1.0)
            _require_fts5(self._connection)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
            self._connection.execute("PRAGMA cache_size = -16384")  # 16 MiB
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _LAYOUT.split(";")):
                self._connection.execute(statement)
            self.commit()
            self._load()

    def position(self, task: str) -> Position | None:
        """Return the position of the last commit."""
        row = self._sql.execute("SELECT position FROM positions WHERE task = ?", (task,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_position(self, task: str, position: Position | None) -> None:
        """Put a position into the transaction."""
        self._sql.execute("DELETE FROM positions WHERE task = ?", (task,))
        if position is not None:
            self._sql.execute("INSERT INTO positions VALUES (?, ?)", (task, json.dumps(dict(position))))

    def commit(self) -> None:
        """Make all of the transaction durable, and begin the next."""
        self._sql.execute("COMMIT")
        self._sql.execute("BEGIN IMMEDIATE")

    def shelf(self, topic: str, fields: Sequence[str]) -> Shelf:
        """Return the documents of `topic`, made or extended for `fields`."""
        shelf = self._shelves.get(topic)
        if shelf is None:
            shelf = self._shelves[topic] = Shelf(self._sql, topic, fields)
            shelf.create()
        elif fields and not set(fields) <= set(shelf.fields):
            shelf.follow(fields)
        else:
            return shelf
        self._sql.execute("REPLACE INTO topics VALUES (?, ?)", (topic, json.dumps(shelf.fields)))
        return shelf

    def known(self, topic: str) -> Shelf | None:
        """Return the documents of `topic`, if there ever were any."""
        return self._shelves.get(topic)

    def keep_move(self, topic: str, key: str, document: Document) -> None:
        """Keep what a row was that gets another key, until its row with the new key comes."""
        self._sql.execute("REPLACE INTO moves VALUES (?, ?, ?)", (topic, key, json.dumps(document)))

    def take_move(self, topic: str, key: str) -> Document | None:
        """Return what was kept, and forget it."""
        row = self._sql.execute("SELECT document FROM moves WHERE topic = ? AND key = ?", (topic, key)).fetchone()
        self._sql.execute("DELETE FROM moves WHERE topic = ? AND key = ?", (topic, key))
        return None if row is None else json.loads(row[0])

    def close(self) -> None:
        """Roll back what is not committed, and let others write."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._shelves = {}

    @contextmanager
    def reading(self) -> Iterator[Mapping[str, Shelf]]:
        """Give the shelves to a reader, as of the last commit; raises `Fatal` where there is no index yet."""
        if not self.file.is_file():
            raise Fatal(f"open search index {self.file}: there is none", hint="the sink makes it when it is first run")
        with told(self.file):
            self._connection = sqlite3.connect(f"{self.file.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
            try:
                self._load()
                yield self._shelves
            finally:
                self.close()

    def _load(self) -> None:
        rows = self._sql.execute("SELECT topic, fields FROM topics").fetchall()
        self._shelves = {topic: Shelf(self._sql, topic, json.loads(fields)) for topic, fields in rows}

    @property
    def _sql(self) -> sqlite3.Connection:
        assert self._connection is not None, "search index used before it is open"
        return self._connection


@contextmanager
def told(file: Path) -> Iterator[None]:
    """Say what SQLite or the file system refuses, and whether waiting helps."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise Retriable(f"write search index {file}: another process is its writer") from error
        if code == sqlite3.SQLITE_FULL:
            raise Retriable(f"write search index {file}: {error}", hint=_FULL_DISK, patient=True) from error
        if code == sqlite3.SQLITE_IOERR:
            raise Retriable(f"write search index {file}: {error}", hint="look at the disk", patient=True) from error
        raise Fatal(f"open search index {file}: {error}", hint=_NO_RIGHT) from error
    except sqlite3.DatabaseError as error:
        hint = "remove its folder: it is filled again from the log"
        raise Fatal(f"use search index {file}: {error}", hint=hint) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Retriable(f"make search index {file}: {error.strerror}", hint=_FULL_DISK, patient=True) from error
        raise Fatal(f"make search index {file}: {error.strerror}", hint=_NO_RIGHT) from error


def _require_fts5(connection: sqlite3.Connection) -> None:
    if ("ENABLE_FTS5",) not in connection.execute("PRAGMA compile_options").fetchall():
        raise ConfigError(
            f"this Python's SQLite {sqlite3.sqlite_version} has no FTS5",
            hint="use a Python whose SQLite has it, or send the topics to OpenSearch",
        )
