"""How far behind a sink is that nobody can ask: its process is not there, or hangs in its destination."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tailrace.errors import TailraceError
from tailrace.log.backend import Backlog, Measuring
from tailrace.position import Position
from tailrace.runtime.build import TaskSpec, build_log, sink_config

Measure: TypeAlias = "Callable[[Position], Backlog | None]"
"""From the position of a task's last commit to what follows it; None where that is not known."""


def unknown(_: Position) -> Backlog | None:
    """Return None: a `Measure` of what cannot be measured."""
    return None


def measure_of(spec: TaskSpec) -> Measure:
    """Return what measures a sink's backlog in its log; of a source, and where the log cannot, it is not known."""
    log = build_log(spec.log, spec.folder, spec.secrets)
    if spec.kind == "source" or not isinstance(log, Measuring):
        return unknown
    topics = sink_config(spec).topics

    def measure(position: Position) -> Backlog | None:
        try:
            return log.backlog(topics, position)
        except (TailraceError, OSError):
            return None  # gone or damaged: the task itself comes upon it and says so

    return measure
