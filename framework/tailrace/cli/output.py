"""What commands print: data to stdout, errors to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import typer

from tailrace.errors import TailraceError


def emit(text: str) -> None:
    """Print one line of data; ends the command in good order when nobody reads any more (`| head`)."""
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError:
        abandon_stdout()


def flush() -> None:
    """Hand over what was printed, so that a reader of a pipe sees it now."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()


def abandon_stdout() -> None:
    """End the command with exit code 0; what is left in the buffer goes nowhere, or the interpreter would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise typer.Exit(0)


def emit_json(value: object) -> None:
    """Print `value` as indented JSON."""
    emit(json.dumps(value, indent=2, ensure_ascii=False))


def emit_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns, numbers to the right; an empty cell is a dash."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [
        bool(rows) and all(isinstance(row[column], int | float | None) for row in rows) for column in range(len(header))
    ]
    for row in cells:
        parts = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        emit("  ".join(parts).rstrip())


def say_error(error: TailraceError) -> None:
    """Print what went wrong, and what to do about it."""
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")


def quiet_logs() -> None:
    """Let only warnings through: this command's output is data."""
    from tailrace.runtime.logs import LogSettings, configure_logs

    configure_logs(LogSettings(level="warning"))


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
