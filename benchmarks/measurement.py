"""What every measurement is told with: options, the machine, the versions, a table for people and JSON for programs.

results/<question>.json => {        in this folder, or in the one that BENCH_RESULTS names
    "question", "about"     the file's name, and the question in words
    "machine"               when, processor, cores, memory, system, load before and after, versions
    "parameters"            the options that it ran with
    "rows"                  the table: for each case and contender the medians
    "goals"                 [{"what", "case", "value", "rounds", "at_least" | "at_most", "reached", "unit"}]
    "figures"               whatever else is worth knowing
    "runs"                  every single run
}
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(os.environ.get("BENCH_RESULTS") or Path(__file__).parent / "results")

# The benchmarks run the worker just as the crash harness does.
sys.path.insert(0, str(ROOT / "tests"))

Cell = str | int | float | None

PACKAGES = ("tailrace", "psycopg", "fastavro")

LOAD_BEFORE = [round(load, 1) for load in os.getloadavg()]


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio that is to be reached, as it was in each round; or a figure, `unit` being its unit."""

    what: str
    case: str
    rounds: tuple[float, ...]
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def reached(self) -> bool:
        """Whether the median is within the bound."""
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    def told(self) -> dict[str, object]:
        """Return the goal as JSON has it."""
        bound = {"at_least": self.at_least} if self.at_most is None else {"at_most": self.at_most}
        rounds = [round(value, 3) for value in self.rounds]
        value = {"what": self.what, "case": self.case, "value": round(self.value, 3), "rounds": rounds}
        return {**value, **bound, "reached": self.reached, "unit": self.unit}


def parser(question: str, *, rows: int | None = None, rounds: int | None = 5) -> argparse.ArgumentParser:
    """Return a parser with the options that all measurements have, those without a default left out."""
    given = argparse.ArgumentParser(description=question, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rows is not None:
        given.add_argument("--rows", type=int, default=rows, help=f"rows, records or events; {rows:,} if not given")
    if rounds is not None:
        given.add_argument("--rounds", type=int, default=rounds, help=f"how often all run; {rounds} if not given")
    return given


def machine() -> Mapping[str, object]:
    """Return what the numbers depend on."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "load_before": LOAD_BEFORE,
        "load_after": [round(load, 1) for load in os.getloadavg()],
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
    }


def table(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return `rows` as text in columns, named by the keys of the first."""
    if not rows:
        return ""
    names = list(rows[0])
    lines = [names, *[[text(row.get(name)) for name in names] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def publish(
    question: str,
    rows: Sequence[Mapping[str, Cell]],
    *,
    about: str = "",
    goals: Sequence[Goal] = (),
    every_run: Sequence[Mapping[str, Cell]] = (),
    parameters: Mapping[str, object] | None = None,
    **figures: object,
) -> None:
    """Print the table, the goals and the figures, and keep all of it as `results/<question>.json`."""
    told = [goal.told() for goal in goals]
    print(table(rows))
    for goal in sorted(goals, key=lambda goal: goal.what):
        bound = f">= {goal.at_least:g}" if goal.at_most is None else f"<= {goal.at_most:g}"
        reached = "reached" if goal.reached else "MISSED "
        print(f"{reached}  {goal.value:8.2f} {bound:>7}{goal.unit}  {': '.join(filter(None, (goal.what, goal.case)))}")
    if figures:
        print(json.dumps(figures, indent=2, default=str))
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = {
        "question": question, "about": about.strip().split("\n\n")[0], "machine": machine(),
        "parameters": dict(parameters or {}), "rows": list(rows), "goals": told, "figures": figures,
        "runs": list(every_run),
    }  # fmt: skip
    (RESULTS / f"{question}.json").write_text(json.dumps(result, indent=2, default=str) + "\n")
    print(f"kept in {RESULTS.name}/{question}.json")


def text(cell: Cell) -> str:
    """Return a cell as people read it: no more digits than mean something."""
    if not isinstance(cell, float):
        return f"{cell:,}" if isinstance(cell, int) else str(cell or "")
    return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:,.1f}" if abs(cell) >= 100 else f"{cell:,.2f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
