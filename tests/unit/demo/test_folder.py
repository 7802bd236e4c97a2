"""The demo's folder: earlier captures are kept, other people's files are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.demo.folder import DemoFolder
from tailrace.errors import ConfigError
from tailrace.runtime.lock import WorkerLock


def demo_in(path: Path) -> DemoFolder:
    folder = DemoFolder(path)
    folder.prepare()
    folder.write_config("postgres", "public", "postgresql://postgres@127.0.0.1:5432/shop")
    return folder


def test_a_new_folder_and_an_empty_one(tmp_path: Path) -> None:
    assert DemoFolder(tmp_path).prepare() is None
    assert DemoFolder(tmp_path / "deep" / "er").prepare() is None
    assert (tmp_path / "deep" / "er").is_dir()


def test_an_earlier_demo_is_moved_aside_each_time(tmp_path: Path) -> None:
    moved = []
    for turn in range(3):
        folder = demo_in(tmp_path / "demo")
        (folder.path / "turn").write_text(str(turn))
        moved.append(DemoFolder(tmp_path / "demo").prepare())
    assert [path is not None and (path / "turn").read_text() for path in moved] == ["0", "1", "2"]
    assert list((tmp_path / "demo").iterdir()) == []


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a demo's"):
        DemoFolder(tmp_path).prepare()
    with pytest.raises(ConfigError, match="is a file"):
        DemoFolder(tmp_path / "thesis.txt").prepare()
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_running_demo_is_left_alone(tmp_path: Path) -> None:
    folder = demo_in(tmp_path / "demo")
    lock = WorkerLock(folder.path)
    lock.acquire()
    with pytest.raises(ConfigError, match="a demo is running"):
        DemoFolder(folder.path).prepare()
    lock.release()
    assert DemoFolder(folder.path).prepare() is not None
