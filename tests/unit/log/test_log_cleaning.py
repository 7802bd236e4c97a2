"""Retention and compaction: what goes, what stays, and that readers and crashes do not notice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.errors import Fatal
from tailrace.event import Record
from tailrace.log.backend import OffsetsGone, StoredRecord
from tailrace.log.store import compaction, disk
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.cleaner import Cleaner
from unit.log.power_cut import Killed, Machine
from unit.log.stage import TIME, TOPIC, fill, flip, folder, make_log, numbers, segments, stored, writing

HOUR = 3_600_000


def write_keys(log: BundledLog, pairs: Sequence[tuple[bytes | None, bytes | None]], *, per_commit: int = 3) -> None:
    with writing(log) as writer:
        for start in range(0, len(pairs), per_commit):
            part = pairs[start : start + per_commit]
            writer.write([Record(TOPIC, key, value, TIME + start) for key, value in part])
            writer.commit({"at": random.random()})


def random_pairs(count: int, *, seed: int = 1, keys: int = 12) -> list[tuple[bytes | None, bytes | None]]:
    chance = random.Random(seed)
    return [
        (
            None if chance.random() < 0.05 else b"key-%d" % chance.randrange(keys),
            None if chance.random() < 0.15 else b"%d" % number,
        )
        for number in range(count)
    ]


def compacted_as_it_should(before: Sequence[StoredRecord], dirty_end: int) -> list[StoredRecord]:
    last = {each.key: each.offset for each in before if each.offset < dirty_end}
    return [
        each for each in before if each.key is None or each.offset >= dirty_end or last.get(each.key, -1) <= each.offset
    ]


def clean(log: BundledLog, *, now_ms: int = TIME, force: bool = False) -> None:
    assert Cleaner(log.config).run_once(now_ms=now_ms, force=force)


def fold(records: Sequence[StoredRecord]) -> dict[bytes | None, bytes]:
    state: dict[bytes | None, bytes] = {}
    for each in records:
        if each.value is None:
            state.pop(each.key, None)
        elif each.key is not None:
            state[each.key] = each.value
    return state


def test_nothing_is_deleted_unless_told(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log")
    fill(log, range(100))
    clean(log, now_ms=TIME + 10**12)
    assert numbers(stored(log)) == list(range(100))


def test_retention_by_age(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", retention_hours=1)
    fill(log, range(100))
    bases = [int(path.stem) for path in segments(log)]
    clean(log, now_ms=TIME + HOUR + bases[3])
    assert [int(path.stem) for path in segments(log)] == bases[3:], "the last segment may still be younger than that"
    assert numbers(stored(log)) == list(range(bases[3], 100))
    clean(log, now_ms=TIME + 100 * HOUR)
    assert [int(path.stem) for path in segments(log)] == bases[-1:], "the one with the end stays"
    assert log.partitions()[0].first_offset == bases[-1]
    fill(log, [100])
    assert numbers(stored(log))[-1] == 100


def test_retention_by_size(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", retention_bytes=3000)
    fill(log, range(100))
    before = sum(path.stat().st_size for path in segments(log))
    clean(log)
    after = sum(path.stat().st_size for path in segments(log))
    assert 3000 <= after < 4100 < before
    assert not list(folder(log).glob(f"{0:020d}.*"))


def test_uncommitted_segments_do_not_make_the_committed_one_old(tmp_path: Path) -> None:
    """The end of the last commit lies in it: without it the task could not go on."""
    log = make_log(tmp_path / "log", retention_bytes=1)
    fill(log, range(10))
    with writing(log) as writer:
        for number in range(10, 100):
            writer.write([Record(TOPIC, b"k", b"%d" % number, TIME)])
            writer._session._flush()  # type: ignore[union-attr]
        clean(log)
    with writing(log) as writer:
        writer.write([Record(TOPIC, b"k", b"10", TIME)])
        writer.commit({"at": 10})
    assert numbers(stored(log))[-2:] == [9, 10]


def test_a_reader_on_a_deleted_segment_reads_it_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.log.store.reader.FETCH_BYTES", 300)
    log = make_log(tmp_path / "log", retention_bytes=1)
    fill(log, range(100))
    end_of_first = int(segments(log)[1].stem)
    with closing(log.reader(["*"])) as reader:
        reader.open(None)
        seen = numbers(list(reader.poll(0).items))
        clean(log)
        with pytest.raises(OffsetsGone):
            while True:
                seen += numbers(list(reader.poll(0).items))
    assert seen == list(range(end_of_first))


def test_the_last_record_of_each_key_stays(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact")
    write_keys(log, random_pairs(300))
    before = stored(log)
    dirty_end = int(segments(log)[-1].stem)
    count = len(segments(log))
    clean(log)
    assert stored(log) == compacted_as_it_should(before, dirty_end)
    clean(log, force=True)
    assert len(segments(log)) < count, "neighbours that became small become one"
    assert stored(log) == compacted_as_it_should(before, dirty_end)
    assert fold(stored(log)) == fold(before)
    for each in stored(log):
        assert stored(log, TOPIC, 0, each.offset)[0] == each


def test_compaction_goes_on_where_it_was(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact")
    pairs = random_pairs(600)
    for start in range(0, 600, 100):
        write_keys(log, pairs[start : start + 100])
        before = stored(log)
        clean(log, force=True)
        assert fold(stored(log)) == fold(before)
        offsets = [each.offset for each in stored(log)]
        assert offsets == sorted(set(offsets))
    assert len(stored(log)) < 100


def test_little_memory_means_more_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make_log(tmp_path / "log", cleanup="compact", segment_bytes=2048)
    write_keys(log, random_pairs(600, keys=40))
    before = stored(log)
    monkeypatch.setattr(compaction.Compaction.__init__, "__kwdefaults__", {"most_keys": 5})
    sizes = []
    for _ in range(40):
        clean(log, force=True)
        sizes.append(len(stored(log)))
        assert fold(stored(log)) == fold(before)
    assert sizes[0] > sizes[3] > sizes[-1]
    assert stored(log) == compacted_as_it_should(before, int(segments(log)[-1].stem))


def test_nothing_is_done_while_little_is_new(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact")
    write_keys(log, [(b"%d" % number, b"x" * 50) for number in range(100)])
    clean(log)
    before = [(path, path.stat().st_ino) for path in segments(log)]
    write_keys(log, [(b"%d" % number, b"x" * 50) for number in range(20)])
    clean(log)
    assert [(path, path.stat().st_ino) for path in segments(log)][: len(before) - 1] == before[:-1]


def test_tombstones_stay_for_their_grace(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact", delete_retention_hours=2)
    write_keys(log, [(b"a", b"1"), (b"b", b"1"), (b"a", None), *[(b"c", b"%d" % each) for each in range(60)]])
    old = TIME + 1000 * HOUR  # the age of the record does not count, nor that of the file
    clean(log, now_ms=old)
    assert [(each.key, each.value) for each in stored(log)][:2] == [(b"b", b"1"), (b"a", None)]
    clean(log, now_ms=old + 2 * HOUR - 1)
    assert (b"a", None) in [(each.key, each.value) for each in stored(log)]
    clean(log, now_ms=old + 2 * HOUR)
    assert (b"a", None) not in [(each.key, each.value) for each in stored(log)]
    assert stored(log)[0].key == b"b"
    assert stored(log)[0].timestamp_ms == TIME


def test_a_tombstone_that_gets_company_keeps_its_own_grace(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact", delete_retention_hours=2)
    filler = [(b"c", b"%d" % each) for each in range(60)]
    write_keys(log, [(b"a", None), *filler])
    clean(log, now_ms=TIME)
    write_keys(log, [(b"b", None), *filler])
    clean(log, now_ms=TIME + HOUR, force=True)
    clean(log, now_ms=TIME + 2 * HOUR, force=True)
    left = [each.key for each in stored(log) if each.value is None]
    assert left == [b"b"]
    clean(log, now_ms=TIME + 3 * HOUR, force=True)
    assert not [each for each in stored(log) if each.value is None]


def test_readers_pass_over_compaction_unharmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every point of its way, a reader that was under way sees each surviving record once, in order."""
    monkeypatch.setattr("tailrace.log.store.reader.FETCH_BYTES", 200)
    source = make_log(tmp_path / "log", cleanup="compact")
    write_keys(source, random_pairs(200))
    before = stored(source)
    dirty_end = int(segments(source)[-1].stem)
    survivors = compacted_as_it_should(before, dirty_end)
    for polls in range(0, 60, 3):
        log = make_log(tmp_path / f"log-{polls}", cleanup="compact")
        write_keys(log, random_pairs(200))
        with closing(log.reader(["*"])) as reader:
            reader.open(None)
            seen = [each for _ in range(polls) for each in reader.poll(0).items]
            clean(log)
            while (batch := reader.poll(0)).position is not None:
                seen += batch.items
        assert [each.offset for each in seen] == sorted({each.offset for each in seen})
        assert set(map(tuple_of, survivors)) <= set(map(tuple_of, seen)) <= set(map(tuple_of, before))


