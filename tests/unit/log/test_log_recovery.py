"""Torn tails, lost files and damage: what is committed stays or is missed loudly, what is not is cut."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.errors import Fatal
from tailrace.log.backend import OffsetsGone
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.watermark import pack_watermark, read_hint
from unit.log.stage import TOPIC, fill, flip, folder, make_log, numbers, record, segments, stored, writing


@pytest.fixture
def log(tmp_path: Path) -> BundledLog:
    return make_log(tmp_path / "log", segment_bytes=2048)


def write_uncommitted(log: BundledLog, first: int, count: int) -> None:
    with writing(log) as writer:
        for number in range(first, first + count):
            writer.write([record(number)])
            writer._session._flush()  # type: ignore[union-attr]


def go_on(log: BundledLog, number: int) -> object:
    """Open as a task that restarts, commit one more record, return the position that was found."""
    with writing(log) as writer:
        position = writer._session._journal.state.position  # type: ignore[union-attr]
        writer.write([record(number)])
        writer.commit({"at": number})
    return position


def test_a_torn_tail_of_any_length_is_cut(log: BundledLog) -> None:
    fill(log, range(10))
    path = segments(log)[-1]
    committed = path.stat().st_size
    write_uncommitted(log, 10, 2)
    whole = path.read_bytes()
    assert len(whole) > committed
    for size in range(committed, len(whole) + 1):
        path.write_bytes(whole[:size])
        assert numbers(stored(log)) == list(range(10))
        with writing(log):
            assert path.read_bytes() == whole[:committed]
    for size in range(committed, len(whole) + 1, 20):
        path.write_bytes(path.read_bytes() + whole[committed:size])
        before = numbers(stored(log))
        assert go_on(log, size) == {"at": before[-1]}
        assert numbers(stored(log)) == [*before, size]


def test_rubbish_behind_the_end_is_cut(log: BundledLog) -> None:
    fill(log, range(10))
    with segments(log)[-1].open("ab") as file:
        file.write(b"\x00" * 5000)
    assert numbers(stored(log)) == list(range(10))
    go_on(log, 10)
    assert numbers(stored(log)) == list(range(11))


def test_segments_behind_the_end_are_removed(log: BundledLog) -> None:
    fill(log, range(10))
    before = segments(log)
    write_uncommitted(log, 10, 100)
    assert len(segments(log)) > len(before)
    assert numbers(stored(log)) == list(range(10))
    with writing(log):
        assert segments(log) == before


def lose_last_segment(log: BundledLog) -> str:
    segments(log)[-1].unlink()
    return "the file is missing"


def shorten_last_segment(log: BundledLog) -> str:
    with segments(log)[-1].open("r+b") as file:
        file.truncate(segments(log)[-1].stat().st_size - 1)
    return "bytes are committed|are committed"


def damage_last_batch(log: BundledLog) -> str:
    flip(segments(log)[-1], segments(log)[-1].stat().st_size - 1)
    return "is damaged: crc"


def lose_the_folder(log: BundledLog) -> str:
    shutil.rmtree(folder(log))
    return "the file is missing"


def lose_the_journals_last_commits(log: BundledLog) -> str:
    journal = next(log.layout.journal("shop").glob("*.log"))
    with journal.open("r+b") as file:
        file.truncate(journal.stat().st_size - 300)
    return "readers were shown records up to 60"


LOSSES = [lose_last_segment, shorten_last_segment, damage_last_batch, lose_the_folder, lose_the_journals_last_commits]


@pytest.mark.parametrize("lose", LOSSES)
def test_missing_data_stops_the_task(log: BundledLog, lose: Callable[[BundledLog], str]) -> None:
    fill(log, range(60))
    assert len(segments(log)) > 1
    words = lose(log)
    for _ in range(2):  # nothing is made worse by trying
        with pytest.raises(Fatal, match=words) as caught, writing(log):
            pass
        assert f"{TOPIC}-0" in caught.value.message
        assert "offsets reset" in caught.value.hint


def test_the_error_names_file_and_offsets(log: BundledLog) -> None:
    fill(log, range(60))
    path = segments(log)[-1]
    lose_last_segment(log)
    with pytest.raises(Fatal) as caught, writing(log):
        pass
    assert str(path) in caught.value.message
    assert f"offsets {int(path.stem)} to 59 are gone" in caught.value.message


@pytest.mark.parametrize("lose", LOSSES)
def test_after_a_reset_the_task_goes_on_behind_what_is_there(
    log: BundledLog, lose: Callable[[BundledLog], str]
) -> None:
    fill(log, range(60))
    lose(log)
    log.set_position("shop", None)
    assert go_on(log, 100) is None
    assert go_on(log, 101) == {"at": 100}
    info = log.partitions()[0]
    assert info.next_offset == 62, "no offset is given out twice"
    assert numbers(stored(log, TOPIC, 0, 60)) == [100, 101]


def test_a_reader_does_not_pass_over_the_loss(log: BundledLog) -> None:
    fill(log, range(60))
    gone = int(segments(log)[-1].stem)
    lose_last_segment(log)
    with pytest.raises(OffsetsGone):
        stored(log)
    log.set_position("shop", None)
    go_on(log, 100)
    with pytest.raises(OffsetsGone, match=f"offsets {gone} to 59 are gone, 60 is the first") as caught:
        stored(log)
    assert (caught.value.offset, caught.value.first_available) == (gone, 60)


def test_a_segment_lost_in_the_middle_is_missed(log: BundledLog) -> None:
    fill(log, range(100))
    lost, following = segments(log)[1:3]
    lost.unlink()
    with pytest.raises(OffsetsGone) as caught:
        stored(log)
    assert (caught.value.offset, caught.value.first_available) == (int(lost.stem), int(following.stem))


def test_every_damaged_byte_of_a_segment_is_found_and_named(log: BundledLog) -> None:
    fill(log, range(6), per_commit=2)
    path = segments(log)[0]
    sound = path.read_bytes()
    for position in range(len(sound)):
        flip(path, position, 1 << position % 8)
        with pytest.raises(Fatal, match=r"damaged at byte [0-9]+, offset [024]") as caught:
            stored(log)
        assert str(path) in caught.value.message
        path.write_bytes(sound)
    assert numbers(stored(log)) == list(range(6))


def test_damage_does_not_hide_what_lies_before_it(log: BundledLog) -> None:
    fill(log, range(6), per_commit=2)
    flip(segments(log)[0], segments(log)[0].stat().st_size - 1)
    seen: list[int] = []
    with pytest.raises(Fatal, match="offset 4"):
        for each in log.records(TOPIC, 0, 0):
            seen.append(int(each.value or b""))  # noqa: PERF401 - what came before the error is wanted
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("content", [None, b"", b"short", b"x" * 12, b"\0" * 12])
def test_a_lost_watermark_is_computed_from_the_journal(log: BundledLog, content: bytes | None) -> None:
    fill(log, range(10))
    path = folder(log) / "committed"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert numbers(stored(log)) == list(range(10))
    go_on(log, 10)
    assert read_hint(folder(log)) == 11


def test_a_stale_watermark_shows_less_until_the_task_is_back(log: BundledLog) -> None:
    fill(log, range(10))
    (folder(log) / "committed").write_bytes(pack_watermark(5))
    assert numbers(stored(log)) == list(range(5))
    with writing(log):
        assert numbers(stored(log)) == list(range(10))


def test_a_journal_damaged_in_the_middle_is_no_torn_tail(log: BundledLog) -> None:
    fill(log, range(50))
    journal = next(log.layout.journal("shop").glob("*.log"))
    flip(journal, journal.stat().st_size // 2)
    with pytest.raises(Fatal, match="damaged at byte") as caught, writing(log):
        pass
    assert str(journal) in caught.value.message
    with pytest.raises(Fatal):
        log.positions()


def test_a_torn_journal_ends_at_the_commit_before(log: BundledLog, tmp_path: Path) -> None:
    fill(log, range(10))
    journal = next(log.layout.journal("shop").glob("*.log"))
    sound = journal.read_bytes()
    fill(log, [10])
    whole = next(log.layout.journal("shop").glob("*.log")).read_bytes()
    assert len(whole) > 0
    for size in range(1, 40):
        copy = make_log(tmp_path / f"copy-{size}", segment_bytes=2048)
        shutil.copytree(log.config.path, copy.config.path)
        for path in copy.layout.journal("shop").glob("*.log"):
            path.unlink()
        (copy.layout.journal("shop") / journal.name).write_bytes(sound + whole[:size])
        assert copy.positions() == {"shop": {"at": 9}}


def test_a_journal_damaged_at_its_start_is_no_new_one(log: BundledLog) -> None:
    with writing(log) as writer:
        writer.commit({"at": 1})
    with writing(log):
        pass
    journal = next(log.layout.journal("shop").glob("*.log"))
    for size in (0, 30, 80):
        journal.write_bytes(journal.read_bytes()[:size].ljust(size, b"\0"))
        with pytest.raises(Fatal, match="damaged at byte 0"), writing(log):
            pass


def test_a_lost_journal_never_cuts_what_readers_saw(log: BundledLog) -> None:
    fill(log, range(30))
    shutil.rmtree(log.layout.journal("shop"))
    assert go_on(log, 30) is None
    assert numbers(stored(log)) == list(range(31))


def test_segments_put_in_place_by_hand_are_kept(log: BundledLog, tmp_path: Path) -> None:
    fill(log, range(30))
    other = make_log(tmp_path / "other", segment_bytes=2048)
    folder(other).mkdir(parents=True)
    for path in segments(log):
        shutil.copy(path, folder(other))
    go_on(other, 30)
    assert numbers(stored(other)) == list(range(31))


def test_a_damaged_owner_is_named(log: BundledLog) -> None:
    fill(log, range(3))
    owner = folder(log) / "owner.json"
    assert json.loads(owner.read_text())["task"] == "shop"
    owner.write_text("{}")
    with pytest.raises(Fatal, match=r"owner\.json: damaged"), writing(log):
        pass
    owner.unlink()
    go_on(log, 3)
    assert numbers(stored(log)) == list(range(4))
