"""Contenders that do the same work by turns, round after round, and the ratios between them, each of one round.

A machine is quicker in one minute than in the next, so a ratio is only ever formed of two runs of the same round, and
what counts is the median of the rounds' ratios. Every other round runs the contenders in the opposite order.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from measurement import Cell, text

Figures = Mapping[str, float]
"""What one run gave, each figure with its unit in its name: `rows_per_second`, `client_us_per_row`, `peak_mb`."""

Run = Callable[[], Figures]


@dataclass(frozen=True, slots=True)
class Contest:
    """What came out of one case: for every contender its figures, one for each round."""

    case: str
    rounds: Mapping[str, list[Figures]]

    def values(self, contender: str, figure: str) -> tuple[float, ...]:
        """Return a figure of a contender, one value for each round."""
        return tuple(figures[figure] for figures in self.rounds[contender])

    def ratios(self, contender: str, against: str, figure: str, of_other: str | None = None) -> tuple[float, ...]:
        """Return a contender's figure divided by another's (`of_other` if that has another name), for each round.

        Not a number where the other's is nothing, as the CPU of a run that was too short is: no goal is reached by it.
        """
        pairs = zip(self.values(contender, figure), self.values(against, of_other or figure), strict=True)
        return tuple(ours / theirs if theirs else math.nan for ours, theirs in pairs)

    def medians(self) -> Iterator[dict[str, Cell]]:
        """Give a row for each contender: the median of every figure."""
        for contender, runs in self.rounds.items():
            row: dict[str, Cell] = {"case": self.case, "contender": contender}
            yield row | {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}

    def every_run(self) -> Iterator[dict[str, Cell]]:
        """Give a row for each run, in the order of the rounds."""
        for number in range(min(len(runs) for runs in self.rounds.values())):
            for contender, runs in self.rounds.items():
                yield {"case": self.case, "round": number + 1, "contender": contender, **runs[number]}


def hold(case: str, contenders: Mapping[str, Run], *, rounds: int) -> Contest:
    """Let the contenders run by turns; tell each run on stdout as soon as it is over."""
    found: dict[str, list[Figures]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders.items())
        for name, run in order if number % 2 == 0 else reversed(order):
            figures = run()
            found[name].append(figures)
            told = "  ".join(f"{figure} {text(value)}" for figure, value in figures.items())
            print(f"{time.strftime('%H:%M:%S')} {case} round {number + 1} {name}: {told}", flush=True)
    return Contest(case, found)
