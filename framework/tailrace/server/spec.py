"""What the API's process has to know. It holds secrets: it goes through a pipe, never to a disk or a log."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tailrace.runtime.logs import LogSettings


class ServerSpec(BaseModel):
    """`descriptor` is the socket that listens already."""

    model_config = ConfigDict(frozen=True)

    descriptor: int
    log: dict[str, object]
    folder: Path
    secrets: frozenset[str] = frozenset()
    logging: LogSettings = LogSettings()
    token: str = ""
