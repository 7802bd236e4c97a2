"""Which store a path names."""

from __future__ import annotations

from pathlib import Path

from tailrace_archive.config import ArchiveConfig
from tailrace_archive.disk import DiskStore
from tailrace_archive.remote import RemoteStore
from tailrace_archive.store import Store


def store_of(config: ArchiveConfig, own: str) -> Store:
    """Return the store; `own` is the folder within it that belongs to the sink. Does no I/O."""
    if isinstance(config.path, Path):
        return DiskStore(config.path, own)
    return RemoteStore(config.path, config.options, own, config.spool)
