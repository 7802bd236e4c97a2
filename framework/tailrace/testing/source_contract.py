"""What every source must do.

Give each check of `SOURCE_CHECKS` a stage on which your source can be put:

@pytest.mark.parametrize("check", SOURCE_CHECKS)
def test_my_source(check, my_stage): check(my_stage)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from typing import Protocol, TypeVar

from tailrace.errors import EndOfSource
from tailrace.position import Position
from tailrace.source import Batch, Reporting, Source

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds to wait for what must come."""


class SourceStage(Protocol[T]):
    """The other side of a source under test: a database where changes can be made to happen."""

    def source(self) -> Source[T]:
        """Return a new source, as after a restart of its process; not opened."""
        ...

    def happen(self, count: int) -> list[Hashable]:
        """Make `count` changes happen, each its own transaction; return what tells each of them, in order."""
        ...

    def identity(self, item: T) -> Hashable | None:
        """Return what tells an item, as `happen` does; None for one that `happen` did not cause (a heartbeat)."""
        ...


def hands_out_everything_in_order(stage: SourceStage[T]) -> None:
    """What happened before `open`, and what happens after it."""
    expected = stage.happen(5)
    with closing(stage.source()) as source:
        source.open(None)
        seen = _collect(stage, source, len(expected))
        expected += stage.happen(3)
        seen += _collect(stage, source, 3)
    assert seen == expected


def resumes_after_every_position_it_gave(stage: SourceStage[T]) -> None:
    """A new source opened at a batch's position hands out exactly what follows it, what happened since included."""
    expected = stage.happen(6)
    marks: list[tuple[int, Position]] = []
    with closing(stage.source()) as source:
        source.open(None)
        seen: list[Hashable] = []
        while len(seen) < len(expected):
            batch = _next(source)
            seen += _identities(stage, batch)
            source.ack(None)  # nothing is durable: all of it must still be there after a restart
            if batch.position is not None:
                marks.append((len(seen), batch.position))
    assert seen == expected
    assert marks, "no batch had a position"
    expected += stage.happen(2)
    for count, position in marks:
        with closing(stage.source()) as source:
            source.open(position)
            assert _collect(stage, source, len(expected) - count) == expected[count:]


def goes_on_after_an_ack(stage: SourceStage[T]) -> None:
    """Acknowledged positions, repeated and unchanged ones too, lose nothing that follows."""
    expected = stage.happen(4)
    durable: Position | None = None
    with closing(stage.source()) as source:
        source.open(None)
        seen: list[Hashable] = []
        while len(seen) < len(expected):
            batch = _next(source)
            seen += _identities(stage, batch)
            durable = batch.position if batch.items else batch.position or durable
            if durable is not None:
                source.ack(durable)
                source.ack(durable)
    assert durable is not None, "the last batch had no position"
    more = stage.happen(3)
    with closing(stage.source()) as source:
        source.open(durable)
        assert _collect(stage, source, 3) == more


def waits_no_longer_than_told(stage: SourceStage[T]) -> None:
    """`poll(0)` returns at once, `poll(t)` about `t` later at the latest, when there is nothing."""
    expected = stage.happen(1)
    with closing(stage.source()) as source:
        source.open(None)
        _collect(stage, source, len(expected))
        source.ack(None)
        for timeout, limit in ((0.0, 0.5), (0.2, 1.0)):
            started = time.monotonic()
            try:
                batch = source.poll(timeout)
            except EndOfSource:
                return
            source.ack(None)
            assert time.monotonic() - started < limit
            assert not _identities(stage, batch), "the same change twice"


def closes_at_any_time(stage: SourceStage[T]) -> None:
    """`close` before `open`, after it, and twice; no thread stays behind."""
    before = threading.active_count()
    stage.source().close()
    source = stage.source()
    source.open(None)
    source.close()
    source.close()
    deadline = time.monotonic() + PATIENCE
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before, "a thread stayed behind"


def tells_when_it_has_caught_up(stage: SourceStage[T]) -> None:
    """A source that reports has caught up once all that there was at `open` is handed out, and not before."""
    expected = stage.happen(3)
    with closing(stage.source()) as source:
        source.open(None)
        if not isinstance(source, Reporting):
            return
        seen: list[Hashable] = []
        deadline = time.monotonic() + PATIENCE
        while not source.report().caught_up:
            assert time.monotonic() < deadline, "it never says that it has caught up"
            batch = source.poll(0.1)
            seen += _identities(stage, batch)
            source.ack(None)
        assert seen == expected


SOURCE_CHECKS: Sequence[Callable[[SourceStage[T]], None]] = (
    hands_out_everything_in_order,
    resumes_after_every_position_it_gave,
    goes_on_after_an_ack,
    waits_no_longer_than_told,
    closes_at_any_time,
    tells_when_it_has_caught_up,
)


def _collect(stage: SourceStage[T], source: Source[T], count: int) -> list[Hashable]:
    seen: list[Hashable] = []
    while len(seen) < count:
        seen += _identities(stage, _next(source))
        source.ack(None)
    return seen


def _next(source: Source[T]) -> Batch[T]:
    """Poll until there is something, be it a position only."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        batch = source.poll(0.1)
        if batch.items or batch.position is not None:
            return batch
        source.ack(None)
    raise AssertionError(f"nothing came for {PATIENCE} s")


def _identities(stage: SourceStage[T], batch: Batch[T]) -> list[Hashable]:
    return [told for item in batch.items if (told := stage.identity(item)) is not None]
