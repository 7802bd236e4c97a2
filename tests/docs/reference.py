"""The text of docs/commands.md, out of the commands themselves; run as a script, writes all references anew."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from docs.configuration import configuration
from tailrace.cli.main import app

DOCS = Path(__file__).parents[2] / "docs"

HEAD = """\
# Commands

Data goes to stdout, logs and errors to stderr. Exit codes: 0 done, 1 failed, 2 bad usage or configuration,
3 stopped by a fatal task.

<!-- Written by `make reference` out of the commands' own help; a test compares. -->
"""


def reference() -> str:
    """Return the text of the reference."""
    return HEAD + "".join(_sections(typer.main.get_command(app), "tailrace"))


def _sections(command: Any, name: str) -> Iterator[str]:
    """One section per command; typer brings its own click, so its classes are not named here."""
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from _sections(inner, f"{name} {word}")
        return
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join([name, *(_argument(argument) for argument in arguments)])
    text, _, examples = inspect.cleandoc(command.help).partition("\b\n")
    yield f"\n## {usage}\n\n{' '.join(text.split())}\n"
    if examples:
        yield f"\n```sh\n{examples.strip()}\n```\n"
    rows = [*((_argument(argument), argument.help, "") for argument in arguments)]
    rows += [(_option(option), option.help, _default(option)) for option in options]
    if rows:
        yield "\n| argument | meaning | default |\n| --- | --- | --- |\n"
        yield from (f"| `{what}` | {help_ or ''} | {default} |\n" for what, help_, default in rows)


def _argument(argument: Any) -> str:
    word = str(argument.name).upper()
    return word if argument.required else f"[{word}]"


def _option(option: Any) -> str:
    longest, *others = sorted(option.opts, key=len, reverse=True)
    value = "" if option.is_flag else f" {longest.lstrip('-').upper().replace('-', '_')}"
    return ", ".join([longest, *others]) + value


def _default(option: Any) -> str:
    if option.required:
        return "must be given"
    shown = not option.is_flag and not callable(option.default) and option.default not in {None, ""}
    return f"`{option.default}`" if shown else ""


def references() -> dict[Path, str]:
    """Return what is to stand in each file that is written from code."""
    return {DOCS / "commands.md": reference(), DOCS / "configuration.md": configuration()}


if __name__ == "__main__":
    for path, text in references().items():
        path.write_text(text, encoding="utf-8")
