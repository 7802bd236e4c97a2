"""Our own log, and the doubles of `tailrace.testing`, hold to the contracts that we ask of others."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from tailrace.log.backend import LogBackend
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.settings import BundledLogConfig
from tailrace.sink import OffsetsBeside
from tailrace.source import Source
from tailrace.testing import sink_contract, source_contract
from tailrace.testing.log_contract import LOG_CHECKS, LogSinkStage, LogSourceStage
from tailrace.testing.memory import MemoryOffsets, MemoryPlainSink, MemorySink
from tailrace.testing.sink_contract import PLAIN_SINK_CHECKS, SINK_CHECKS
from tailrace.testing.source_contract import SOURCE_CHECKS
from tailrace.testing.story import StorySource, Twist


def name(check: object) -> str:
    return str(getattr(check, "__name__", check))


@pytest.fixture(params=[1, 3], ids=["one partition", "three partitions"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], LogBackend]:
    config = BundledLogConfig(path=tmp_path / "log", partitions=request.param, segment_bytes=4096)
    return lambda: BundledLog(config)


@pytest.mark.parametrize("check", LOG_CHECKS, ids=name)
def test_bundled_log(check: Callable[[object], None], open_log: Callable[[], LogBackend]) -> None:
    check(open_log)


@pytest.mark.parametrize("check", SINK_CHECKS, ids=name)
def test_writer_of_the_bundled_log(check: Callable[[object], None], open_log: Callable[[], LogBackend]) -> None:
    check(LogSinkStage(open_log))


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name)
def test_reader_of_the_bundled_log(check: Callable[[object], None], open_log: Callable[[], LogBackend]) -> None:
    check(LogSourceStage(open_log))


class StoryStage:
    def __init__(self) -> None:
        self.story: list[int | Twist] = []

    def source(self) -> Source[int]:
        source = StorySource[int]([], endless=True)
        source.story = self.story  # all sources tell the one story, as it goes on
        return source

    def happen(self, count: int) -> list[Hashable]:
        new = range(len(self.story), len(self.story) + count)
        self.story += new
        return list(new)

    def identity(self, item: int) -> Hashable:
        return item


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name)
def test_story_source(check: Callable[[object], None]) -> None:
    check(StoryStage())


class MemoryStage:
    """One destination; every sink of the stage writes to it."""

    def __init__(self) -> None:
        self._sink = MemorySink[int]()

    def sink(self) -> MemorySink[int]:
        return self._sink

    def item(self, number: int) -> int:
        return number

    def stored(self) -> list[int]:
        return self._sink.committed


@pytest.mark.parametrize("check", SINK_CHECKS, ids=name)
def test_memory_sink(check: Callable[[object], None]) -> None:
    check(MemoryStage())


class PlainMemoryStage:
    def __init__(self) -> None:
        self._sink = MemoryPlainSink[int]()

    def sink(self) -> MemoryPlainSink[int]:
        return self._sink

    def item(self, number: int) -> int:
        return number

    def stored(self) -> list[int]:
        return self._sink.flushed


@pytest.mark.parametrize("check", PLAIN_SINK_CHECKS, ids=name)
def test_memory_plain_sink(check: Callable[[object], None]) -> None:
    check(PlainMemoryStage())


class Forgetful(MemorySink[int]):
    """Commits the position, and loses half of the items."""

    def commit(self, position: object) -> None:
        self._pending = self._pending[::2]
        super().commit(position)  # type: ignore[arg-type]


class Leaky(MemorySink[int]):
    """Shows what is not committed."""

    def write(self, items: object) -> None:
        self.committed += items  # type: ignore[arg-type]


class Hasty(StorySource[int]):
    """Its positions are one ahead."""

    def _position(self) -> object:  # type: ignore[override]
        return {"at": min(self._at + 1, len(self.story))}


class Stuck(StorySource[int]):
    """Begins at the start, whatever it is told."""

    def open(self, resume_from: object) -> None:
        super().open(None)


@pytest.mark.parametrize("kind", [Forgetful, Leaky])
def test_the_sink_contract_catches(kind: type[MemorySink[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_contract, "PATIENCE", 0.3)

    def stage() -> MemoryStage:
        broken = MemoryStage()
        broken._sink = kind()
        return broken

    assert _fails(SINK_CHECKS, stage)


@pytest.mark.parametrize("kind", [Hasty, Stuck])
def test_the_source_contract_catches(kind: type[StorySource[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_contract, "PATIENCE", 0.3)

    class BrokenStage(StoryStage):
        def source(self) -> Source[int]:
            source = kind([], endless=True)
            source.story = self.story
            return source

    assert _fails(SOURCE_CHECKS, BrokenStage)


def _fails(checks: object, stage: Callable[[], object]) -> bool:
    failed = 0
    for check in checks:  # type: ignore[attr-defined]
        try:
            check(stage())
        except AssertionError:
            failed += 1
    return failed > 0


def test_offsets_beside_gives_a_plain_sink_positions() -> None:
    plain, offsets = MemoryPlainSink[int](), MemoryOffsets()
    sink = OffsetsBeside(plain, offsets)
    assert sink.open("t") is None
    sink.write([1, 2])
    sink.commit({"at": 2})
    sink.close()
    assert (plain.flushed, OffsetsBeside(plain, offsets).open("t")) == ([1, 2], {"at": 2})
