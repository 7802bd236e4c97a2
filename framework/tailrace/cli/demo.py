"""`tailrace demo`."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer


def demo(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Stop by itself after so long; else Ctrl-C stops it.", show_default=False),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where to keep what is captured; an earlier demo there is moved aside.")
    ] = Path("tailrace-demo"),
) -> None:
    """Show it all at work: an embedded Postgres, a shop that trades, a worker, and a live view of what it captures.

    \b
    tailrace demo
    tailrace demo --seconds 20 --dir ./what-a-shop
    """
    from rich.console import Console

    from tailrace.cli.output import quiet_logs
    from tailrace.demo.session import run_demo
    from tailrace.demo.view import view_for

    quiet_logs()
    run_demo(folder, seconds=seconds, view=view_for(Console()), command=_own_name())


def _own_name() -> str:
    """How to call this command again from here: by its name if that leads to it, else by its path."""
    own = Path(sys.executable).parent / "tailrace"
    found = shutil.which("tailrace")
    if found is not None and Path(found).resolve() == own.resolve():
        return "tailrace"
    try:
        return shlex.quote(str(own.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(own))
