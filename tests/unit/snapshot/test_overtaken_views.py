"""Views of several readers are told of in another order than they were taken in; none may miss what was streamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tailrace.position import Json
from tailrace.snapshot import schedule
from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace.snapshot.table import Chunk, TableSnapshot, Verdict


class Numbers:
    """Orders keys that are one number."""

    def ranks(self, keys: Sequence[Key], bounds: Sequence[Key]) -> list[int]:
        return [sum(int(bound[0]) < int(key[0]) for bound in bounds) for key in keys]


@dataclass(frozen=True)
class Seen:
    """A view that sees all transactions up to a number."""

    upto: int

    def sees(self, transaction: int) -> bool:
        return transaction <= self.upto

    def passed(self, place: int) -> bool:
        return place > self.upto

    def to_json(self) -> Json:
        return self.upto


def two_chunks() -> tuple[Snapshot, Chunk, Chunk]:
    """Return a snapshot of two tables of which a chunk each is to be read."""
    snapshot = Snapshot([TableSnapshot("one", ("id",), Numbers()), TableSnapshot("two", ("id",), Numbers())])
    first = snapshot.next_chunk()
    assert first is not None
    first.table.bound(first, None)
    second = snapshot.next_chunk()
    assert second is not None
    second.table.bound(second, None)
    return snapshot, first, second


def drop(snapshot: Snapshot, chunk: Chunk, transaction: int) -> None:
    """Stream a change that the chunk's read is to see."""
    snapshot.begin(transaction, transaction)
    assert chunk.table.judge(("1",), transaction) is Verdict.DROP


def test_a_view_that_another_one_overtook_has_to_see_what_that_one_saw() -> None:
    snapshot, first, second = two_chunks()
    drop(snapshot, first, 7)
    assert snapshot.start(second, Seen(7))  # taken after the first one's, and told of before it
    assert not snapshot.start(first, Seen(6))
    assert snapshot.start(first, Seen(7))


def test_what_is_forgotten_as_visible_has_to_be_seen_by_views_on_their_way() -> None:
    snapshot, first, _ = two_chunks()
    drop(snapshot, first, 7)
    assert snapshot.saw(Seen(9))
    assert not snapshot.start(first, Seen(6))
    assert snapshot.start(first, Seen(8))


def test_too_many_to_count_make_a_view_useless_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "MOST_OWED", 3)
    snapshot, first, _ = two_chunks()
    for transaction in range(1, 6):
        drop(snapshot, first, transaction)
    assert snapshot.saw(Seen(5))
    assert not snapshot.start(first, Seen(5))
    assert snapshot.start(first, Seen(5))
