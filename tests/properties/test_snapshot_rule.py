"""The snapshot's rule, proved on random schedules, and the proof proved on broken rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties.snapshot_world import Broken, run
from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import DROP, EMIT, WAIT, Chunk, TableSnapshot, Verdict
from tailrace.snapshot.view import Place, Transaction, View

SEEDS = st.integers(0, 2**32)


@settings(max_examples=400, deadline=None)
@given(SEEDS)
def test_folded_events_are_the_table_and_no_version_comes_twice(seed: int) -> None:
    run(seed)


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_a_table_without_a_key_is_exact_too(seed: int) -> None:
    run(seed, keyless=True)


@settings(max_examples=400, deadline=None)
@given(SEEDS)
def test_rows_that_move_into_what_was_read_are_exact_too(seed: int) -> None:
    run(seed, moving=True, steps=400)


class EmitAlways(TableSnapshot):
    """Drops the visibility check: a change inside an emitted chunk is always told."""

    def judge(self, key: Key | None, transaction: Transaction) -> Verdict:
        inside = any(part.upper is None or (key and int(key[0]) <= int(part.upper[0])) for part in self.emitted)
        return EMIT if inside else super().judge(key, transaction)


class DropInside(TableSnapshot):
    """Drops the visibility check the other way: the row is taken to hold every change."""

    def judge(self, key: Key | None, transaction: Transaction) -> Verdict:
        inside = any(part.upper is None or (key and int(key[0]) <= int(part.upper[0])) for part in self.emitted)
        return DROP if inside else super().judge(key, transaction)


class NeverWait(TableSnapshot):
    """Emits a change before the rows of the chunk that it lies in."""

    def judge(self, key: Key | None, transaction: Transaction) -> Verdict:
        verdict = super().judge(key, transaction)
        return EMIT if verdict is WAIT else verdict


class IgnoreTruncate(TableSnapshot):
    """Goes on with the snapshot as if the table had not been emptied."""

    def truncate(self, transaction: Transaction) -> bool:
        return True


class DropTruncate(TableSnapshot):
    """Does not tell that the table was emptied."""

    def truncate(self, transaction: Transaction) -> bool:
        return False


class PassAtOnce(TableSnapshot):
    """Forgets a view as soon as its rows are out."""

    def emit(self, chunk: Any, upto: Key | None, rows: int) -> None:
        super().emit(chunk, upto, rows)
        while self.emitted:
            self.floor = self.emitted.pop(0).upper
        self._changed()


class ForgetRereads(TableSnapshot):
    """Tells changes of a row that was read again as if it had not been."""

    def emit(self, chunk: Any, upto: Key | None, rows: int) -> None:
        super().emit(chunk, upto, rows)
        if chunk.only is not None:
            self.alone[chunk.only] = self.alone[chunk.only].__class__(frozenset(), 0)  # type: ignore[call-arg]


class PassRereads(TableSnapshot):
    """Forgets the view of a row that was read again before the stream has passed it."""

    def passed(self, place: Place) -> bool:
        self.alone.clear()
        return super().passed(place)


class TakeAnyView(Snapshot):
    """Reads chunks with views that do not see what has been streamed."""

    def saw(self, view: View) -> bool:
        super().saw(view)
        return True


class ForgetOvertaken(Snapshot):
    """Lets a view pass that misses what a view taken later was told to see before it."""

    def start(self, chunk: Chunk, view: View) -> bool:
        chunk.owed = set()
        return super().start(chunk, view)


def forget_unseen(state: dict[str, Any]) -> dict[str, Any]:
    """Restart without the transactions that no view has seen yet."""
    return {**state, "unseen": []}


def forget_rereads(state: dict[str, Any]) -> dict[str, Any]:
    """Restart without the views of rows that were read again."""
    tables = {name: {**table, "alone": []} for name, table in state.get("tables", {}).items()}
    return {**state, "tables": tables}


MUTANTS: dict[str, dict[str, Any]] = {
    "emit always": {"table": EmitAlways},
    "drop inside": {"table": DropInside},
    "never wait": {"table": NeverWait},
    "ignore truncate": {"table": IgnoreTruncate},
    "drop truncate": {"table": DropTruncate},
    "pass at once": {"table": PassAtOnce},
    "forget rereads": {"table": ForgetRereads, "moving": True},
    "pass rereads": {"table": PassRereads, "moving": True},
    "restart without rereads": {"restored": forget_rereads, "moving": True},
    "take any view": {"snapshot": TakeAnyView},
    "forget overtaken": {"snapshot": ForgetOvertaken},
    "forget unseen": {"restored": forget_unseen},
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_broken_rule_is_found(mutant: dict[str, Any]) -> None:
    for seed in range(3000):
        try:
            run(seed, **mutant)
        except Broken:
            return
    pytest.fail("the mutant survived")
