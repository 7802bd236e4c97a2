"""Where archives lie: what every store must do so that files are published whole, and once.

Paths are relative to the archive, with `/` between their parts. Each method is atomic, or can be done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """A local disk, HDFS, or an object store. Errors are `Retriable` or `Fatal`, `FileExistsError` where it is said."""

    def open(self, task: str) -> Path:
        """Connect, and return the local folder in which files are to be written; it may hold what a crash left.

        Raises `Retriable` while another process has the archive's `task` open, as far as the store can tell.
        """
        ...

    def stage(self, file: Path, path: str) -> None:
        """Bring a local file to `path`, durably. Nobody looks there but who is the writer."""

    def move(self, path: str, to: str) -> bool:
        """Move a file to where readers look, at once and whole; False where it has been moved already.

        Raises `Fatal` where it is neither here nor there.
        """
        ...

    def create(self, path: str, data: bytes) -> None:
        """Create a file, whole and durable; raises `FileExistsError` where there is one."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises `Fatal` where there is none."""
        ...

    def names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder, sorted; none where there is no folder."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""

    def close(self) -> None:
        """Let go; safe at any time."""
