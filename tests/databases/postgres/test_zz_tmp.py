from __future__ import annotations
import pytest
from databases.postgres.capture import Capture, folded
from servers.postgres import Database

def test_a_row_that_moves_into_what_was_read_keeps_its_large_value(postgres: Database) -> None:
    postgres.execute(
        "CREATE TABLE docs (id int PRIMARY KEY, body text)",
        "ALTER TABLE docs ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO docs SELECT n, repeat('x' || n, 2000) FROM generate_series(1, 200) n",
    )
    with Capture(postgres.url, chunk_rows=10, snapshot_readers=1, batch_changes=5) as capture:
        capture.open()
        capture.run(lambda: len(capture.changes) >= 20)
        postgres.execute("UPDATE docs SET id = 0 WHERE id = 195")
        capture.catch_up()
        rows = dict(postgres.execute("SELECT id, body FROM docs"))
        print([(c.op,c.after) for c in capture.changes if c.after and c.after['id']==0])
        assert {k[0]: r["body"] for k, r in folded(capture).rows["public.docs"].items()} == rows
