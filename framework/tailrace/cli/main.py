"""The `tailrace` command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tailrace.cli import check, demo, offsets, rebuild, run, schemas, search, status, tail, topics
from tailrace.cli.output import say_error
from tailrace.errors import ConfigError, TailraceError

FAILED, BAD_USAGE = 1, 2

app = typer.Typer(
    name="tailrace",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer's callback
    if value:
        from tailrace import __version__
        from tailrace.cli.output import emit

        emit(f"tailrace {__version__}")
        raise typer.Exit


@app.callback()
def tailrace(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Capture changes of databases into a log of Avro events, exactly once.

    \b
    tailrace check shop.yaml                 is everything set up as it has to be?
    tailrace run shop.yaml                   capture
    tailrace tail shop.public.orders --config shop.yaml --follow
    """


app.command("run", short_help="Run the worker.")(run.run)
app.command("check", short_help="Check config, servers, grants and tables.")(check.check)
app.command("topics", short_help="List topics, offsets and sizes.")(topics.topics)
app.command("tail", short_help="Print the records of a topic as JSON.")(tail.tail)
app.command("search", short_help="Look for words in a search sink.")(search.search)
app.command("rebuild", short_help="Build a sink's destination anew, while it serves.")(rebuild.rebuild)
app.command("status", short_help="Show how every task is doing.")(status.status)
app.command("demo", short_help="See it all at work on a database of its own.")(demo.demo)
app.add_typer(offsets.app, name="offsets")
app.add_typer(schemas.app, name="schemas")


def main() -> None:
    """Run a command; errors that are expected become one clear line, never a traceback."""
    try:
        app()
    except ConfigError as error:
        say_error(error)
        sys.exit(BAD_USAGE)
    except TailraceError as error:
        say_error(error)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
