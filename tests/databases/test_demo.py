"""`tailrace demo` as a user runs it, and the commands that it ends with."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import psycopg
import pytest

from servers import mysql
from servers.mysql_programs import Flavour
from servers.postgres import require
from tailrace.runtime.lock import worker_holding

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

TAILRACE = Path(sys.executable).parent / "tailrace"
TABLES = {"customers", "order_lines", "orders", "products"}


@pytest.fixture(autouse=True)
def embedded_postgres() -> None:
    require(18)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts demos in `tmp_path`; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        demo = subprocess.Popen(
            [str(TAILRACE), "demo", *arguments],
            cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        started.append(demo)
        return demo

    yield start
    for demo in started:
        demo.kill()
        demo.wait()
        if demo.stdout is not None:
            demo.stdout.close()


def last_words(output: str) -> list[str]:
    words = output.partition("look at what was captured:")[2]
    return [line.strip() for line in words.splitlines() if line.strip()]


def wait_for_events(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if re.search(r"captured [1-9]", line):
            return
    pytest.fail("no event was captured:\n" + "".join(said))


def url_of(folder: Path) -> str:
    found = re.search(r"url: (\S+)", (folder / "demo.yaml").read_text())
    assert found is not None
    return found.group(1)


def eventually(is_so: Callable[[], bool], *, seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def server_gone(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return True
    return False


@pytest.mark.parametrize(
    ("arguments", "namespace"), [((), "public"), (("--database", "mysql"), "shop"), (("--database", "mariadb"), "shop")]
)
def test_some_seconds_and_the_commands_after_them(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]], arguments: tuple[str, ...], namespace: str
) -> None:
    if arguments:
        mysql.require(cast("Flavour", arguments[-1]))
    output, _ = start(*arguments, "--seconds", "3").communicate(timeout=200)
    assert "compared: " in output, output
    assert "exit code" not in output
    commands = [line for line in last_words(output) if not line.startswith("and at")]
    assert len(commands) == 7
    shown = {}
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command
        words = command.split()
        shown[words[3].rstrip(";") if words[1] == "-c" else words[1]] = done.stdout
    assert {f"shop.{namespace}.{table}" for table in TABLES} <= set(shown["topics"].split())
    orders = [json.loads(line) for line in shown["tail"].splitlines()]
    assert [order["offset"] for order in orders] == [0, 1, 2, 3, 4]
    assert {order["value"]["after"]["status"] for order in orders} <= {"placed", "paid", "shipped", "cancelled"}
    assert json.loads(shown["schemas"])["name"] == "Envelope"
    assert f"shop.{namespace}.products" in shown["search"]
    assert "placed" in shown["sqlite3"]
    assert re.search(r"│ [rc] +│ +[1-9]", shown["duckdb"]), shown["duckdb"]


def test_ctrl_c_stops_in_good_order(tmp_path: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    demo = start("--dir", "kept")
    wait_for_events(demo)
    url = url_of(tmp_path / "kept")
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, output
    assert "compared: " in output
    assert last_words(output)
    assert server_gone(url)
    assert worker_holding(tmp_path / "kept") is None


def test_nothing_is_left_running_when_the_demo_is_killed(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    demo = start()
    wait_for_events(demo)
    folder = tmp_path / "tailrace-demo"
    url = url_of(folder)
    assert worker_holding(folder) is not None
    demo.kill()
    assert eventually(lambda: server_gone(url))
    assert eventually(lambda: worker_holding(folder) is None, seconds=120)


def test_draws_in_a_terminal(start: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ours, theirs = pty.openpty()
    demo = start("--seconds", "4", stdout=theirs)
    os.close(theirs)
    drawn = b""
    while demo.poll() is None or select.select([ours], [], [], 0)[0]:
        try:
            drawn += os.read(ours, 65536) if select.select([ours], [], [], 1)[0] else b""
        except OSError:  # Linux's way of saying that the other side is closed
            break
    os.close(ours)
    assert demo.wait(120) == 0, drawn.decode(errors="replace")
    text = drawn.decode()
    assert "Ctrl-C stops" in text
    assert "compared: " in text
    assert "next offset" in text


def test_another_demos_folder_is_kept_and_a_strangers_refused(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    (tmp_path / "tailrace-demo").mkdir()
    (tmp_path / "tailrace-demo" / "thesis.txt").touch()
    demo = start("--seconds", "1")
    output, _ = demo.communicate(timeout=200)
    assert demo.returncode == 2
    assert output.startswith("error: folder tailrace-demo holds something that is not a demo's\nhint: ")
