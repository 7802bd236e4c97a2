"""Full and failing disks: the error says what to do, nothing is acknowledged that is not there, and it goes on."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from tailrace.errors import Fatal, Retriable, TailraceError
from tailrace.log.store import disk
from tailrace.log.store.backend import BundledLog
from unit.log.stage import TOPIC, fill, make_log, numbers, record, stored, writing


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB. Needs root; where that is missing the test is skipped with a warning."""
    target = tmp_path / "small"
    target.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(target)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("FULL DISK NOT TESTED: mounting a tmpfs needs root")
    yield target
    subprocess.run(["umount", str(target)], check=True)


def test_a_full_disk_stops_the_task_and_space_mends_it(small_disk: Path) -> None:
    log = make_log(small_disk / "log", segment_bytes=100_000, fsync="commit")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 500_000)
    acknowledged = 0
    with writing(log) as writer, pytest.raises(Retriable) as caught:
        for number in range(10_000):
            writer.write([record(number, size=1000)])
            writer.commit({"at": number})
            acknowledged = number
    assert caught.value.patient
    assert "no space left" in caught.value.message
    assert "bytes free" in caught.value.message
    assert str(small_disk) in caught.value.message
    assert "free some space" in caught.value.hint
    seen = numbers(stored(log))
    assert seen == list(range(acknowledged + 1))
    for _ in range(3):  # still full: still the same error, and nothing gets worse
        with pytest.raises(Retriable, match="no space left"), writing(log) as writer:
            writer.write([record(acknowledged + 1, size=200_000)])
            writer.commit({"at": acknowledged + 1})
        assert numbers(stored(log)) == seen
    ballast.unlink()
    with writing(log) as writer:
        assert writer._session._journal.state.position == {"at": acknowledged}  # type: ignore[union-attr]
        writer.write([record(acknowledged + 1)])
        writer.commit({"at": acknowledged + 1})
    assert numbers(stored(log)) == list(range(acknowledged + 2))


@contextmanager
def failing(name: str, code: int, *, after: int) -> Iterator[list[str]]:
    """Let a system call fail once, after so many that worked."""
    real, calls = getattr(os, name), []

    def call(*args: object) -> object:
        calls.append(name)
        if len(calls) == after + 1:
            raise OSError(code, os.strerror(code))
        return real(*args)

    with mock.patch.object(os, name, call), mock.patch.object(disk, "_sync_data", os.fdatasync):
        yield calls


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_any_failing_call_leaves_the_last_commit(tmp_path: Path, call: str, code: int) -> None:
    for after in range(0, 24, 4):
        log = make_log(tmp_path / f"{call}-{code}-{after}", fsync="commit")
        acknowledged = -1
        with failing(call, code, after=after) as calls:
            try:
                with writing(log) as writer:
                    for number in range(10):
                        writer.write([record(number, size=200)])
                        writer.commit({"at": number})
                        acknowledged = number
            except Retriable as error:
                assert error.patient == (code != errno.EIO)
                assert error.hint
        assert len(calls) > after or acknowledged == 9
        before = numbers(stored(log)) if log.partitions() else []
        assert before[: acknowledged + 1] == list(range(acknowledged + 1))[: len(before)]
        with writing(log) as writer:
            position = writer._session._journal.state.position  # type: ignore[union-attr]
            done = -1 if position is None else int(str(position["at"]))
            assert done in {acknowledged, acknowledged + 1}, "the commit whose answer was lost may have happened"
            for number in range(done + 1, 10):
                writer.write([record(number)])
            writer.commit({"at": 20})
        assert numbers(stored(log)) == list(range(10))


def test_a_failed_sync_is_not_tried_again(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", fsync="commit")
    fill(log, range(3))
    with writing(log) as writer:
        writer.write([record(3)])
        with failing("fdatasync", errno.EIO, after=0), pytest.raises(Retriable):
            writer.commit({"at": 3})
        with pytest.raises(Retriable, match="after a failed write"):
            writer.commit({"at": 3})
    assert numbers(stored(log)) == [0, 1, 2]


def test_one_failed_sync_of_many_fails_the_commit(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", fsync="commit", partitions=30)
    threads = threading.active_count()
    with writing(log) as writer:
        for turn in range(2):
            writer.write([record(turn * 30 + each, partition=each) for each in range(30)])
            writer.commit({"at": turn})
        writer.write([record(60 + each, partition=each) for each in range(30)])
        with failing("fdatasync", errno.EIO, after=17), pytest.raises(Retriable, match="input/output error"):
            writer.commit({"at": 2})
    assert threading.active_count() == threads, "no thread is left behind"
    for each in range(30):
        assert numbers(stored(log, TOPIC, each)) == [each, 30 + each]
    with failing("fdatasync", errno.EIO, after=0) as calls, pytest.raises(Retriable), writing(log):
        pass
    assert calls, "what was in doubt is synced again before it counts"
    with writing(log) as writer:
        assert writer._session._journal.state.position == {"at": 2}  # type: ignore[union-attr]
        writer.commit({"at": 3})
    for each in range(30):
        assert numbers(stored(log, TOPIC, each)) == [each, 30 + each, 60 + each]


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.ENOSPC, Retriable, "bytes free"),
        (errno.EFBIG, Retriable, "bytes free"),
        (errno.EIO, Retriable, "input/output error"),
        (errno.EMFILE, Retriable, "too many open files"),
        (errno.EACCES, Fatal, "permission denied"),
        (errno.EROFS, Fatal, "read-only"),
    ],
)
def test_what_faults_mean(tmp_path: Path, code: int, kind: type[TailraceError], words: str) -> None:
    error = disk.fault("write", tmp_path / "not" / "there", OSError(code, os.strerror(code)))
    assert isinstance(error, kind)
    assert words in error.message
    assert str(tmp_path) in error.message
    assert error.hint


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    log = BundledLog.at(tmp_path / "log")
    with pytest.raises(Fatal, match=r"not a directory|file exists"), writing(log):
        pass
