"""The config file as a whole: which blocks there are. What is inside `log`, a connector or a sink is its plug-in's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, SecretStr

from tailrace.config.document import read_document
from tailrace.config.interpolation import Interpolation
from tailrace.config.masking import Masker
from tailrace.config.validation import unknown_key, validate
from tailrace.errors import ConfigError

Block: TypeAlias = Mapping[str, object]
"""A block of the file that belongs to a plug-in: keys and values, placeholders filled in."""

DEFAULT_LOG: Block = {"type": "bundled", "path": "./tailrace-data"}

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


class ServerSettings(BaseModel):
    """The worker's HTTP API; it is served where the block is there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = Field("127.0.0.1:8083", pattern=r"^.+:\d{1,5}$", description="address and port, host:port")
    token: SecretStr = Field(
        SecretStr(""),
        description="demanded of every request, as a bearer token or as the password of basic authentication",
    )


class WorkerSettings(BaseModel):
    """How tasks are watched, restarted and stopped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path | None = Field(None, description="where the worker keeps its lock and state; the log's path if not set")
    restart_delay: PositiveFloat = Field(0.5, description="seconds before the first restart; doubles with each further")
    restart_delay_max: PositiveFloat = Field(60.0, description="longest wait in seconds between restarts")
    restart_limit: int = Field(10, ge=0, description="restarts without progress after which a task is FAILED")
    watchdog: PositiveFloat = Field(
        120.0, description="seconds without a sign of life after which a running task is killed and restarted"
    )
    stop_timeout: PositiveFloat = Field(30.0, description="seconds that a task may take to drain before it is killed")
    group: str = Field(
        "",
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="name under which workers share the tasks out; with it, "
        "the same file runs on several machines (docs/cluster.md); asks for log: {type: kafka}",
    )
    session_timeout: float = Field(
        15.0,
        ge=1.0,
        description="seconds after which a worker that Kafka hears nothing of has lost its tasks to the others",
    )
    cleanup_interval: PositiveFloat = Field(300.0, description="seconds between passes of retention and compaction")


@dataclass(frozen=True, slots=True)
class Settings:
    """A config file, read. Its repr is safe to print."""

    file: Path
    log: Block
    connectors: Mapping[str, Block]
    sinks: Mapping[str, Block]
    server: ServerSettings | None
    worker: WorkerSettings
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def folder(self) -> Path:
        """Where relative paths of the file start."""
        return self.file.parent

    def __repr__(self) -> str:
        masker = Masker(self.secrets)
        blocks = {"log": self.log, "connectors": self.connectors, "sinks": self.sinks}
        return f"Settings({self.file}, {masker.tree({name: _plain(block) for name, block in blocks.items()})})"


def load_settings(file: Path, *, only_log: bool = False, only_sinks: bool = False) -> Settings:
    """Read a config file; raises `ConfigError` for whatever is wrong outside of the plug-ins' own keys.

    `only_log` leaves the placeholders of connectors and sinks alone: who looks into the log needs no password of a
    database for it. `only_sinks` leaves those of connectors alone.
    """
    file = file.expanduser().absolute()
    document = read_document(file)
    known = ["log", "server", "worker", "connectors", "sinks"]
    for key in document:
        if key not in known:
            raise ConfigError(f"{file}: {unknown_key(key, known, '')}")
    interpolation = Interpolation(file.parent)
    left_alone = {"connectors", "sinks"} if only_log else {"connectors"} if only_sinks else set()

    def block(key: str, default: object) -> object:
        value = document.get(key)
        value = default if value is None else value
        return value if key in left_alone else interpolation.fill(value, key)

    settings = Settings(
        file=file,
        log=_mapping(block("log", DEFAULT_LOG), "log"),
        connectors=_named(block("connectors", {}), "connectors"),
        sinks=_named(block("sinks", {}), "sinks"),
        server=validate(ServerSettings, block("server", {}), "server", folder=file.parent)
        if "server" in document
        else None,
        worker=validate(WorkerSettings, block("worker", {}), "worker", folder=file.parent),
        secrets=frozenset(interpolation.secrets),
    )
    for name in settings.sinks:
        if name in settings.connectors:
            raise ConfigError(f"sinks.{name}: a connector has this name already", hint="give one of them another name")
    return settings


def _mapping(value: object, path: str) -> Block:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: must be keys and values")
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(f"{path}: key {key!r} must be text", hint="put it in quotes")
    return value


def _named(value: object, path: str) -> dict[str, Block]:
    blocks = _mapping(value, path)
    for name in blocks:
        if not _NAME.match(name):
            raise ConfigError(
                f'{path}: "{name}" cannot be a name', hint="use letters, digits, dot, dash and underscore, at most 100"
            )
    return {name: _mapping(block, f"{path}.{name}") for name, block in blocks.items()}


def _plain(block: object) -> object:
    return {key: _plain(value) for key, value in block.items()} if isinstance(block, Mapping) else block
