"""Workers and small disks for tests of mishaps."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """A function that gives the worker's log folder a file system of so many megabytes, or makes it as big."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("mounting a small disk needs root")
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "data"
    folder.mkdir()

    def resize(megabytes: int) -> None:
        how = ["-o", f"size={megabytes}m" + (",remount" if os.path.ismount(folder) else "")]
        subprocess.run(["mount", "-t", "tmpfs", *how, "tmpfs", str(folder)], check=True)

    yield resize
    if os.path.ismount(folder):
        subprocess.run(["umount", "-l", str(folder)], check=True)
