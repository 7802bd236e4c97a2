"""What every measurement is told with: the machine, the versions, a table for people and JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"

# The benchmarks run the worker just as the crash harness does.
sys.path.insert(0, str(ROOT / "tests"))

Cell = str | int | float | None

PACKAGES = ("tailrace", "psycopg", "fastavro")


def machine() -> dict[str, object]:
    """Return what the numbers depend on."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def table(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return `rows` as text in columns, named by the keys of the first."""
    if not rows:
        return ""
    names = list(rows[0])
    lines = [names, *[[_text(row.get(name)) for name in names] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def publish(question: str, rows: Sequence[Mapping[str, Cell]], **figures: object) -> None:
    """Print the table and the figures, and keep all of it as `results/<question>.json`."""
    print(table(rows))
    print(json.dumps(figures, indent=2, default=str))
    RESULTS.mkdir(exist_ok=True)
    told = {"question": question, "machine": machine(), "figures": figures, "rows": list(rows)}
    (RESULTS / f"{question}.json").write_text(json.dumps(told, indent=2, default=str) + "\n")
    print(f"kept in benchmarks/results/{question}.json")


def _text(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:,.2f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell or "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
