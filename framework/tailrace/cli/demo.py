"""`tailrace demo`."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tailrace.demo.database import ShopServer


class Database(StrEnum):
    """What can be shown."""

    POSTGRES = "postgres"
    MYSQL = "mysql"
    MARIADB = "mariadb"


def demo(
    *,
    database: Annotated[
        Database,
        typer.Option(help="postgres, which comes with the demo; mysql or mariadb, if a server of it is installed."),
    ] = Database.POSTGRES,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Stop by itself after so long; else Ctrl-C stops it.", show_default=False),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--dir", help="Where to keep what is captured; an earlier demo there is moved aside.")
    ] = Path("tailrace-demo"),
) -> None:
    """Show it all at work: a database, a shop that trades, a worker, and a live view of what it captures.

    \b
    tailrace demo
    tailrace demo --database mysql
    tailrace demo --seconds 20 --dir ./what-a-shop
    """
    from rich.console import Console

    from tailrace.cli.output import quiet_logs
    from tailrace.demo.session import run_demo
    from tailrace.demo.view import view_for

    quiet_logs()
    run_demo(folder, _server(database), seconds=seconds, view=view_for(Console()), command=_own_name())


def _server(database: Database) -> Callable[[], ShopServer]:
    if database is Database.POSTGRES:
        from tailrace.demo.postgres_shop import PostgresShopServer

        return PostgresShopServer
    from tailrace.demo.mysql_shop import MysqlShopServer

    return lambda: MysqlShopServer("mysql" if database is Database.MYSQL else "mariadb")


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
