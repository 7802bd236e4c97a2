"""A log with one table's changes in it, and workers whose sinks load them: no database is needed on the other side."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from crash.worker import TAILRACE, Worker
from tailrace.codec.delivery import Delivery
from tailrace.event import Record
from tailrace.log.store.backend import BundledLog
from tailrace.runtime.state import TaskState, read_state, state_file
from tailrace.testing.deliveries import TOPIC, Deliveries

Row = tuple[int, str, str]
"""Id, name and note."""


class Yard:
    """`block` is what all sinks have in their settings; a sink's own go before it."""

    def __init__(self, folder: Path, **worker_options: object) -> None:
        self.folder = folder
        self.worker = Worker(folder, "", ())
        self.told = Deliveries(self.worker.log_path)
        self._worker_options = worker_options
        self._random = random.Random(7)  # for notes that do not compress, the same in every run

    @property
    def rows(self) -> list[Row]:
        """What every destination has to hold in the end."""
        return sorted((number, str(row["name"]), str(row["note"])) for number, row in self.told.rows.items())

    def configure(self, sinks: Mapping[str, Mapping[str, object]]) -> None:
        """Write the config file."""
        common = {"topics": ["contract.*"]}
        document = {
            "log": {"type": "bundled", "path": "./data"},
            "worker": dict(self._worker_options),
            "sinks": {name: {**common, **block} for name, block in sinks.items()},
        }
        self.worker.config.write_text(yaml.safe_dump(document))

    def fill(self, first: int, last: int, *, size: int = 40) -> None:
        """Write inserts of these rows, and an update of every third, into the log; notes are of so many characters."""
        deliveries: list[Delivery] = []
        for number in range(first, last + 1):
            deliveries += self.told.insert(number, name=f"row {number}", note=self._random.randbytes(size // 2).hex())
            if number % 3 == 0:
                deliveries += self.told.update(number, name=f"row {number} again")
        self._write(deliveries)

    def tell(self, number: int, *, name: str) -> None:
        """Write the insert of one row into the log."""
        self._write(self.told.insert(number, name=name, note=""))

    def spoil(self) -> None:
        """Write a record into the log that cannot be decoded."""
        self._write(self.told.unreadable())

    def run_to_the_end(self, *, code: int) -> None:
        """Run a worker until its sinks have all that the log has."""
        self.worker.start("--until-current")
        assert self.worker.wait(timeout=240) == code, self.worker.last_words(100)

    def tasks(self) -> dict[str, TaskState]:
        """What the worker last wrote about its tasks."""
        state = read_state(state_file(self.worker.log_path))
        return {task.name: task for task in state.tasks} if state else {}

    def wait(self, holds: Callable[[dict[str, TaskState]], bool], *, timeout: float = 150) -> None:
        """Wait until something holds of the tasks."""
        deadline = time.monotonic() + timeout
        while not holds(self.tasks()):
            assert time.monotonic() < deadline, self.worker.last_words(100)
            assert self.worker.running, self.worker.last_words(100)
            time.sleep(0.1)

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run `tailrace …` with the config file; return exit code and what it wrote."""
        command = [str(TAILRACE), arguments[0], str(self.worker.config), *arguments[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def status(self) -> dict[str, dict[str, Any]]:
        """What `tailrace status --json` says of each task."""
        code, said = self.command("status", "--json")
        assert code == 0, said
        return {task["name"]: task for task in json.loads(said)["tasks"]}

    def _write(self, deliveries: Sequence[Delivery]) -> None:
        writer = BundledLog.at(self.worker.log_path).writer()
        writer.open("filler")
        writer.write(
            [
                Record(TOPIC, stored.key, stored.value, stored.timestamp_ms, stored.headers)
                for stored in (delivery.record for delivery in deliveries)
            ]
        )
        writer.commit(self.told.position)
        writer.close()
