"""`tailrace rebuild`."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli.place import ConfigArgument
from tailrace.errors import ConfigError


def rebuild(
    config: ConfigArgument, sink: Annotated[str, typer.Option(help="The sink to build anew.", show_default=False)]
) -> None:
    """Build what a sink filled anew from the log, beside what serves, and switch over when it has caught up.

    The worker may run meanwhile: it keeps the old indexes up to date, and goes on in the new ones after the switch.
    A rebuild that was interrupted goes on when it is called again. Records that the destination refuses are logged.

    \b
    tailrace rebuild shop.yaml --sink find
    """
    from tailrace.cli.output import emit, quiet_logs
    from tailrace.config.settings import load_settings
    from tailrace.runtime.build import task_spec
    from tailrace.runtime.rebuilding import rebuild_sink

    quiet_logs()
    settings = load_settings(config)
    if sink not in settings.sinks:
        raise ConfigError(f"no sink named {sink}", hint=f"there are: {', '.join(settings.sinks) or 'none'}")
    for line in rebuild_sink(task_spec(settings, "sink", sink)):
        emit(line)
