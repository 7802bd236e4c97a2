"""Batches of a log's reader in small pieces: what a task goes on from is what it has not been handed out."""

from __future__ import annotations

from pathlib import Path

from tailrace.event import Record, StoredRecord
from tailrace.log.store.backend import BundledLog
from tailrace.position import Position
from tailrace.runtime.slices import Slices, slices
from tailrace.source import Batch

TOPICS = ("a", "b")


def filled(folder: Path) -> BundledLog:
    log = BundledLog.at(folder)
    writer = log.writer()
    writer.open("filler")
    for commit in range(3):
        for topic in TOPICS:
            writer.write([Record(topic, b"k", bytes([commit]) * 10, 0, ()) for _ in range(20)])
        writer.commit({"at": commit})
    writer.close()
    return log


def read(log: BundledLog, resume_from: Position | None, most: int) -> list[tuple[list[StoredRecord], Position]]:
    source = Slices(log.reader(["*"], task="t"), most)
    source.open(resume_from)
    told: list[tuple[list[StoredRecord], Position]] = []
    while not source.report().caught_up:
        batch = source.poll(0)
        assert batch.position is not None
        told.append((list(batch.items), batch.position))
        source.ack(batch.position)
    assert not source.poll(0).items
    source.close()
    return told


def test_each_piece_can_be_gone_on_from(tmp_path: Path) -> None:
    log = filled(tmp_path / "log")
    pieces = read(log, None, 50)
    every = sorted((record.topic, record.offset) for items, _ in pieces for record in items)
    assert every == [(topic, offset) for topic in TOPICS for offset in range(60)]
    assert max(len(items) for items, _ in pieces) == 5
    assert pieces[-1][1] == {"a-0": 60, "b-0": 60}
    for done in range(0, len(pieces), 3):
        before = {(record.topic, record.offset) for items, _ in pieces[: done + 1] for record in items}
        after = [(record.topic, record.offset) for items, _ in read(log, pieces[done][1], 10**6) for record in items]
        assert sorted([*before, *after]) == every, f"behind piece {done}"


def test_what_is_small_or_has_no_position_is_left_alone() -> None:
    record = StoredRecord("a", 0, 7, 0, b"k", b"v" * 100, ())
    for batch in (Batch([record], {"a-0": 8}, 101), Batch([record] * 3), Batch(), Batch((), {"a-0": 9})):
        assert list(slices(batch, 50)) == [batch]
