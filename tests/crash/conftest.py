"""Workers and small disks for tests of mishaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from crash.disk import small_disk
from crash.user import MakeWorker
from crash.worker import Worker


@pytest.fixture
def make_worker(tmp_path: Path) -> Iterator[MakeWorker]:
    """A function `(url, table="public.orders", **options)` that makes a worker; it is gone after the test."""
    made: list[Worker] = []

    def make(url: str, table: str = "public.orders", **options: object) -> Worker:
        worker = Worker(tmp_path, url, (table,), options=options, worker_options={"restart_delay_max": 0.5})
        worker.write_config()
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.kill(with_tasks=True)


@pytest.fixture
def resize_disk(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """A function `(megabytes, name="data")` that gives that folder, the log's, a file system, or makes it as big."""
    disks: dict[str, Callable[..., None]] = {}
    with ExitStack() as mounted:

        def resize(megabytes: int, name: str = "data") -> None:
            if name in disks:
                disks[name](f"size={megabytes}m")
            else:
                disks[name] = mounted.enter_context(small_disk(tmp_path / name, megabytes))

        yield resize
