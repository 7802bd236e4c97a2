"""The sink in docs/sinks.md, installed as a stranger's package would be, run by the worker's own parts."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from docs.blocks import blocks
from tailrace.event import Record
from tailrace.log.store.backend import BundledLog
from tailrace.testing.deliveries import Deliveries

SITE = "site"


def shown(language: str) -> str:
    [block] = [each for each in blocks(language) if each.document.name == "sinks.md"]
    return block.text


@pytest.mark.slow
def test_the_example_installs_and_runs(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(shown("toml"))
    (package / "tailrace_lines.py").write_text(shown("python"))
    site = tmp_path / SITE
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", str(site), str(package)]
    subprocess.run(pip, check=True, capture_output=True, timeout=250)
    log = BundledLog.at(tmp_path / "data")
    told = Deliveries(tmp_path / "data")
    items = [*told.insert(1, name="one"), *told.unreadable(), *told.update(1, name="uno"), *told.delete(1)]
    with closing(log.writer()) as writer:
        writer.open("source")
        writer.write(
            [Record(told.topic, each.record.key, each.record.value, each.record.timestamp_ms) for each in items]
        )
        writer.commit({"at": 1})
    config = tmp_path / "tailrace.yaml"
    sink = {"type": "lines", "topics": ["contract.*"], "file": "./lines.json", "errors": "dead_letter"}
    config.write_text(yaml.safe_dump({"log": {"type": "bundled", "path": "./data"}, "sinks": {"tell": sink}}))
    for _ in range(2):
        done = subprocess.run(
            [str(Path(sys.executable).parent / "tailrace"), "run", str(config), "--until-current"],
            env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"}, capture_output=True, check=False, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
    lines = [json.loads(line) for line in (tmp_path / "lines.json").read_text().splitlines()]
    assert [line["op"] for line in lines] == ["c", "u", "d"]
    assert lines[1] == {"op": "u", "key": {"id": 1}, "row": {"id": 1, "name": "uno", "price": None, "note": None}}
    assert [letter.value for letter in log.records("tell.dead-letter", 0, 0)] == [items[1].record.value]
