"""Positions of all tasks of a config file, wherever they are kept: in the log's commits, or beside a sink."""

from __future__ import annotations

from tailrace.config.settings import Settings
from tailrace.errors import TailraceError
from tailrace.position import Position
from tailrace.runtime.build import build_log, sink_offsets, worker_folder
from tailrace.runtime.lock import worker_holding


class Positions:
    """Shows positions at any time; replaces one only while no worker runs that could write it again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = worker_folder(settings)
        self._log = build_log(settings.log, settings.folder, settings.secrets)

    def all(self) -> dict[str, Position | None]:
        """Return the position of every task of the config file, and of every other that the log knows."""
        kept = {**self._log.positions(), **sink_offsets(self._folder).tasks()}
        named: dict[str, Position | None] = dict.fromkeys([*self._settings.connectors, *self._settings.sinks])
        return {**named, **kept}

    def replace(self, task: str, position: Position | None) -> None:
        """Set or forget (None) the position of a task; raises `TailraceError` while a worker runs."""
        if (pid := worker_holding(self._folder)) is not None:
            raise TailraceError(
                f"cannot change the position of {task} while worker {pid} is running",
                hint=f"stop the worker (kill {pid}), change the position, and start it again",
            )
        if task not in self._settings.sinks:
            self._log.set_position(task, position)
        elif position is None:
            sink_offsets(self._folder).remove(task)
        else:
            sink_offsets(self._folder).save(task, position)
