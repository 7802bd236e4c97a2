"""Plug-ins by entry point: the class that a `type:` in the config file names. Ours register as a stranger's would."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from tailrace.config.settings import Block
from tailrace.config.validation import validate
from tailrace.errors import ConfigError
from tailrace.sink import SinkConfig
from tailrace.source import SourceConfig

GROUPS: Mapping[str, str] = {
    "tailrace.sources": "source",
    "tailrace.sinks": "sink",
    "tailrace.transforms": "transform",
    "tailrace.log_backends": "log back-end",
}


_SETTINGS: Mapping[str, type[BaseModel]] = {"tailrace.sources": SourceConfig, "tailrace.sinks": SinkConfig}
"""What a plug-in's `Config` has to extend: the runtime needs those settings itself."""


class Plugin(Protocol):
    """What an entry point names: a class that is built from an instance of its `Config`, and does no I/O then."""

    Config: type[BaseModel]

    def __call__(self, *arguments: Any) -> Any:
        """Build it: sources and sinks from name and config, transforms and log back-ends from the config alone."""
        ...


def installed(group: str) -> list[str]:
    """Return the types of `group` that are installed, sorted."""
    return sorted({entry.name for entry in entry_points(group=group)})


def find_plugin(group: str, block: Block, path: str) -> Plugin:
    """Return the class that `block`'s `type` names; raises `ConfigError` listing what is installed."""
    kind, name = GROUPS[group], block.get("type")
    if not isinstance(name, str):
        raise ConfigError(f"{path}.type: missing", hint=_installed_hint(group))
    found = {entry.value: entry for entry in entry_points(group=group, name=name)}
    if not found:
        near = difflib.get_close_matches(name, installed(group), n=1)
        question = f', did you mean "{near[0]}"?' if near else ""
        raise ConfigError(f'{path}.type: no {kind} named "{name}" is installed{question}', hint=_installed_hint(group))
    if len(found) > 1:
        raise ConfigError(
            f'{path}.type: several packages install a {kind} named "{name}": {", ".join(sorted(found))}',
            hint="uninstall all but one of them",
        )
    return _load(next(iter(found.values())), group, path)


def plugin_config(plugin: Plugin, block: Block, path: str, *, folder: Path, secrets: frozenset[str]) -> Any:
    """Return `block` as the plug-in's own `Config`; raises `ConfigError` naming what does not fit."""
    return validate(plugin.Config, block, path, folder=folder, secrets=secrets)


def _load(entry: EntryPoint, group: str, path: str) -> Plugin:
    kind, settings = GROUPS[group], _SETTINGS.get(group, BaseModel)
    try:
        plugin: Plugin = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f'{path}.type: {kind} "{entry.name}" cannot be loaded from {entry.value}: {error}',
            hint="install the package again, with what it needs",
        ) from error
    config = getattr(plugin, "Config", None)
    if not (isinstance(config, type) and issubclass(config, settings)):
        wanted = f"{settings.__module__}.{settings.__qualname__}"
        raise ConfigError(f'{path}.type: {kind} "{entry.name}" ({entry.value}) has no `Config` that extends {wanted}')
    return plugin


def _installed_hint(group: str) -> str:
    names = installed(group)
    return f"installed are: {', '.join(names)}" if names else f"no {GROUPS[group]} is installed"
