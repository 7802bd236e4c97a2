"""What a user does with a worker: commands, and looks at what they say."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any, cast

from crash.worker import CONNECTOR, TAILRACE, Worker
from tailrace.codec.decoder import Decoder
from tailrace.log.store.backend import BundledLog

MakeWorker = Callable[..., Worker]
"""`(url, table="public.orders", **options)` makes a worker on one table; it is gone after the test."""


def tailrace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(TAILRACE), *arguments], capture_output=True, text=True, check=False, timeout=120)


def topic(worker: Worker) -> str:
    """Return the topic of the worker's one table."""
    return f"{CONNECTOR}.{worker.tables[0]}"


def tail(worker: Worker) -> subprocess.CompletedProcess[str]:
    return tailrace("tail", topic(worker), "--path", str(worker.log_path), "--from", "earliest")


def told(worker: Worker) -> list[dict[str, Any]]:
    done = tail(worker)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ids(worker: Worker) -> list[int]:
    return [line["key"]["id"] for line in told(worker)]


def ids_so_far(worker: Worker) -> list[int]:
    """Return what `ids` would, none as long as there is no topic; to be asked in a loop, in which a command is slow."""
    log = BundledLog.at(worker.log_path)
    if not any(info.topic == topic(worker) for info in log.partitions()):
        return []
    decoder = Decoder(log.registry())
    keys = (decoder.value(record.key) for record in log.records(topic(worker), 0, 0))
    return [cast("Any", key)["id"] for key in keys]


def run_to_the_end(worker: Worker) -> None:
    worker.start("--until-current")
    assert worker.wait(timeout=120) == 0, worker.last_words()


def stopped(worker: Worker, *arguments: str) -> str:
    """Run the worker until a fatal fault ends it, and return what it says; each time it is said once more."""
    before = len(worker.last_words(10**6))
    worker.start(*arguments)
    assert worker.wait(timeout=120) == 3, worker.last_words()
    return worker.last_words(10**6)[before:]


def wait_for(condition: Callable[[], object], worker: Worker, *, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, worker.last_words()
        time.sleep(0.1)
