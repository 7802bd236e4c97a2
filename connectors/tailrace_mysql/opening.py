"""What happens before the first change.

The server is looked at, the stored position is compared with it, the schema history is read back or begun, and the
snapshot's state is made or restored.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import structlog

from tailrace.errors import Fatal
from tailrace.event import Event
from tailrace.position import Json, Position
from tailrace.snapshot.schedule import Snapshot, saved_tables
from tailrace.snapshot.table import TableSnapshot
from tailrace.source import Recall
from tailrace_mysql.capture import Capture, SchemaChange
from tailrace_mysql.catalog import Catalog, ListedTable
from tailrace_mysql.chunks import ReadableTable
from tailrace_mysql.config import BinlogConfig
from tailrace_mysql.connection import Connection
from tailrace_mysql.declaration import DeclaredDatabase, DeclaredTable
from tailrace_mysql.event import Query
from tailrace_mysql.fault import RESET
from tailrace_mysql.footing import check_format, check_resume, start_of_stream
from tailrace_mysql.form import Settings
from tailrace_mysql.history import History, history_topic
from tailrace_mysql.lookahead import events_after
from tailrace_mysql.origin import SOURCES
from tailrace_mysql.place import BinlogPlace, PlaceView
from tailrace_mysql.position import Resume, StreamPosition, from_json
from tailrace_mysql.schema_change import SchemaChanges
from tailrace_mysql.selection import Selection
from tailrace_mysql.sentence import Kind, sentence
from tailrace_mysql.server import ServerFacts, binlog_status, read_facts
from tailrace_mysql.table import Tables, ValueSettings

log = structlog.get_logger()

_LOOKS = 10
"""How often the catalogue is read at most, until it stands still between two looks."""


@dataclass(frozen=True, slots=True)
class Opened:
    """All that streaming needs. `told` are events that come before the stream's."""

    control: Connection
    server: ServerFacts
    start: StreamPosition
    catalog: Catalog
    capture: Capture
    snapshot: Snapshot
    readable: Mapping[str, ReadableTable]
    names: dict[str, tuple[str, str]]
    told: Sequence[Event]
    floor: BinlogPlace | None
    """Nothing before it is sent; None where the server's places do not tell that."""
    target: BinlogPlace
    """Once the stream has reached this place, it has told all that was committed before."""


def open_source(
    connector: str, config: BinlogConfig, prefix: str, resume_from: Position | None, *, recall: Recall | None,
    hold: ExitStack,
) -> Opened:  # fmt: skip
    """Get everything ready; the connection is left to `hold`. Raises `Fatal` and `Retriable` with what to do."""
    control = Connection.open(config, connector, "control")
    hold.callback(control.close)
    server = read_facts(control)
    check_format(server)
    resume = from_json(resume_from) if resume_from is not None else None
    if resume is not None:
        check_resume(control, server, resume)
    dialect = server.dialect
    selection = Selection(config.tables, config.exclude)
    catalog = Catalog(control, selection, dialect)
    history = History(connector, lower_case_names=server.get("lower_case_table_names") != "0")
    names: dict[str, tuple[str, str]] = {}
    capture = Capture(
        selection, history, _tables(config, prefix, server), dialect, names,
        reads_joined=config.snapshot == "initial",
        tell_change=_schema_changes(config, prefix, server, selection),
    )  # fmt: skip
    opening = _Opening(config, control, server, catalog, capture, history)
    start, told = opening.place(resume, recall, connector)
    snapshot, readable, added = opening.snapshot(resume)
    told += opening.declare(added)
    same = server.flavour.mariadb and (resume is None or resume.server == server.identity)
    floor = BinlogPlace(start.file, start.pos) if same else None
    status = binlog_status(control, server.flavour)
    target = BinlogPlace(status.file, status.pos)
    return Opened(control, server, start, catalog, capture, snapshot, readable, names, told, floor, target)


def _tables(config: BinlogConfig, prefix: str, server: ServerFacts) -> Tables:
    values = Settings(bigint_unsigned=config.bigint_unsigned, invalid_dates=config.invalid_dates)
    source = SOURCES[server.flavour.name]
    return Tables(ValueSettings(prefix, source, config.unavailable_value, values))


def _schema_changes(config: BinlogConfig, prefix: str, server: ServerFacts, selection: Selection) -> SchemaChange:
    if not config.schema_changes:
        return lambda _statement, _applied: ()
    connector = server.flavour.name
    return SchemaChanges(prefix, connector, SOURCES[connector], selection.captures).events


