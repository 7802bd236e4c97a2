"""`tailrace schemas`: the registry of a log's schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tailrace.cli.place import ConfigOption, JsonOption, PathOption, open_log
from tailrace.errors import ConfigError, TailraceError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look into the schema registry.")

SubjectArgument = Annotated[str, typer.Argument(help="For example shop.public.orders-value.", show_default=False)]


@app.command("list")
def list_(config: ConfigOption = None, path: PathOption = None, *, as_json: JsonOption = False) -> None:
    """List subjects with their versions, newest schema id, compatibility level, and what the newest breaks.

    \b
    tailrace schemas list --config shop.yaml
    """
    from tailrace.cli.output import emit_json, emit_table

    registry = open_log(config, path).registry()
    rows: list[dict[str, str | int]] = []
    for subject in registry.subjects():
        versions = registry.versions(subject)
        newest = versions[-1]
        rows.append(
            {
                "subject": subject,
                "versions": len(versions),
                "id": newest.id,
                "compatibility": registry.compatibility(subject),
                "incompatible": newest.incompatible,
            }
        )
    if as_json:
        emit_json(rows)
        return
    emit_table(
        ("SUBJECT", "VERSIONS", "ID", "COMPATIBILITY", "INCOMPATIBLE"),
        [(row["subject"], row["versions"], row["id"], row["compatibility"], row["incompatible"]) for row in rows],
    )


@app.command()
def show(
    subject: SubjectArgument,
    config: ConfigOption = None,
    path: PathOption = None,
    version: Annotated[int | None, typer.Option(help="The newest, if not given.", show_default=False)] = None,
) -> None:
    """Print a schema's JSON, and nothing else.

    \b
    tailrace schemas show shop.public.orders-value --config shop.yaml --version 1
    """
    from tailrace.cli.output import emit_json

    versions = open_log(config, path).registry().versions(subject)
    found = [entry for entry in versions if version is None or entry.version == version]
    if not found:
        known = ", ".join(str(entry.version) for entry in versions)
        raise TailraceError(f"subject {subject} has no version {version}", hint=f"there are: {known}")
    emit_json(found[-1].schema)


@app.command()
def check(
    subject: SubjectArgument,
    file: Annotated[Path, typer.Argument(help="An Avro schema as JSON.", show_default=False)],
    config: ConfigOption = None,
    path: PathOption = None,
) -> None:
    """Say what a schema would break if it were registered as the subject's next version; exit code 1 if anything.

    \b
    tailrace schemas check shop.public.orders-value orders.avsc --config shop.yaml
    """
    from tailrace.cli.output import emit

    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file} is not JSON") from error
    registry = open_log(config, path).registry()
    problems = registry.check(subject, schema)
    level = registry.compatibility(subject)
    for problem in problems:
        emit(problem)
    if problems:
        raise typer.Exit(1)
    emit(f"compatible with {subject} at level {level}")
