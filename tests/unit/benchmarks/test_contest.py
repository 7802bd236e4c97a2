"""Contenders run by turns, and ratios are formed within a round."""

from __future__ import annotations

import pytest

from contest import Figures, hold
from measurement import Goal


def test_every_other_round_runs_the_other_way_round(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []
    speeds = {"a": iter([1.0, 2.0, 4.0]), "b": iter([2.0, 2.0, 2.0])}

    def run(name: str) -> Figures:
        order.append(name)
        return {"rate": next(speeds[name]), "cost": 3.0, "nothing": 0.0}

    contest = hold("case", {"a": lambda: run("a"), "b": lambda: run("b")}, rounds=3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert contest.ratios("a", "b", "rate") == (0.5, 1.0, 2.0)
    assert contest.ratios("a", "a", "rate", "cost") == pytest.approx((1 / 3, 2 / 3, 4 / 3))
    assert not Goal("cost", "", contest.ratios("a", "b", "cost", "nothing"), at_most=0.5).reached
    assert list(contest.medians()) == [
        {"case": "case", "contender": "a", "rate": 2.0, "cost": 3.0, "nothing": 0.0},
        {"case": "case", "contender": "b", "rate": 2.0, "cost": 3.0, "nothing": 0.0},
    ]
    assert [(row["round"], row["contender"], row["rate"]) for row in contest.every_run()] == [
        (1, "a", 1.0), (1, "b", 2.0), (2, "a", 2.0), (2, "b", 2.0), (3, "a", 4.0), (3, "b", 2.0),
    ]  # fmt: skip
    assert capsys.readouterr().out.count("case round 2") == 2
