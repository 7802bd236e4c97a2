"""Writes the last results, as they are, into docs/benchmarks.md and README.md; measures nothing.

    python benchmarks/report.py [stream_rate snapshot …]

Takes `results/<question>.json` of the questions named, in that order, or of all that are there. What stands between
the markers of a page is replaced; what it says of other questions stays.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from measurement import RESULTS, ROOT, text

PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"

BEGIN = "<!-- {name}: written by make bench-report -->\n"
END = "<!-- end of {name} -->"

SECTION = re.compile(r"^### (.+?)\n.*?(?=^### |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| ([^:|\n]+): .*\n", re.MULTILINE)
"""What the pages say of one question, which is the group."""

Result = Mapping[str, Any]
"""One file of results, as `measurement` draws it."""


def main() -> None:
    """Write both pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("questions", nargs="*", default=sorted(path.stem for path in RESULTS.glob("*.json")))
    results = list(read(parser.parse_args().questions))
    for page, name, lines in ((PAGE, "results", details(results)), (README, "speed", summary(results))):
        page.write_text(replaced(page.read_text(), name, "\n".join(lines), SECTION if page == PAGE else ROW))


def read(questions: Sequence[str]) -> Iterator[Result]:
    """Give the results of the questions that have any; tell of the others."""
    for question in questions:
        path = RESULTS / f"{question}.json"
        if path.exists():
            yield json.loads(path.read_text())
        else:
            print(f"{question} has not been measured")


def replaced(page: str, name: str, lines: str, part: re.Pattern[str] = SECTION) -> str:
    """Return a page with the block of that name filled anew, but for parts of it that `lines` do not have.

    Raises SystemExit where the page has no such block.
    """
    before, begin, rest = page.partition(BEGIN.format(name=name))
    old, end, after = rest.partition(END.format(name=name))
    if not begin or not end:
        raise SystemExit(f"the page has no block named {name}")
    return f"{before}{begin}\n{merged(old, lines, part)}\n\n{end}{after}"


def merged(old: str, new: str, part: re.Pattern[str]) -> str:
    """Return `new`, its parts among those of `old`: in their place, or after them."""
    found, before = list(part.finditer(new)), parts(old, part)
    if not found:  # what has no goals has no rows
        return old.strip("\n") if before else new
    known = before | parts(new, part)
    return (new[: found[0].start()] + "".join(known.values()) + new[found[-1].end() :]).rstrip("\n")


def parts(block: str, part: re.Pattern[str]) -> dict[str, str]:
    """Return what a block says of each question."""
    found: dict[str, str] = {}
    for each in part.finditer(block):
        gap = "\n\n" if part is SECTION else "\n"
        found[each[1]] = found.get(each[1], "") + each[0].rstrip("\n") + gap
    return found


def summary(results: Sequence[Result]) -> Iterator[str]:
    """Give a table with a line for each goal: over all cases, the lowest and the highest median of ratios."""
    yield "| | goal | found | reached in |"
    yield "| --- | --- | --- | --- |"
    for result in results:
        for what, goals in _by_what(result["goals"]).items():
            values = sorted(float(goal["value"]) for goal in goals)
            unit = goals[0].get("unit", "")
            span = text(values[0]) if len(values) == 1 else f"{text(values[0])} to {text(values[-1])}"
            reached = sum(bool(goal["reached"]) for goal in goals)
            cases = "1 case" if len(goals) == 1 else f"{len(goals)} cases"
            yield f"| {_question(result)}: {what} | {_bound(goals[0])} | {span}{unit} | {reached} of {cases} |"
    yield ""
    yield f"{_circumstances(results)} Medians of the rounds; [docs/benchmarks.md](docs/benchmarks.md) has them all."


def details(results: Sequence[Result]) -> Iterator[str]:
    """Give everything: for each question its goals, case by case, and its figures."""
    yield f"{_circumstances(results)} Goals that are missed are bold."
    for result in results:
        yield f"\n### {_question(result)}\n"
        yield _sentence(result)
        if result["goals"]:
            yield ""
            yield from _goals(result["goals"])
        yield ""
        yield from _table(result["rows"])
        if figures := [f"{_words(name)} {_figure(value)}" for name, value in result["figures"].items()]:
            yield f"\nAlso: {', '.join(figures)}."


def _sentence(result: Result) -> str:
    machine, parameters = result["machine"], dict(result["parameters"])
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in parameters.items())
    load = f"{machine['load_before'][0]} before, {machine['load_after'][0]} after"
    return f"{_about(result)}\n`benchmarks/{result['question']}.py {options}`, {machine['when'][:10]}, load {load}."


def _about(result: Result) -> str:
    return " ".join(str(result["about"]).split())


def _question(result: Result) -> str:
    return _words(str(result["question"]))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _circumstances(results: Sequence[Result]) -> str:
    if not results:
        return "Nothing has been measured yet."
    machine = results[0]["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"Measured on {machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, "
        f"{machine['system']}; {versions}."
    )


def _by_what(goals: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for goal in goals:
        found.setdefault(str(goal["what"]), []).append(goal)
    return found


def _goals(goals: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Give a table with a line for each case and a column for each goal."""
    columns = {f"{what} {_bound(each[0])}": {str(goal["case"]): goal for goal in each}
               for what, each in _by_what(goals).items()}  # fmt: skip
    cases = list(dict.fromkeys(str(goal["case"]) for goal in goals))
    yield f"| | {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    for case in cases:
        yield f"| {case} | {' | '.join(_met(column.get(case)) for column in columns.values())} |"


def _met(goal: Mapping[str, Any] | None) -> str:
    if goal is None:
        return ""
    value = text(float(goal["value"])) + str(goal.get("unit", ""))
    return value if goal["reached"] else f"**{value}**"


def _bound(goal: Mapping[str, Any]) -> str:
    unit = goal.get("unit", "")
    return f"≤ {goal['at_most']:g}{unit}" if "at_most" in goal else f"≥ {goal['at_least']:g}{unit}"


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    numbers = {name for name in names if any(isinstance(row.get(name), int | float) for row in rows)}
    yield f"| {' | '.join(_words(name) for name in names)} |"
    yield f"|{'|'.join(' ---: ' if name in numbers else ' --- ' for name in names)}|"
    for row in rows:
        yield f"| {' | '.join(text(row.get(name)) for name in names)} |"


def _figure(value: Any) -> str:
    return text(value) if isinstance(value, str | int | float) else json.dumps(value)


if __name__ == "__main__":
    main()
