"""The demo's live view: a table that is drawn over itself in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tailrace.demo.capture import CapturedEvent, CapturedTopic
from tailrace.runtime.state import TaskState

COLOURS = {"snapshot": "cyan", "insert": "green", "update": "yellow", "delete": "red"}

PLAIN_INTERVAL = 1.0
"""Seconds between plain lines."""

PLAIN_EVENTS = 3
"""Events beneath a plain line, at most."""


@dataclass(frozen=True, slots=True)
class Glance:
    """Everything that the view shows, at one moment. Seconds since the start; rates per second."""

    seconds: float
    committed: int
    rolled_back: int
    events: int
    events_per_second: float
    task: TaskState | None
    topics: Mapping[str, CapturedTopic]
    last: Sequence[CapturedEvent]


class View(Protocol):
    """Where the demo shows how it is going."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def show(self, glance: Glance) -> None:
        """Show the state of affairs; called several times a second."""

    def close(self) -> None:
        """Leave what was shown last as it is; lines may still be said."""


def view_for(console: Console) -> View:
    """Return the view that fits: live in a terminal, lines in a pipe or a file."""
    return LiveView(console) if console.is_terminal else PlainView(console)


class LiveView:
    """Draws over itself."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def say(self, text: str) -> None:
        """Print above the drawing."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, glance: Glance) -> None:
        """Draw anew."""
        self._live.start()
        self._live.update(draw(glance), refresh=True)

    def close(self) -> None:
        """Stop drawing."""
        self._live.stop()


class PlainView:
    """Prints a line a second, and the newest events beneath it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = float("-inf")
        self._shown: CapturedEvent | None = None

    def say(self, text: str) -> None:
        """Print a line, at once also where the output is a pipe."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()

    def show(self, glance: Glance) -> None:
        """Print what is new, if the last time was a second ago, or if these are the first events."""
        first = self._shown is None and bool(glance.last)
        if glance.seconds < self._shown_at + PLAIN_INTERVAL and not first:
            return
        self._shown_at = glance.seconds
        self.say(headline(glance))
        if glance.last and glance.last[-1] is not self._shown:
            self._shown = glance.last[-1]
            for event in list(glance.last)[-PLAIN_EVENTS:]:
                self.say(f"    {event_line(event)[:150]}")

    def close(self) -> None:
        """Do nothing: all that was said is out."""


def headline(glance: Glance) -> str:
    """Return the state of affairs in one line."""
    return (
        f"{glance.seconds:5.1f} s   shop {glance.committed} transactions, {glance.rolled_back} rolled back   "
        f"captured {glance.events} events, {glance.events_per_second:.0f}/s   worker {task_line(glance.task)}"
    )


def task_line(task: TaskState | None) -> str:
    """Return the worker's state and lag in a few words."""
    if task is None:
        return "starting"
    words = [str(task.state), task.phase]
    if task.snapshot is not None:
        words.append(f"{task.snapshot.percent:.0f} %")
    if task.lag_bytes is not None:
        words.append(f"lag {size(task.lag_bytes)}")
    if task.lag_seconds is not None:
        words.append(f"{task.lag_seconds:.1f} s")
    if task.error is not None:
        words.append(f"last error: {task.error.message}")
    return " ".join(word for word in words if word)


def event_line(event: CapturedEvent) -> str:
    """Return one event in one line."""
    return (
        f"{event.at:%H:%M:%S}.{event.at.microsecond // 1000:03} {event.word:8} {event.table} {event.key}  {event.what}"
    )


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def draw(glance: Glance) -> RenderableType:
    """Return the live view."""
    healthy = glance.task is not None and glance.task.healthy and glance.task.state == "RUNNING"
    top = Table.grid(padding=(0, 2))
    top.add_row("shop", f"{glance.committed} transactions, {glance.rolled_back} rolled back")
    top.add_row("captured", f"{glance.events} events, {glance.events_per_second:.0f} a second")
    top.add_row("worker", Text(task_line(glance.task), style="green" if healthy else "yellow"))
    title = f"tailrace demo · {glance.seconds:.0f} s · Ctrl-C stops"
    return Panel(
        Group(top, Text(), _topics(glance.topics), Text(), _events(glance.last)), title=title, title_align="left"
    )


def _topics(topics: Mapping[str, CapturedTopic]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("table")
    for name in ("next offset", "bytes", *COLOURS, "rows"):
        table.add_column(name, justify="right")
    for name, topic in sorted(topics.items()):
        counts = [str(topic.words[word]) for word in COLOURS]
        table.add_row(name, str(topic.next_offset), size(topic.size), *counts, str(len(topic.live)))
    return table


def _events(events: Sequence[CapturedEvent]) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    for width in (8, 8, 11):
        table.add_column(no_wrap=True, min_width=width)
    table.add_column(no_wrap=True, min_width=5, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for event in events:
        word = Text(event.word, style=COLOURS.get(event.word, ""))
        table.add_row(f"{event.at:%H:%M:%S}", word, event.table, event.key, Text(event.what, style="dim"))
    return table
