"""The snapshot of a database in which nothing happens: only keep-alives tell how far the stream is."""

from __future__ import annotations

import pytest

from databases.postgres.capture import Capture
from servers.postgres import Database


@pytest.mark.parametrize("heartbeat", [0, 0.2])
def test_a_snapshot_of_many_chunks_does_not_wait_for_writers(postgres: Database, heartbeat: float) -> None:
    postgres.execute(
        "CREATE TABLE goods (id int PRIMARY KEY, name text)",
        "INSERT INTO goods SELECT n, 'name ' || n FROM generate_series(1, 900) n",
    )
    with Capture(postgres.url, chunk_rows=5, heartbeat_interval=heartbeat) as capture:
        capture.open().run(lambda: len(capture.changes) > 300)
        # Many times more chunks than views that may be kept; and once more with the views of a position.
        capture.crash()
        capture.open().catch_up(timeout=60)
        assert [change.after["id"] for change in capture.changes if change.after] == list(range(1, 901))
        capture.run(lambda: bool(capture.position and capture.position["snapshot"]["done"]))  # type: ignore[index, call-overload]
