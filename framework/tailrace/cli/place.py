"""Which log a command looks into: the one of a config file, or a folder of the bundled one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.errors import ConfigError

if TYPE_CHECKING:
    from tailrace.log.backend import LogBackend

ConfigArgument = Annotated[Path, typer.Argument(help="The config file.", show_default=False)]
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="The config file.", show_default=False)]
PathOption = Annotated[
    Path | None, typer.Option("--path", "-p", help="The folder of a bundled log, instead.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def open_log(config: Path | None, path: Path | None) -> LogBackend:
    """Return the log; raises `ConfigError` unless exactly one of `config` and `path` is given, and exists."""
    from tailrace.cli.output import quiet_logs
    from tailrace.config.settings import load_settings
    from tailrace.runtime.build import build_log

    quiet_logs()
    if (config is None) == (path is None):
        raise ConfigError("say which log to look into, once", hint="--config CONFIG, or --path DIR for a bundled log")
    if config is not None:
        settings = load_settings(config, only_log=True)
        return build_log(settings.log, settings.folder, settings.secrets)
    assert path is not None
    if not path.is_dir():
        raise ConfigError(f"no log at {path}: there is no such folder")
    return build_log({"type": "bundled", "path": str(path.absolute())}, Path.cwd())
