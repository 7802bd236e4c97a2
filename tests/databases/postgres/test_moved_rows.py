"""Rows that change their key while the snapshot is between the old key and the new one.

The update leaves the large value alone, so the stream does not carry it; and the old key's row, which had it, has not
been told yet and never will be. The row has to be read again, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from databases.postgres.capture import Capture, folded, try_to_open
from servers.postgres import Database

MOVE = "UPDATE docs SET id = '0' WHERE id = '195'"

STORIES = {
    "moved": [MOVE],
    "moved, then changed": [MOVE, "UPDATE docs SET n = n + 1 WHERE id = '0'"],
    "moved, then given another value": [MOVE, "UPDATE docs SET body = repeat('new', 2000) WHERE id = '0'"],
    "moved, then deleted": [MOVE, "DELETE FROM docs WHERE id = '0'"],
    "moved, deleted, made anew": [MOVE, "DELETE FROM docs WHERE id = '0'", "INSERT INTO docs VALUES ('0', 9, 'short')"],
    "moved twice": [MOVE, "UPDATE docs SET id = '00' WHERE id = '0'"],
    "moved there and back": [MOVE, "UPDATE docs SET id = '195' WHERE id = '0'"],
    "moved and changed in one transaction": [f"BEGIN; {MOVE}; UPDATE docs SET n = n + 1 WHERE id = '0'; COMMIT"],
    "moved in exchange": [f"BEGIN; {MOVE}; UPDATE docs SET id = '195' WHERE id = '001'; COMMIT"],
    "moved, then emptied": [MOVE, "TRUNCATE docs", "INSERT INTO docs VALUES ('0', 1, 'again')"],
}


def create(database: Database) -> None:
    database.execute(
        'CREATE TABLE docs (id text COLLATE "C" PRIMARY KEY, n int, body text)',
        "ALTER TABLE docs ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO docs SELECT to_char(n, 'FM000'), 0, repeat('x' || n, 2000) FROM generate_series(1, 200) n",
    )


def assert_equal(database: Database, capture: Capture) -> None:
    rows = sorted(database.execute("SELECT id, n, body FROM docs"))
    told = sorted((row["id"], row["n"], row["body"]) for row in folded(capture).rows["public.docs"].values())
    assert told == rows


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_the_large_value_is_told(postgres: Database, story: Sequence[str]) -> None:
    create(postgres)
    with Capture(postgres.url, chunk_rows=10, snapshot_readers=1, batch_changes=5) as capture:
        capture.open().run(lambda: len(capture.changes) >= 20)
        postgres.execute(*story)
        capture.catch_up()
        postgres.execute("UPDATE docs SET n = n + 1 WHERE id < '002'")
        capture.reopen()
        assert_equal(postgres, capture)


def test_a_restart_after_the_row_was_read_again_tells_nothing_twice(postgres: Database) -> None:
    create(postgres)
    with Capture(postgres.url, chunk_rows=10, snapshot_readers=1, batch_changes=5) as capture:
        capture.open().run(lambda: len(capture.changes) >= 20)
        postgres.execute(MOVE, *(f"UPDATE docs SET n = {n} WHERE id = '0'" for n in range(1, 20)))
        for _ in range(200):
            capture.step()
            capture.crash()
            try_to_open(capture)
            if any(change.after and change.after["id"] == "0" for change in capture.changes):
                break
        capture.catch_up()
        assert next(change.op for change in capture.changes if change.after and change.after["id"] == "0") == "r"
        assert_equal(postgres, capture)
