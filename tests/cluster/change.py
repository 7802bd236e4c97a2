"""What is done to a captured table, known beforehand, and what is wrong with what was told of it.

Rows are numbered, and so are the transactions: a row says with `v` which one has written it last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

STEPS = 3
"""Changes in a transaction, once there are rows enough."""


class Told(NamedTuple):
    """A change of a row; `v` is None where it is deleted."""

    op: str
    id: int
    v: int | None


def changes(turn: int, old: int = 0) -> list[Told]:
    """Return what one transaction does, the turns being numbered from 1, on a table of `old` rows that stay."""
    number = old + turn
    found = [Told("c", number, turn)]
    if number > 1:
        found.append(Told("u", turn * 7919 % old + 1 if old else number - 1, turn))
    if turn > STEPS:
        found.append(Told("d", number - STEPS, None))
    return found


def statement(table: str, change: Told) -> str:
    """Return how a change is made."""
    match change.op:
        case "c":
            return f"INSERT INTO {table} VALUES ({change.id}, {change.v})"
        case "u":
            return f"UPDATE {table} SET v = {change.v} WHERE id = {change.id}"
        case _:
            return f"DELETE FROM {table} WHERE id = {change.id}"


def faults(partitions: Sequence[Sequence[Told]], made: Sequence[Told], old: int) -> str:
    """Say what is wrong with what a topic tells of what was made, "" if nothing is.

    Each change comes at most once, those of a partition in order; a row that a snapshot tells comes once, and never
    behind a later state. Only what a snapshot has seen may be left out: what it told the outcome of, and rows that were
    gone by then.
    """
    place = {each: number for number, each in enumerate(made)}
    read = {each.id: each for told in partitions for each in told if each.op == "r"}
    seen_by_snapshot = max((each.v or 0 for each in read.values()), default=0)
    stream: Counter[Told] = Counter()
    for told in partitions:
        places = [place.get(each, -1) for each in told if each.op != "r"]
        if -1 in places or places != sorted(places):
            return "changes are out of order, or were never made"
        stream.update(each for each in told if each.op != "r")
        states: dict[int, int] = {}
        for each in told:
            if each.v is not None and each.v < states.get(each.id, 0):
                return f"{each} comes behind a later state, {states[each.id]}"
            states[each.id] = each.v if each.v is not None else states.get(each.id, 0)
    if twice := [each for each, count in stream.items() if count > 1]:
        return f"twice {twice[:10]} ({len(twice)})"
    if len(read) != sum(each.op == "r" for told in partitions for each in told):
        return "a snapshot told rows twice"
    turns = {each: each.v if each.v is not None else each.id - old + STEPS for each in made}
    gone = {each.id for each in made if each.v is None and turns[each] <= seen_by_snapshot}

    def seen(change: Told) -> bool:
        outcome = read.get(change.id)
        told = outcome is not None and (outcome.v or 0) >= turns[change]
        return turns[change] <= seen_by_snapshot and (told or change.id in gone)

    lost = [each for each in made if each not in stream and not seen(each)]
    return f"lost {lost[:10]} ({len(lost)} of {len(made)})" if lost else ""
