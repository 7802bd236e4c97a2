"""The sink: records become rows of local files, and a commit makes those rows of Iceberg tables, each once.

See `catalogue` for how crashes leave nothing lost or twice, and `merge` for how changes become state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from io import BufferedWriter
from typing import TYPE_CHECKING, ClassVar, cast

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, ConfigError, TailraceError
from tailrace.position import Position
from tailrace.sink import SinkConfig
from tailrace.source import Finding
from tailrace_archive.iceberg.config import IcebergConfig
from tailrace_archive.runs import runs
from tailrace_archive.spool import lock, spool_of

if TYPE_CHECKING:
    from tailrace_archive.iceberg.tables import Tables


class IcebergSink:
    """`type: iceberg`."""

    Config: ClassVar[type[SinkConfig]] = IcebergConfig

    def __init__(self, name: str, config: SinkConfig) -> None:
        self._config = cast("IcebergConfig", config)
        self._tables = _tables(name, self._config)
        properties = json.dumps(self._config.properties(), sort_keys=True)
        self._spool = spool_of(self._config.spool, f"iceberg {name} {properties}")
        self._reject: Callable[[Delivery, BadRecord], None] = _fail
        self._lock: BufferedWriter | None = None

    def tell_with(self, alive: Callable[[], None]) -> None:
        """Take what is called for every file whose rows are with their table."""
        self._tables.alive = alive

    def reject_with(self, reject: Callable[[Delivery, BadRecord], None]) -> None:
        """Take what becomes of records that are no rows."""
        self._reject = reject

    def open(self, task: str) -> Position | None:
        """Become the writer, drop what a crash left half written."""
        self._lock = lock(self._spool, "the Iceberg tables", task)
        return self._tables.open(self._spool / "writing")

    def write(self, items: Sequence[Delivery]) -> None:
        """Write records into files that nobody sees yet; tombstones tell what a delete told before."""
        for kind, run in runs(items, None, self._reject):
            if kind[3] is not None:
                self._tables.write(kind, run, self._reject)

    def commit(self, position: Position) -> None:
        """Make all of it rows of their tables, and write `position` down."""
        self._tables.commit(position)

    def close(self) -> None:
        """Let go of everything, as it is."""
        self._tables.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def position(self, task: str) -> Position | None:  # noqa: ARG002 - the name is the sink's
        """Return the position of the last commit."""
        with closing(self):
            return self._tables.position()

    def set_position(self, task: str, position: Position | None) -> None:
        """Replace the position.

        What is read again goes into the tables again: of a state that changes nothing, a changelog has it twice.
        """
        with closing(self):
            self._lock = lock(self._spool, "the Iceberg tables", task)
            self._tables.set_position(position)

    def check(self) -> Sequence[Finding]:
        """Find out whether tables can be made and dropped."""
        try:
            with closing(self):
                self._tables.try_out()
        except TailraceError as error:
            return [Finding(ok=False, what=error.message, mend=error.hint)]
        return [Finding(ok=True, what=f"Iceberg tables of catalogue {self._config.catalog_name} can be written")]


def _fail(_: Delivery, error: BadRecord) -> None:
    raise error


def _tables(name: str, config: IcebergConfig) -> Tables:
    try:
        from tailrace_archive.iceberg.tables import Tables
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("tailrace"):
            raise
        raise ConfigError(
            f"the sink iceberg needs {error.name}, which is not installed", hint="pip install 'tailrace[iceberg]'"
        ) from error
    return Tables(name, config)