def tuple_of(each: StoredRecord) -> tuple[object, ...]:
    return each.offset, each.key, each.value


def test_a_crash_at_any_step_of_compaction(tmp_path: Path) -> None:
    """Leaves the last record of each key readable, and the next pass does what this one did not."""
    steps = 0
    for kill in range(1, 400):
        log = make_log(tmp_path / f"log-{kill}", cleanup="compact")
        write_keys(log, random_pairs(90))
        before = stored(log)
        dirty_end = int(segments(log)[-1].stem)
        machine = Machine(log.config.path, seed=kill)
        machine.adopt()
        machine.kill_at = kill
        finished = False
        with machine.running():
            try:
                clean(log, force=True)
                finished = True
            except Killed:
                pass
        after = tmp_path / f"after-{kill}"
        machine.after_power_cut(after, seed=kill)
        check_after_crash(log, before, dirty_end)
        check_after_crash(make_log(after, cleanup="compact"), before, dirty_end)
        if finished:
            break
        steps = kill
    assert 10 < steps < 399


def check_after_crash(log: BundledLog, before: Sequence[StoredRecord], dirty_end: int) -> None:
    survivors = compacted_as_it_should(before, dirty_end)
    seen = stored(log)
    assert set(map(tuple_of, survivors)) <= set(map(tuple_of, seen)) <= set(map(tuple_of, before))
    assert [each.offset for each in seen] == sorted({each.offset for each in seen})
    clean(log, force=True)
    assert stored(log) == survivors
    assert not list(folder(log).glob("*.cleaned"))


