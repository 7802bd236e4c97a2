"""A worker that serves the registry, and those that do not, or cannot."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from registry.served import wait_for
from tailrace.demo.postgres import free_port
from unit.runtime.strangers import strangers

__all__ = ["strangers"]

pytestmark = pytest.mark.usefixtures("strangers")


def config(folder: Path, name: str, server: str) -> Path:
    folder = folder / name
    folder.mkdir()
    (folder / "lines.txt").write_text("a\nb\n")
    file = folder / "worker.yaml"
    connectors = f"connectors: {{{name}: {{type: lines, file: ./lines.txt}}}}\n"
    file.write_text(f"log: {{type: bundled, path: ./log}}\n{server}{connectors}")
    return file


@contextmanager
def worker(file: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    with (file.parent / "stderr.txt").open("wb") as log:
        command = [sys.executable, "-c", "from tailrace.cli.main import main; main()", "run", str(file), *options]
        process = subprocess.Popen(command, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def logged(file: Path) -> str:
    return (file.parent / "stderr.txt").read_text()


def subjects(port: int) -> str:
    try:
        answer = urllib3.request("GET", f"http://127.0.0.1:{port}/subjects", retries=False, timeout=30)
    except urllib3.exceptions.HTTPError:
        return ""
    return answer.data.decode()


def test_a_worker_serves_its_schemas_until_it_ends(tmp_path: Path) -> None:
    port = free_port()
    file = config(tmp_path, "shop", f"server: {{listen: '127.0.0.1:{port}'}}\n")
    with worker(file) as process:
        wait_for(lambda: subjects(port) == '["shop.lines-key","shop.lines-value"]')
        other = config(tmp_path, "other", f"server: {{listen: '127.0.0.1:{port}'}}\n")
        with worker(other) as second:
            assert second.wait(120) == 1
        assert f"cannot listen on 127.0.0.1:{port}: something else does" in logged(other)
        assert "task started" not in logged(other)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert f"address=127.0.0.1:{port}" in logged(file)
    assert subjects(port) == ""


def test_without_the_block_nothing_listens(tmp_path: Path) -> None:
    file = config(tmp_path, "shop", "")
    with worker(file, "--until-current") as process:
        assert process.wait(120) == 0
    assert "task ended" in logged(file)
    assert "api" not in logged(file)


def test_the_api_does_not_outlive_a_worker_that_is_killed(tmp_path: Path) -> None:
    port = free_port()
    file = config(tmp_path, "shop", f"server: {{listen: '127.0.0.1:{port}'}}\n")
    with worker(file) as process:
        wait_for(lambda: subjects(port) != "")
        process.kill()
        wait_for(lambda: subjects(port) == "")
