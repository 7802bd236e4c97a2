"""`tailrace offsets`: where each task resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.place import ConfigArgument, JsonOption
from tailrace.errors import ConfigError, TailraceError

if TYPE_CHECKING:
    from tailrace.position import Position
    from tailrace.runtime.connect_offsets import StoredOffset
    from tailrace.runtime.positions import Positions

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and change where tasks resume.")

ConnectorOption = Annotated[str, typer.Option(help="The connector or sink.", show_default=False)]


@app.command()
def show(config: ConfigArgument, *, as_json: JsonOption = False) -> None:
    """Show the position of each task's last commit.

    \b
    tailrace offsets show shop.yaml --json
    """
    from tailrace.cli.output import emit, emit_json

    found = _positions(config)
    positions = found.all()
    if as_json:
        emit_json(positions)
        return
    for name, position in positions.items():
        unknown = found.unknown.get(name)
        emit(f"{name}  {json.dumps(position) if position is not None else '-' if unknown is None else f'? {unknown}'}")


@app.command("set")
def set_(
    config: ConfigArgument,
    connector: ConnectorOption,
    position: Annotated[
        str, typer.Argument(help="The position: a JSON object, as `show` prints it.", show_default=False)
    ],
) -> None:
    """Have a stopped task resume elsewhere. What lies between is then missing from the log, or in it twice.

    \b
    tailrace offsets show shop.yaml --json           # what it looks like
    tailrace offsets set shop.yaml --connector lake '{"shop.public.orders-0": 1200}'
    """
    try:
        parsed = json.loads(position)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ConfigError(
            "the position must be a JSON object", hint="copy one from: tailrace offsets show CONFIG --json"
        )
    _change(config, connector, parsed)


@app.command()
def reset(config: ConfigArgument, connector: ConnectorOption) -> None:
    """Forget a stopped task's position: it begins anew, a source with its snapshot. The topics stay as they are.

    \b
    tailrace offsets reset shop.yaml --connector shop
    """
    _change(config, connector, None)


@app.command("import")
def import_(
    config: ConfigArgument,
    connector: Annotated[str, typer.Option(help="The connector that goes on.", show_default=False)],
    file: Annotated[
        Path | None,
        typer.Option(help="Kafka Connect's file of offsets, or JSON of its REST API.", show_default=False),
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="Kafka Connect's topic of offsets, in the config's log.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Debezium's connector; by its topic.prefix, if not given.", show_default=False)
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the position, and set nothing.")] = False,
) -> None:
    """Go on where Debezium stopped: from the offset that it stored, in the same topics. Stop Debezium first.

    \b
    tailrace offsets import shop.yaml --connector shop --topic connect-offsets --dry-run
    tailrace offsets import shop.yaml --connector shop --file ./offsets.dat
    """
    from tailrace.cli.output import emit, quiet_logs
    from tailrace.config.settings import load_settings
    from tailrace.runtime.build import build_log
    from tailrace.runtime.connect_offsets import offsets_in_file, offsets_in_topic
    from tailrace.runtime.positions import Positions
    from tailrace.runtime.takeover import position_for

    quiet_logs()
    settings = load_settings(config)
    if (file is None) == (topic is None):
        raise ConfigError("say where the offsets are, once", hint="--file FILE, or --topic TOPIC of the config's log")

    def stored() -> list[StoredOffset]:
        if file is not None:
            return offsets_in_file(file)
        return offsets_in_topic(build_log(settings.log, settings.folder, settings.secrets), str(topic))

    offset, position = position_for(settings, connector, stored, connector=name)
    emit(f"from  {json.dumps(offset.offset)}")
    if not dry_run:
        Positions(settings).replace(connector, position)
    emit(f"{connector}  {json.dumps(position)}")


def _change(config: Path, connector: str, position: Position | None) -> None:
    from tailrace.cli.output import emit

    positions = _positions(config)
    known = positions.all()
    if connector not in known:
        raise TailraceError(f"no task named {connector}", hint=f"there are: {', '.join(known) or 'none'}")
    positions.replace(connector, position)
    emit(f"{connector}  {json.dumps(position) if position is not None else '-'}")


def _positions(config: Path) -> Positions:
    from tailrace.cli.output import quiet_logs
    from tailrace.config.settings import load_settings
    from tailrace.runtime.positions import Positions

    quiet_logs()
    settings = load_settings(config, only_log=True)
    # A sink may keep its position in its destination, and need its password to be asked.
    return Positions(load_settings(config, only_sinks=True) if settings.sinks else settings)