class _Opening:
    """The steps, and what they share."""

    def __init__(  # noqa: PLR0917 - one collaborator each, one caller
        self, config: BinlogConfig, control: Connection, server: ServerFacts, catalog: Catalog, capture: Capture,
        history: History,
    ) -> None:  # fmt: skip
        self._config = config
        self._control = control
        self._server = server
        self._catalog = catalog
        self._capture = capture
        self._history = history
        self._listed = {table.id: table for table in catalog.tables()}
        if not self._listed:
            log.warning("no table is captured", tables=config.tables, exclude=config.exclude)

    def place(
        self, resume: Resume | None, recall: Recall | None, connector: str
    ) -> tuple[StreamPosition, list[Event]]:  # fmt: skip
        """Return where to stream from, and the events that begin a schema history."""
        if resume is not None and resume.history > 0:
            if recall is not None:
                self._history.recall(recall(history_topic(connector)), resume.history)
            return resume.stream, []
        start, declared = self._still()
        found: list[DeclaredDatabase | DeclaredTable] = [*self._catalog.databases(), *declared]
        told: list[Event] = [self._history.message(self._history.put(state), None, _now_ms()) for state in found]
        if resume is not None:  # taken over from another connector, which has a history of its own
            self._check_unaltered(connector, resume.stream, found)
        return start if resume is None else resume.stream, told

    def _check_unaltered(
        self, connector: str, start: StreamPosition, found: Sequence[DeclaredDatabase | DeclaredTable]
    ) -> None:  # fmt: skip
        """Raise `Fatal` where a captured table was altered behind `start`: then it was another one there."""
        history = History(connector, lower_case_names=self._server.get("lower_case_table_names") != "0")
        for state in found:
            history.put(state)
        for place, event in events_after(connector, self._config, self._control, self._server, start):
            if not isinstance(event, Query) or sentence(event.text).kind is not Kind.OTHER:
                continue
            for entry in history.apply(event.text, event.database, self._server.dialect).entries:
                if entry.table is not None and self._capture.captures(entry.database, entry.table):
                    raise Fatal(
                        f"binlog {place}: table {entry.database}.{entry.table} was altered behind {start}, from where "
                        "to go on, so that nothing tells how it was there",
                        hint="let Debezium read until now, stop it, and import its offset again",
                    )

    def snapshot(self, resume: Resume | None) -> tuple[Snapshot, dict[str, ReadableTable], list[str]]:
        """Return the state of the snapshot, the tables to be read, and those of them that are new to the capture."""
        scope, known = self._capture.scope, set(self._listed)
        reads = self._config.snapshot == "initial"
        if resume is None:
            chosen = {name: self._readable(name) for name in self._listed} if reads else {}
            readable = {name: table for name, table in chosen.items() if table is not None}
            pending = [self._pending(table) for table in readable.values()]
            return Snapshot(pending, known=known, scope=scope), readable, []
        pending, readable = self._restored(resume.snapshot)
        before = {str(name) for name in _list(resume.snapshot.get("known", []))}
        added = sorted(known - before)
        for name in added if reads else ():
            table = self._readable(name)
            if table is not None:
                pending.append(self._pending(table))
                readable[name] = table
        if added and reads:
            log.info("tables are new, their rows are read", tables=added)
        total, rows = (int(str(resume.snapshot.get(name, 0))) for name in ("total", "rows"))
        state = Snapshot(
            pending, tables_total=total + len(added) * reads, rows_before=rows, known=known | before, scope=scope
        )  # fmt: skip
        return state, readable, added

    def declare(self, added: Sequence[str]) -> list[Event]:
        """Return the events that bring tables which are new to the capture into the history."""
        told: list[Event] = []
        for name in added:
            listed = self._listed[name]
            if self._history.table(listed.database, listed.name) is None:
                declared = self._catalog.declared(listed.database, listed.name)
                if declared is not None:
                    told.append(self._history.message(self._history.put(declared), None, _now_ms()))
        return told

    def _still(self) -> tuple[StreamPosition, list[DeclaredTable]]:
        """Return a place of the binlog, and how the tables were declared there."""
        before: list[DeclaredTable] | None = None
        for _ in range(_LOOKS):
            start = start_of_stream(self._control, self._server)
            found = (self._catalog.declared(table.database, table.name) for table in self._listed.values())
            declared = [table for table in found if table is not None]
            if declared == before:
                return start, declared
            before = declared
        raise Fatal("the tables' definitions change all the time", hint="start again when the migrations are over")

    def _restored(self, state: Mapping[str, Json]) -> tuple[list[TableSnapshot], dict[str, ReadableTable]]:
        """Return the tables whose snapshot was under way, where it was."""
        pending, readable = [], {}
        for name, saved in saved_tables(state).items():
            now = self._readable(name) if name in self._listed else None
            if now is None:
                log.warning("table is gone or no longer captured, its snapshot ends", table=name)
                continue
            table = self._pending(now)
            if list(table.key) != list(_list(saved["key"])):
                raise Fatal(f"snapshot of {name}: the key was changed before all rows were read", hint=RESET)
            table.restore(saved, lambda _: PlaceView(0))
            pending.append(table)
            readable[name] = now
        return pending, readable

    def _readable(self, name: str) -> ReadableTable | None:
        listed = self._listed[name]
        declared = self._catalog.declared(listed.database, listed.name)
        return None if declared is None else self._capture.readable(declared)

    def _pending(self, table: ReadableTable) -> TableSnapshot:
        name = table.shape.id
        listed: ListedTable = self._listed[name]
        return TableSnapshot(name, table.key.names, table.key.order(self._control), estimate=listed.estimate)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, (list, tuple)) else []
