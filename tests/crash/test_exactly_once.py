"""Exactly once under blows, short: the harness for about a minute, on a seed that is drawn and printed.

The long run is a command: see `harness.py`.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crash.campaign import Campaign, Orders
from crash.chaos import Plan
from crash.mysql_side import MysqlSide
from crash.side import PostgresSide
from crash.workload import Pace
from servers import kafka, mysql
from servers.mysql_programs import Flavour
from servers.postgres import require


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", [15, 18], ids=["pg15", "pg18"])
def test_nothing_is_lost_or_told_twice_under_blows(version: int, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    plan = Plan(kills=6, restarts=3, cuts=4, freezes=2, stops=1, seconds=20)
    orders = Orders(
        PostgresSide(require(version)), tmp_path, seed, plan, Pace(writers=3, pause=0.03, prefill=0.2),
        bulk_rows=4000, bulks=(0.2,), chunk_rows=100,
    )  # fmt: skip
    outcome = Campaign(orders).run()
    assert outcome.clean, "\n".join([f"seed {seed}", *outcome.lines()])
    dealt = outcome.figures["dealt"]
    assert isinstance(dealt, dict)
    assert dealt["kill_task"] > 0 < dealt["restart_immediate"]
    assert outcome.verdict.events["r"] > 0 < outcome.verdict.events["d"]


@pytest.mark.slow
@pytest.mark.mysql
@pytest.mark.timeout(900)
@pytest.mark.parametrize("flavour", mysql.FLAVOURS)
def test_nothing_of_a_binlog_is_lost_or_told_twice_under_blows(flavour: Flavour, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    plan = Plan(kills=6, restarts=3, cuts=4, freezes=2, stops=1, rotations=6, seconds=20)
    orders = Orders(
        MysqlSide(mysql.require(flavour)), tmp_path, seed, plan, Pace(writers=3, pause=0.03, prefill=0.2),
        bulk_rows=4000, bulks=(0.2,), chunk_rows=100,
    )  # fmt: skip
    outcome = Campaign(orders).run()
    assert outcome.clean, "\n".join([f"seed {seed}", *outcome.lines()])
    dealt = outcome.figures["dealt"]
    assert isinstance(dealt, dict)
    assert dealt["kill_task"] > 0 < dealt["restart_immediate"]
    assert dealt["rotate"] == dealt["purge"] == 3
    assert outcome.verdict.events["r"] > 0 < outcome.verdict.events["d"]


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.kafka
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_told_twice_in_kafka_under_blows(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    plan = Plan(kills=5, restarts=1, cuts=1, freezes=2, stops=1, broker_blows=5, seconds=25)
    orders = Orders(
        PostgresSide(require(18)), tmp_path, seed, plan, Pace(writers=3, pause=0.05, prefill=0.2),
        bulk_rows=4000, bulks=(0.2,), chunk_rows=100, kafka=kafka.require(),
    )  # fmt: skip
    outcome = Campaign(orders).run()
    assert outcome.clean, "\n".join([f"seed {seed}", *outcome.lines()])
    dealt = outcome.figures["dealt"]
    assert isinstance(dealt, dict)
    assert dealt["kill_task"] > 0 < dealt["kill_broker"]
    assert outcome.verdict.events["r"] > 0 < outcome.verdict.events["d"]
