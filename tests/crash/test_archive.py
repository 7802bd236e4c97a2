"""From a database through the log into archives, under blows: every change is in one file, once."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from crash.archive import archive_sinks, archived
from crash.campaign import Campaign, Orders
from crash.chaos import Plan
from crash.side import PostgresSide
from crash.workload import Pace
from lake.reading import published
from servers.postgres import require


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(900)
def test_an_archive_has_every_change_once_under_blows(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    plan = Plan(kills=12, restarts=1, cuts=1, freezes=1, stops=1, seconds=15)
    orders = Orders(
        PostgresSide(require(15)), tmp_path, seed, plan, Pace(writers=2, pause=0.03, prefill=0.1),
        bulk_rows=2000, bulks=(0.2,), chunk_rows=100, sinks=archive_sinks(tmp_path),
        look=partial(archived, tmp_path),
    )  # fmt: skip
    outcome = Campaign(orders).run()
    assert outcome.clean, "\n".join([f"seed {seed}", *outcome.lines()])
    assert len(published(tmp_path / "parquet")) > 5
