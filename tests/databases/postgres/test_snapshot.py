"""The snapshot on a real server: while others write, over kills, for every kind of key."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from databases.postgres.capture import Capture, Fold, folded, try_to_open
from databases.postgres.writers import COLUMNS, TABLES, create, writing
from servers.postgres import Database

KEYS = 400


def icu(database: Database) -> bool:
    return bool(database.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'"))


def assert_equal(database: Database, fold: Fold) -> None:
    """The folded events are the tables: keys and versions."""
    for name in TABLES:
        columns = ", ".join(f"{column}::text" for column in (*COLUMNS[name], "v"))
        table = Counter(database.execute(f"SELECT {columns} FROM {name}"))
        if name == "keyless":
            rows: Counter[tuple[str, ...]] = Counter()
            for row, count in fold.counted.get("public.keyless", Counter()).items():
                n, v = row.removeprefix("{'n': ").removesuffix("}").split(", 'v': ")
                rows[n, v] += count
            assert +rows == table, name
        else:
            assert sorted(row["v"] for row in fold.rows[f"public.{name}"].values()) == sorted(
                int(row[-1]) for row in table
            ), name
            assert len(fold.rows[f"public.{name}"]) == len(table), name


def assert_every_version_once(capture: Capture) -> None:
    """A version is emitted once per table: by its snapshot row or by its change, never both."""
    told = Counter((c.table.id, c.after["v"]) for c in capture.changes if c.after is not None and c.table.key)
    assert [version for version, count in told.items() if count > 1] == []


def test_folded_events_are_the_tables_while_others_write(postgres: Database) -> None:
    create(postgres, KEYS, icu=icu(postgres))
    with Capture(postgres.url, chunk_rows=23, snapshot_readers=3) as capture:
        with writing(postgres, KEYS):
            capture.open().catch_up()
            assert sum(change.op == "r" for change in capture.changes) > 500
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                capture.step()
        capture.reopen()
        assert_equal(postgres, folded(capture))
        assert_every_version_once(capture)
        assert capture.position is not None
        assert capture.position["snapshot"] == {
            "done": True,
            "total": 6,
            "rows": sum(c.op == "r" for c in capture.changes),
        }


@pytest.mark.parametrize("seed", [1, 2])
def test_crashes_at_random_lose_and_double_nothing(postgres: Database, seed: int) -> None:
    create(postgres, KEYS, icu=icu(postgres))
    rng = random.Random(seed)
    crashes = 0
    with Capture(postgres.url, chunk_rows=7, batch_changes=20) as capture, writing(postgres, KEYS, seed=seed):
        while crashes < 12 or not capture.position or not capture.position["snapshot"].get("done"):  # type: ignore[union-attr]
            try_to_open(capture)
            for _ in range(rng.randrange(60)):
                # Commits now and then only, so that a crash takes something with it.
                capture.step(0.005, commit=rng.random() < 0.3)
            capture.crash()
            crashes += 1
            assert crashes < 400, "the snapshot makes no progress"
    with capture:
        try_to_open(capture)
        capture.catch_up()
        assert_equal(postgres, folded(capture))
        assert_every_version_once(capture)
