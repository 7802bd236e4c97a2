"""Several processes on one log: readers beside a writer that is killed again and again, and two writers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tailrace.errors import Retriable
from tailrace.log.store.backend import BundledLog
from unit.log.stage import make_log, numbers, writing

WRITER = """
import sys
from pathlib import Path
from unit.log.stage import make_log, record
log = make_log(Path(sys.argv[1]), segment_bytes=20_000, partitions=2, fsync="commit")
writer = log.writer()
position = writer.open("shop")
first = 0 if position is None else position["next"]
print("open", flush=True)
for number in range(first, 1_000_000, 10):
    writer.write([record(each, partition=each % 2, size=100) for each in range(number, number + 10)])
    writer._session._flush()
    writer.commit({"next": number + 10})
    if number == first:
        print("committed", flush=True)
"""

READER = """
import sys
import time
from pathlib import Path
from unit.log.stage import make_log, numbers
reader = make_log(Path(sys.argv[1])).reader(["*"])
reader.open(None)
stop, total, deadline = Path(sys.argv[2]), None, 0.0
seen = {0: [], 1: []}
while True:
    items = reader.poll(0.1).items
    for each in items:
        seen[each.partition].append(int(each.value))
        assert len(seen[each.partition]) == each.offset + 1, "an offset twice, or not at all"
    for partition, numbers in seen.items():
        assert numbers == list(range(partition, 2 * len(numbers), 2)), "lost, invented or out of order"
    if total is None and stop.exists():
        total, deadline = int(stop.read_text()), time.monotonic() + 60
    count = len(seen[0]) + len(seen[1])
    if total is not None and not items and (count >= total or time.monotonic() > deadline):
        print(count, flush=True)
        break
"""


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    tests = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tests)},
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def first_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def test_readers_beside_a_writer_that_is_killed(tmp_path: Path) -> None:
    path, stop = tmp_path / "log", tmp_path / "stop"
    with process(READER, path, stop) as reader:
        for turn in range(6):
            with process(WRITER, path) as writer:
                assert first_line(writer) == "open"
                assert first_line(writer) == "committed"
                time.sleep(0.1 + turn * 0.05)
                writer.send_signal(signal.SIGKILL)
        log = make_log(path)
        with writing(log) as last:
            done = last._session._journal.state.position  # type: ignore[union-attr]
        assert done is not None
        told = tmp_path / "told"
        told.write_text(str(done["next"]))
        told.rename(stop)
        assert int(first_line(reader)) == done["next"]
        assert reader.wait(120) == 0
    both = numbers(list(log.records("shop.public.orders", 0, 0))) + numbers(
        list(log.records("shop.public.orders", 1, 0))
    )
    assert sorted(both) == list(range(int(str(done["next"]))))
    assert len(both) >= 60


def test_a_second_writer_is_told_who_is_first(tmp_path: Path) -> None:
    log = BundledLog(make_log(tmp_path / "log").config)
    with process(WRITER, log.config.path) as first:
        assert first_line(first) == "open"
        with (
            closing(log.writer()) as second,
            pytest.raises(Retriable, match=f"process {first.pid} is this task already"),
        ):
            second.open("shop")
        first.send_signal(signal.SIGKILL)
        first.wait(120)
        with closing(log.writer()) as second:
            second.open("shop")  # the first may have been killed before it committed anything
