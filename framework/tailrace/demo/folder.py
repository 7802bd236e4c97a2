"""The demo's folder: it is the worker's log path, with the config file and the worker's log beside the topics.

Each demo begins anew. What an earlier one captured is kept: its folder is renamed, never emptied.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tailrace.errors import ConfigError
from tailrace.runtime.lock import worker_holding

CONFIG = """\
# Written by tailrace demo. The database is gone when the demo ends; what was captured stays in this folder.
log: {{type: bundled, path: .}}
connectors:
  shop:
    type: {type}
    url: {url}
    topic_prefix: shop
    tables: ["{namespace}.*"]
    heartbeat_interval: 5
sinks:
  index: {{type: search, topics: ["shop.{namespace}.*"], path: ./index}}
  replica: {{type: replica, topics: ["shop.{namespace}.*"], url: "sqlite:{folder}/replica.db"}}
"""
ARCHIVE = """\
  archive: {{type: archive, topics: ["shop.{namespace}.*"], path: ./archive, commit_interval: 2}}
"""


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Where a demo keeps what it captures."""

    path: Path

    @property
    def config(self) -> Path:
        """The worker's config file; it also marks the folder as a demo's."""
        return self.path / "demo.yaml"

    @property
    def worker_log(self) -> Path:
        """What the worker logs."""
        return self.path / "worker.log"

    def prepare(self) -> Path | None:
        """Create the folder; return where the one of an earlier demo was moved, None if there was none.

        Raises `ConfigError` where somebody else's files are, or another demo still runs.
        """
        moved = self._move_aside() if self.path.exists() else None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot create folder {self.path}: {error.strerror}", hint="choose another with --dir"
            ) from error
        return moved

    @property
    def replica(self) -> Path:
        """The database that the replica sink keeps."""
        return self.path / "replica.db"

    @property
    def archive(self) -> Path:
        """The files of the archive, where what writes them is installed."""
        return self.path / "archive"

    def write_config(self, source: str, namespace: str, url: str) -> None:
        """Write the config file of a worker that captures `namespace` of the database at `url`.

        `source` is the type of its connector. The sinks load what can be queried.
        """
        text = CONFIG + (ARCHIVE if installed("pyarrow", "fsspec") else "")
        filled = text.format(type=source, namespace=namespace, url=url, folder=self.path.absolute())
        self.config.write_text(filled, encoding="utf-8")

    def _move_aside(self) -> Path | None:
        if not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file", hint="choose a folder with --dir")
        if not any(self.path.iterdir()):
            return None
        if not self.config.exists():
            raise ConfigError(
                f"folder {self.path} holds something that is not a demo's", hint="choose an empty folder with --dir"
            )
        if (pid := worker_holding(self.path)) is not None:
            raise ConfigError(
                f"a demo is running in {self.path}, its worker has pid {pid}",
                hint="stop it first, or choose another folder with --dir",
            )
        when = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.config.stat().st_mtime))
        target = self.path.with_name(f"{self.path.name}-{when}")
        number = 1
        while target.exists():
            number += 1
            target = self.path.with_name(f"{self.path.name}-{when}-{number}")
        try:
            return self.path.rename(target)
        except OSError as error:
            raise ConfigError(
                f"cannot move the earlier demo in {self.path} aside: {error.strerror}", hint="choose another with --dir"
            ) from error


def installed(*packages: str) -> bool:
    """Whether all of these are there."""
    return all(find_spec(package) is not None for package in packages)
