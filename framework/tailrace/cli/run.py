"""`tailrace run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.place import ConfigArgument

if TYPE_CHECKING:
    from tailrace.runtime.companion import Companion


def run(
    config: ConfigArgument,
    *,
    until_current: Annotated[
        bool, typer.Option("--until-current", help="End once everything that was there at the start is captured.")
    ] = False,
    connector: Annotated[
        list[str] | None, typer.Option(help="Run only this connector or sink; may be repeated.", show_default=False)
    ] = None,
    log_level: Annotated[
        str, typer.Option(envvar="TAILRACE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
    log_format: Annotated[str, typer.Option(envvar="TAILRACE_LOG", help="console or json.")] = "console",
) -> None:
    """Run the worker: capture, until SIGTERM or Ctrl-C; then finish what was read, commit, and end.

    \b
    tailrace run shop.yaml
    tailrace run shop.yaml --until-current --connector shop
    """
    from tailrace.runtime.spare import Spare, importing

    with Spare() as spare:  # first of all: it gets ready while we import, too
        with importing():
            from tailrace.config.settings import load_settings
            from tailrace.errors import ConfigError
            from tailrace.runtime.build import plan_worker
            from tailrace.runtime.logs import configure_logs, log_settings
            from tailrace.runtime.supervisor import Supervisor

            logging = log_settings(log_format, log_level)
            settings = load_settings(config)
            configure_logs(logging, settings.secrets)
            if until_current and settings.worker.group:
                raise ConfigError(
                    "--until-current: a worker of a group has no end of its own",
                    hint="leave worker.group out of the config file for that run, with no worker of the group running",
                )
            plan = plan_worker(settings, only=connector or (), logging=logging, until_current=until_current)
            companions: list[Companion] = []
            if settings.server is not None:
                from tailrace.server.companion import ApiProcess

                companions.append(ApiProcess(plan, settings.server, logging))
        supervisor = Supervisor(plan, until_current=until_current, spare=spare, companions=companions)
        raise typer.Exit(supervisor.run())
