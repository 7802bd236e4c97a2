"""A stranger's plug-ins: sources and sinks installed by entry point, as any package would install them.

The code below is written into a folder with a `dist-info` beside it, so that worker and task processes find it just as
they find our own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ENTRY_POINTS = """\
[tailrace.sources]
lines = stranger_plugins:Lines

[tailrace.sinks]
copy = stranger_plugins:Copy
atomic = stranger_plugins:Atomic

[tailrace.transforms]
noop = stranger_plugins:Noop
"""

CODE = '''\
import os
import time
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, SecretStr

from tailrace.errors import BadRecord, EndOfSource, Fatal, Retriable
from tailrace.event import Message
from tailrace.schema import Field, Schema
from tailrace.sink import SinkConfig
from tailrace.source import Batch, Finding, Report, SourceConfig

KEY = Schema("struct", name="stranger.Key", fields=(Field("number", Schema("int32")),))
VALUE = Schema("struct", name="stranger.Value", fields=(Field("text", Schema("string")),))


class LinesConfig(SourceConfig):
    file: Path
    password: SecretStr = SecretStr("")


class Lines:
    """Hands out the lines of a file that may grow; a line that begins with ! makes something happen, once."""

    Config: ClassVar = LinesConfig

    def __init__(self, name, config):
        self.config = config
        self.at = 0

    def open(self, resume_from):
        self.at = resume_from["line"] if resume_from else 0
        self.there = len(self.lines())

    def lines(self):
        return self.config.file.read_text().splitlines()

    def poll(self, timeout):
        items = []
        lines = self.lines()
        while self.at < len(lines) and len(items) < 3:
            line = lines[self.at]
            if line.startswith("!") and not items:
                self.happen(line[1:])
            elif line.startswith("!"):
                break
            else:
                topic = f"{self.config.topic_prefix}.lines"
                items.append(Message(topic, KEY, {"number": self.at}, VALUE, {"text": line}))
            self.at += 1
        if not items:
            time.sleep(min(timeout, 0.05))
            return Batch((), {"line": self.at})
        return Batch(items, {"line": self.at}, size=len(items))

    def happen(self, word):
        word, _, always = word.partition(" ")
        marker = self.config.file.with_suffix(f".{self.at}")
        if marker.exists() and not always:
            return
        marker.touch()
        if word == "abort":
            raise Retriable("the line is cut", hint="wait")
        if word == "fatal":
            raise Fatal("the line is gone", hint="call somebody")
        if word == "bug":
            raise ValueError("password is " + self.config.password.get_secret_value())
        if word == "leak":
            raise Fatal("cannot log in with " + self.config.password.get_secret_value())
        if word == "hang":
            time.sleep(600)
        if word == "exit":
            os._exit(7)
        if word == "end":
            raise EndOfSource

    def ack(self, position):
        pass

    def close(self):
        pass

    def report(self):
        there = str(self.there)
        return Report(str(self.at), there, heard_seconds=0.0, caught_up=self.at >= self.there)

    def check(self):
        there = self.config.file.exists()
        return [Finding(there, f"file {self.config.file}", "" if there else f"touch {self.config.file}")]


class CopyConfig(SinkConfig):
    file: Path


class Copy:
    """Cannot keep a position."""

    Config: ClassVar = CopyConfig

    def __init__(self, name, config):
        self.config = config
        self.pending = []

    def open(self, task):
        self.pending = []

    def write(self, items):
        self.pending += [f"{item.record.topic} {item.record.offset}" for item in items]

    def flush(self):
        with self.config.file.open("a") as out:
            out.writelines(line + "\\\\n" for line in self.pending)
        self.pending = []

    def close(self):
        self.pending = []


class Atomic(Copy):
    """Keeps its position in the file that it writes."""

    def open(self, task):
        self.pending = []
        self.kept = []
        if not self.config.file.exists():
            return None
        import json
        *self.kept, position = self.config.file.read_text().splitlines()
        return json.loads(position)

    def commit(self, position):
        import json
        self.kept += self.pending
        self.pending = []
        draft = self.config.file.with_suffix(".draft")
        draft.write_text("".join(line + "\\\\n" for line in [*self.kept, json.dumps(dict(position))]))
        draft.replace(self.config.file)


class NoopConfig(BaseModel):
    type: str


class Noop:
    Config: ClassVar = NoopConfig

    def __init__(self, config):
        pass

    def __call__(self, change):
        return change
'''


def install_strangers(site: Path) -> None:
    """Put the plug-ins and their `dist-info` into `site`, a folder on the path."""
    info = site / "stranger_plugins-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger-plugins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (site / "stranger_plugins.py").write_text(CODE.replace("\\\\n", "\\n"))


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's plug-ins are installed, for this process and for those that it starts."""
    site = tmp_path / "site"
    install_strangers(site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.delitem(sys.modules, "stranger_plugins", raising=False)
