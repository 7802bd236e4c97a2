"""The parts of a demo's course that need no server."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tailrace.demo.account import Account, copy_of_programs, temporary_folder
from tailrace.demo.folder import DemoFolder
from tailrace.demo.session import Rate, StopSignals, last_words


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    rate.add(0.0, 0)
    assert rate.per_second == 0
    rate.add(1.0, 1000)
    assert rate.per_second == 1000
    for second in range(2, 10):
        rate.add(float(second), 1000 + 10 * second)
    assert rate.per_second == 10


def test_signals_ask_first_and_ctrl_c_insists() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stopping:
        assert not stopping()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_last_words_can_be_pasted() -> None:
    words = last_words(DemoFolder(Path("my demo")), ".venv/bin/tailrace", "public")
    assert "  .venv/bin/tailrace tail shop.public.orders --path 'my demo' --max 5" in words


def test_reach_is_judged_by_every_folder_above(tmp_path: Path) -> None:
    stranger = Account(uid=54_321, gid=54_321)
    inside = tmp_path / "open" / "file"
    inside.parent.mkdir()
    inside.touch()
    for path in (inside, inside.parent, tmp_path):
        path.chmod(0o755)
    # The folders that pytest makes above may be closed: what counts here is the one that this test closes and opens.
    reachable_so_far = stranger.reaches(tmp_path)
    assert stranger.reaches(inside) is reachable_so_far
    tmp_path.chmod(0o700)
    assert not stranger.reaches(inside)
    assert Account(os.getuid(), os.getgid()).reaches(inside)


def test_a_temporary_folder_is_short_enough_for_a_socket() -> None:
    folder = temporary_folder(None)
    assert len(f"{folder}/.s.PGSQL.65535.lock") < 107
    folder.rmdir()


def test_a_copy_keeps_libraries_where_the_programs_look(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    for path in ("package/pginstall/bin/postgres", "package/pginstall/lib/libpq.so", "package.libs/libpq.so.5"):
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(path)
    copied = copy_of_programs(site / "package" / "pginstall" / "bin", tmp_path / "copy")
    assert (copied / "postgres").read_text() == "package/pginstall/bin/postgres"
    assert (copied / "../lib/libpq.so").resolve().is_file()
    assert (copied / "../../../package.libs/libpq.so.5").resolve().is_file()
