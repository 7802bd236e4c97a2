"""An archive whose writer dies: at every call of its store, before or after its effect: nothing lost or twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from lake.reading import offsets, published
from lake.records import NOON, Topic
from tailrace.codec.delivery import Delivery
from tailrace.position import Position
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.disk import DiskStore
from tailrace_archive.ledger import MANIFEST_EVERY
from tailrace_archive.manifest import read_manifest
from tailrace_archive.sink import ArchiveSink

R = TypeVar("R")

HOUR = 3_600_000
COUNT = 12


class Killed(Exception):
    """The process died here."""


class MortalStore:
    """A store whose process dies at one of its calls: before the call, or after it."""

    def __init__(self, store: DiskStore, dies_at: int, *, after: bool) -> None:
        self._store, self._dies_at, self._after = store, dies_at, after
        self.calls = 0

    def _call(self, effect: Callable[[], R]) -> R:
        self.calls += 1
        if self.calls == self._dies_at and not self._after:
            raise Killed
        result = effect()
        if self.calls == self._dies_at:
            raise Killed
        return result

    def open(self, task: str) -> Path:
        return self._store.open(task)

    def stage(self, file: Path, path: str) -> None:
        self._call(lambda: self._store.stage(file, path))

    def move(self, path: str, to: str) -> bool:
        return self._call(lambda: self._store.move(path, to))

    def create(self, path: str, data: bytes) -> None:
        self._call(lambda: self._store.create(path, data))

    def read(self, path: str) -> bytes:
        return self._store.read(path)

    def names(self, folder: str) -> Sequence[str]:
        return self._store.names(folder)

    def remove(self, path: str) -> None:
        self._call(lambda: self._store.remove(path))

    def close(self) -> None:
        self._store.close()


def mortal(sink: ArchiveSink, dies_at: int, *, after: bool) -> MortalStore:
    store = MortalStore(sink._store, dies_at, after=after)  # type: ignore[arg-type]
    sink._store = sink._ledger._store = store
    return store


class Life:
    """One archive, and the topic that it is fed from: records of two hours in turn, commits after every third."""

    def __init__(self, folder: Path, format_: str = "parquet") -> None:
        self.topic = Topic(folder / "registry")
        self.path = folder / "archive"
        self.config = ArchiveConfig.model_validate(
            {"type": "archive", "topics": ["*"], "path": str(self.path), "format": format_, "roll_rows": 2}
        )

    def sink(self) -> ArchiveSink:
        return ArchiveSink("lake", self.config)

    def run(self, sink: ArchiveSink, *, until: int = COUNT) -> None:
        with closing(sink):
            at = next_offset(sink.open("lake"))
            for number in range(at, until):
                sink.write([self.record(number)])
                if number % 3 == 2:
                    sink.commit({"shop.public.goods-0": number + 1})
            sink.commit({"shop.public.goods-0": until})

    def record(self, number: int) -> Delivery:
        self.topic.next = number
        return self.topic.change("c", {"id": number, "name": None}, at=NOON + number % 2 * HOUR)


def next_offset(position: Position | None) -> int:
    found = (position or {}).get("shop.public.goods-0", 0)
    assert isinstance(found, int)
    return found


def calls_of_a_life(folder: Path) -> int:
    life = Life(folder)
    sink = life.sink()
    store = mortal(sink, 0, after=False)
    life.run(sink)
    return store.calls


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_nothing_is_lost_or_twice_wherever_the_writer_dies(after: bool, tmp_path: Path) -> None:
    total = calls_of_a_life(tmp_path / "whole")
    assert total > 20
    for dies_at in range(1, total + 1):
        life = Life(tmp_path / str(dies_at))
        sink = life.sink()
        mortal(sink, dies_at, after=after)
        with pytest.raises(Killed):
            life.run(sink)
        seen = offsets(life.path)
        assert len(seen) == len(set(seen)), f"twice at once, dead at call {dies_at}"
        life.run(life.sink())
        assert offsets(life.path) == list(range(COUNT)), f"dead at call {dies_at}"
        assert {entry.path for entry in read_manifest(str(life.path), "lake").files} == {
            str(path.relative_to(life.path)) for path in published(life.path)
        }
        assert not list((life.path / "_tailrace" / "lake" / "staged").iterdir())


def test_dying_again_and_again_is_no_different(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for dies_at in range(1, 40):
        sink = life.sink()
        mortal(sink, dies_at, after=dies_at % 2 == 0)
        try:
            life.run(sink)
        except Killed:
            continue
        break
    assert offsets(life.path) == list(range(COUNT))


def test_a_second_writer_that_took_over_keeps_the_first_from_committing(tmp_path: Path) -> None:
    life = Life(tmp_path)
    first, second = life.sink(), life.sink()
    first.open("lake")
    first.write([life.record(0)])
    first._store.close()  # as if it were on another machine, where no lock is seen
    with closing(second):
        assert second.open("lake") is None
        second.write([life.record(0), life.record(1)])
        with pytest.raises(Exception, match="another writer has taken the archive over"):
            first.commit({"shop.public.goods-0": 1})
        second.commit({"shop.public.goods-0": 2})
    assert offsets(life.path) == [0, 1]


def test_a_long_life_has_a_short_ledger(tmp_path: Path) -> None:
    life = Life(tmp_path)
    with closing(life.sink()) as sink:
        sink.open("lake")
        for number in range(3 * MANIFEST_EVERY + 5):
            sink.write([life.record(number)])
            sink.commit({"shop.public.goods-0": number + 1})
        manifest = read_manifest(str(life.path), "lake")
    assert manifest.position == {"shop.public.goods-0": 3 * MANIFEST_EVERY + 5}
    assert sorted(entry.first for entry in manifest.files) == list(range(3 * MANIFEST_EVERY + 5))
    ledger = life.path / "_tailrace" / "lake"
    assert len(list((ledger / "commits").iterdir())) <= 2 * MANIFEST_EVERY
    assert len(list((ledger / "manifest").iterdir())) == 2