def test_a_writer_goes_on_beside_the_cleaner(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact,delete", retention_bytes=3000)
    pairs = random_pairs(900)
    with writing(log) as writer:
        for number, (key, value) in enumerate(pairs):
            writer.write([Record(TOPIC, key, value, TIME + number)])
            writer.commit({"at": number})
            if number % 90 == 89:
                clean(log, force=True)
    tail = stored(log)
    assert tail[-1].offset == 899
    assert sum(path.stat().st_size for path in segments(log)) < 5200


def test_a_damaged_segment_is_named_and_the_others_are_cleaned(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact")
    write_keys(log, random_pairs(100))
    fill(log, range(100), topic="zebra")
    flip(segments(log)[0], 70)
    sizes = len(segments(log, "zebra"))
    with pytest.raises(Fatal, match="damaged at byte"):
        clean(log, force=True)
    assert len(segments(log, "zebra")) <= sizes
    assert (folder(log, "zebra") / "compacted.json").exists()
    assert not (folder(log) / "compacted.json").exists()


def test_compaction_keeps_a_hole_visible(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact")
    write_keys(log, random_pairs(200))
    segments(log)[2].unlink()
    clean(log, force=True)
    with pytest.raises(OffsetsGone):
        stored(log)


def test_a_damaged_state_costs_a_pass_and_nothing_else(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", cleanup="compact")
    write_keys(log, random_pairs(100))
    clean(log)
    before = stored(log)
    for content in (b"", b"[]", b'{"clean": "x"}', b"\xff"):
        (folder(log) / "compacted.json").write_bytes(content)
        clean(log, force=True)
        assert stored(log) == before


def test_one_cleaner_at_a_time(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log")
    fill(log, [1])
    fd = disk.open_file(log.layout.cleaner_lock)
    with open(fd, closefd=True):  # noqa: PTH123 - closes the descriptor
        assert disk.try_lock(fd)
        assert not Cleaner(log.config).run_once()
    assert Cleaner(log.config).run_once()
    log.clean()


def test_an_empty_log_is_clean(tmp_path: Path) -> None:
    make_log(tmp_path / "log").clean()
    assert not (tmp_path / "log").exists()
