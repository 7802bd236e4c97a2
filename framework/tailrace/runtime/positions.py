"""Positions of all tasks of a config file, wherever they are kept: in the log, beside a sink, or in its destination."""

from __future__ import annotations

from tailrace.config.settings import Settings
from tailrace.errors import TailraceError
from tailrace.log.seat import Shared
from tailrace.position import Position
from tailrace.runtime.build import (
    TaskSpec,
    build_log,
    build_sink,
    keeps_position,
    sink_config,
    sink_task,
    task_spec,
    worker_folder,
)
from tailrace.runtime.lock import worker_holding
from tailrace.runtime.offsets import sink_offsets
from tailrace.runtime.sharing import Standing, offsets_of
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
        sinks = {spec.name: spec for name in self._settings.sinks for spec in self._tasks(name)}
        kept = {**self._log.positions(), **sink_offsets(self._folder).tasks()}
        named: dict[str, Position | None] = dict.fromkeys([*self._settings.connectors, *sinks])
        self.unknown.clear()
        return {**named, **kept, **{name: self._told(spec) for name, spec in sinks.items() if _own(spec)}}

    def replace(self, task: str, position: Position | None) -> None:
        """Set or forget (None) the position of a task; raises `TailraceError` while a worker runs.

        A sink's tasks have theirs replaced together, under the sink's name: the first begins with all offsets, and
        shares them out when it runs.
        """
        if (pid := worker_holding(self._folder)) is not None:
            raise TailraceError(
                f"cannot change the position of {task} while worker {pid} is running",
                hint=f"stop the worker (kill {pid}), change the position, and start it again",
            )
        if (sink := self._sharer(task)) is not None:
            raise TailraceError(
                f"cannot change the position of {task} alone",
                hint=f"name sink {sink}: its tasks' positions are set together",
            )
        if task not in self._settings.sinks:
            self._check_idle(task)
            self._log.set_position(task, position)
            return
        specs = self._ever(task)
        for spec in specs:
            self._check_idle(spec.name)
        for spec in reversed(specs[1:]):
            self._set(spec, None)
        self._set(specs[0], None if position is None else offsets_of(position) if len(specs) > 1 else position)

    def _check_idle(self, task: str) -> None:
        group = self._settings.worker.group
        if group and isinstance(self._log, Shared) and (owner := self._log.owner(group, task)) is not None:
            raise TailraceError(
                f"cannot change the position of {task} while worker {owner} runs it",
                hint=f"stop the workers of group {group}, change the position, and start them again",
            )

    def _set(self, spec: TaskSpec, position: Position | None) -> None:
        if (sink := _own(spec)) is not None:
            _repositioning(spec.name, sink).set_position(spec.name, position)
        elif isinstance(self._log, Shared):
            self._log.set_position(spec.name, position)
        elif position is None:
            sink_offsets(self._folder).remove(spec.name)
        else:
            sink_offsets(self._folder).save(spec.name, position)

    def _tasks(self, sink: str) -> list[TaskSpec]:
        spec = task_spec(self._settings, "sink", sink)
        tasks = sink_config(spec).tasks
        return [sink_task(spec, number, tasks) for number in range(tasks)]

    def _sharer(self, task: str) -> str | None:
        """Return the sink that a task is one of several of, and not the first."""
        sinks = self._settings.sinks
        return next((name for name in sinks if task in [spec.name for spec in self._tasks(name)[1:]]), None)

    def _ever(self, sink: str) -> list[TaskSpec]:
        """Return a sink's tasks, and those that it had when it was last shared out."""
        first, *others = self._tasks(sink)
        if (made := _own(first)) is not None:
            told = made.position(sink) if isinstance(made, Repositioning) else None
        else:
            told = self._log.positions().get(sink)
        standing = Standing.of(told)
        tasks = max(len(others) + 1, standing.tasks, standing.until)
        return [sink_task(first, number, tasks) for number in range(tasks)]

    def _told(self, spec: TaskSpec) -> Position | None:
        try:
            return _repositioning(spec.name, _own(spec)).position(spec.name)
        except TailraceError as error:
            self.unknown[spec.name] = error
            return None


def _own(spec: TaskSpec) -> object | None:
    """Return the sink, where it keeps its position itself."""
    sink = build_sink(spec, sink_config(spec))
    return sink if keeps_position(sink) else None


def _repositioning(name: str, sink: object) -> Repositioning:
    if not isinstance(sink, Repositioning):
        raise TailraceError(
            f"sink {name} keeps its position in its destination, and has no way to tell or change it",
            hint="look at the documentation of the sink's type",
        )
    return sink
