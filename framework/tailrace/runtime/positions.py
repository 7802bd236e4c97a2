"""Positions of all tasks of a config file, wherever they are kept: in the log, beside a sink, or in its destination."""

from __future__ import annotations

from tailrace.config.settings import Settings
from tailrace.errors import TailraceError
from tailrace.log.seat import Shared
from tailrace.position import Position
from tailrace.runtime.build import (
    build_log,
    build_sink,
    keeps_position,
    sink_config,
    sink_offsets,
    task_spec,
    worker_folder,
)
from tailrace.runtime.lock import worker_holding
from tailrace.sink import Repositioning


class Positions:
    """Shows positions at any time; replaces one only while no worker runs that could write it again."""

    def __init__(self, settings: Settings) -> None:
        self.unknown: dict[str, TailraceError] = {}
        """Sinks that keep their position where it could not be looked up, as of the last `all`."""
        self._settings = settings
        self._folder = worker_folder(settings)
        self._log = build_log(settings.log, settings.folder, settings.secrets)

    def all(self) -> dict[str, Position | None]:
        """Return the position of every task of the config file, and of every other that the log knows."""
        kept = {**self._log.positions(), **sink_offsets(self._folder).tasks()}
        named: dict[str, Position | None] = dict.fromkeys([*self._settings.connectors, *self._settings.sinks])
        self.unknown.clear()
        return {**named, **kept, **{name: self._told(name) for name in self._settings.sinks if self._own(name)}}

    def replace(self, task: str, position: Position | None) -> None:
        """Set or forget (None) the position of a task; raises `TailraceError` while a worker runs."""
        if (pid := worker_holding(self._folder)) is not None:
            raise TailraceError(
                f"cannot change the position of {task} while worker {pid} is running",
                hint=f"stop the worker (kill {pid}), change the position, and start it again",
            )
        group = self._settings.worker.group
        if group and isinstance(self._log, Shared) and (owner := self._log.owner(group, task)) is not None:
            raise TailraceError(
                f"cannot change the position of {task} while worker {owner} runs it",
                hint=f"stop the workers of group {group}, change the position, and start them again",
            )
        if task not in self._settings.sinks:
            self._log.set_position(task, position)
        elif (sink := self._own(task)) is not None:
            _repositioning(task, sink).set_position(task, position)
        elif isinstance(self._log, Shared):
            self._log.set_position(task, position)
        elif position is None:
            sink_offsets(self._folder).remove(task)
        else:
            sink_offsets(self._folder).save(task, position)

    def _own(self, name: str) -> object | None:
        """Return the sink, where it keeps its position itself."""
        spec = task_spec(self._settings, "sink", name)
        sink = build_sink(spec, sink_config(spec))
        return sink if keeps_position(sink) else None

    def _told(self, name: str) -> Position | None:
        try:
            return _repositioning(name, self._own(name)).position(name)
        except TailraceError as error:
            self.unknown[name] = error
            return None


def _repositioning(name: str, sink: object) -> Repositioning:
    if not isinstance(sink, Repositioning):
        raise TailraceError(
            f"sink {name} keeps its position in its destination, and has no way to tell or change it",
            hint="look at the documentation of the sink's type",
        )
    return sink
