"""What was measured goes into the pages as it is; every benchmark that `make bench` runs is explained there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from measurement import ROOT, Goal
from report import ROW, SECTION, details, merged, replaced, summary

REACHED = Goal("rows a second against x", "inserts", (0.8, 1.2, 1.1), at_least=0.95)
MISSED = Goal("rows a second against x", "deletes", (0.7, 0.9, 0.8), at_least=0.95)
MEMORY = Goal("peak memory", "inserts", (120.0,), at_most=150, unit=" MB")


def result(*goals: Goal, **figures: object) -> dict[str, Any]:
    machine = {
        "when": "2026-01-02T03:04:05+00:00", "processor": "a processor", "cores": 2, "memory_gib": 8.0,
        "system": "Linux 6", "load_before": [0.1, 0.1, 0.1], "load_after": [1.5, 0.4, 0.2],
        "versions": {"python": "3.11.7"},
    }  # fmt: skip
    rows = [{"case": "inserts", "contender": "x", "rows_per_second": 123456.7}]
    return {
        "question": "stream_rate", "about": "How many?", "machine": machine, "parameters": {"rows": 10}, "rows": rows,
        "goals": [goal.told() for goal in goals], "figures": figures, "runs": [],
    }  # fmt: skip


def test_a_goal_is_the_median_of_its_rounds() -> None:
    assert REACHED.told() == {
        "what": "rows a second against x", "case": "inserts", "value": 1.1, "rounds": [0.8, 1.2, 1.1],
        "at_least": 0.95, "reached": True, "unit": "",
    }  # fmt: skip
    assert not MISSED.reached
    assert not Goal("peak memory", "", (151.0,), at_most=150).reached


def test_the_page_has_a_line_for_each_case_and_marks_what_is_missed() -> None:
    page = "\n".join(details([result(REACHED, MISSED, MEMORY, debezium="3.6")]))
    assert "| | rows a second against x ≥ 0.95 | peak memory ≤ 150 MB |" in page
    assert "| inserts | 1.10 | 120.0 MB |" in page
    assert "| deletes | **0.80** |  |" in page
    assert "| inserts | x | 123,457 |" in page
    assert "2 cores of a processor, 8.0 GiB" in page
    assert "load 0.1 before, 1.5 after" in page
    assert "Also: debezium 3.6." in page


def test_the_readme_has_a_line_for_each_goal() -> None:
    lines = list(summary([result(REACHED, MISSED, MEMORY)]))
    assert "| stream rate: rows a second against x | ≥ 0.95 | 0.80 to 1.10 | 1 of 2 cases |" in lines
    assert "| stream rate: peak memory | ≤ 150 MB | 120.0 MB | 1 of 1 case |" in lines


def test_only_the_block_is_replaced() -> None:
    page = "before\n<!-- speed: written by make bench-report -->\nold\n<!-- end of speed -->\nafter\n"
    once = replaced(page, "speed", "new")
    assert once.startswith("before\n<!-- speed")
    assert once.endswith("<!-- end of speed -->\nafter\n")
    assert "old" not in once
    assert replaced(once, "speed", "new") == once
    with pytest.raises(SystemExit, match="no block named results"):
        replaced(page, "results", "new")


def test_what_was_not_measured_anew_stays_in_its_place() -> None:
    one, two, three = ({**result(REACHED), "question": name} for name in ("one", "two", "three"))
    for told, part in ((details, SECTION), (summary, ROW)):
        old, new = "\n".join(told([one, two])), "\n".join(told([{**three, "about": "New"}, {**one, "about": "New"}]))
        page = merged(old, new, part)
        names = [found[1] for found in part.finditer(page + "\n")]
        assert names == ["one", "two", "three"]
        assert merged(page, new, part) == page
        assert page.count("Measured on") == 1
        assert merged(page, "nothing with a goal", part) == page
    assert merged("### one\nold\n\n### two\nold\n", "head\n\n### one\nnew", SECTION) == (
        "head\n\n### one\nnew\n\n### two\nold"
    )


@pytest.mark.parametrize(("page", "name"), [("docs/benchmarks.md", "results"), ("README.md", "speed")])
def test_the_pages_have_their_blocks(page: str, name: str) -> None:
    assert "\nfigures\n" in replaced((ROOT / page).read_text(encoding="utf-8"), name, "### new\n\nfigures")


def benchmarks() -> list[str]:
    found = re.search(r"^BENCHMARKS \?= (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found.group(1).split()


@pytest.mark.parametrize("name", benchmarks())
def test_a_benchmark_of_make_bench_is_there_and_on_the_page(name: str) -> None:
    assert f'"{name}"' in (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8"), "publishes under its name"
    assert f"benchmarks/{name}.py" in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
