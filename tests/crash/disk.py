"""Small disks, to be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int, owner: tuple[int, int] | None = None) -> Iterator[Callable[..., None]]:
    """Mount a file system of so many megabytes; give a function that makes it of another size, or read-only."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("mounting a small disk needs root")
        pytest.skip("mounting a small disk needs root")
    folder.mkdir(parents=True, exist_ok=True)

    def mount(*options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)], check=True)

    owned = [] if owner is None else [f"uid={owner[0]}", f"gid={owner[1]}", "mode=700"]
    mount(f"size={megabytes}m", *owned)
    try:
        yield lambda *options: mount("remount", *options)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
