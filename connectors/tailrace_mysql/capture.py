"""The tables of the stream: what a table map and the schema history say of them, and what DDL does to them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from tailrace.errors import Fatal, Retriable
from tailrace.event import Event, Table
from tailrace.schema import Value
from tailrace.snapshot.schedule import Snapshot
from tailrace_mysql import event as binlog
from tailrace_mysql.captured import Captured
from tailrace_mysql.chunks import ReadableTable
from tailrace_mysql.ddl import AlterTable, RenameTables
from tailrace_mysql.declaration import DeclaredTable
from tailrace_mysql.declared_shape import table_shape
from tailrace_mysql.history import Applied, History
from tailrace_mysql.order import table_key
from tailrace_mysql.place import BinlogPlace
from tailrace_mysql.schema_change import Statement
from tailrace_mysql.selection import Selection
from tailrace_mysql.sentence import changed_table
from tailrace_mysql.shape import TableShape, shape_of
from tailrace_mysql.statement import Dialect
from tailrace_mysql.table import Tables

log = structlog.get_logger()

_TRUNCATE = re.compile(
    r"\s*(?:/\*.*?\*/\s*)*TRUNCATE\s+(?:TABLE\s+)?(?:(?:`((?:[^`]|``)+)`|([\w$]+))\s*\.\s*)?(?:`((?:[^`]|``)+)`|([\w$]+))",
    re.IGNORECASE | re.DOTALL,
)


_WITHOUT_EVENTS = re.compile(
    r"\b(?:(?:TRUNCATE|DROP|EXCHANGE|DISCARD|IMPORT|CONVERT)\s+PARTITION|(?:DISCARD|IMPORT)\s+TABLESPACE|CONVERT\s+TABLE)\b",
    re.IGNORECASE,
)
"""What gives a table other rows, or takes some from it, and leaves no word of them in the binlog."""


@dataclass(slots=True)
class Followed:
    """What a statement means for the stream; tables by id."""

    events: list[Event] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    """Something happened to all their rows at once: what is being read of them is of no use."""
    emptied: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


SchemaChange = Callable[[Statement, Applied], Sequence[Event]]
"""Makes the events of the schema-change topic."""


class Capture:
    """Answers for the binlog's tables; notes database and name by table id in `names`.

    `reads_joined`: rows of a table that comes into the capture have to be read.
    """

    def __init__(
        self, selection: Selection, history: History, make: Tables, dialect: Dialect, names: dict[str, tuple[str, str]],
        *, reads_joined: bool,
        tell_change: SchemaChange = lambda _statement, _applied: (),
    ) -> None:  # fmt: skip
        self.history = history
        self._selection = selection
        self._make = make
        self._dialect = dialect
        self._names = names
        self._reads_joined = reads_joined
        self._tell_change = tell_change
        self._maps: dict[bytes, Captured | None] = {}

    @property
    def scope(self) -> list[list[str]]:
        """What the configuration chooses, as positions keep it."""
        return self._selection.scope

    def captures(self, database: str, name: str) -> bool:
        """Whether a table is captured."""
        return self._selection.captures(database, name)

    def of_map(self, body: bytes, snapshot: Snapshot) -> Captured | None:
        """Return the table that the body of a table map describes; None: it is not captured.

        Raises `Fatal` where neither the map nor the history says what its columns are, and `Retriable` for a table
        whose rows have to be read first.
        """
        try:
            return self._maps[body]
        except KeyError:
            pass
        captured = self._captured(binlog.TableMap.parse(body, mariadb=self._dialect.mariadb), snapshot)
        self._maps[body] = captured
        return captured

    def table(self, table_id: str) -> Table | None:
        """Return a captured table as it is declared here, None where it is not known."""
        database, _, name = table_id.partition(".")
        declared = self.history.table(database, name)
        self._names[table_id] = (database, name)
        return None if declared is None else self._make.of_text(self._shape(declared))

    def follow(self, query: binlog.Query, snapshot: Snapshot, source: Callable[[], Mapping[str, Value]]) -> Followed:
        """Follow a statement that may be DDL; `source` gives its source block."""
        followed = Followed()
        dialect = Dialect(self._dialect.mariadb, self._dialect.version, query.sql_mode)
        truncated = _TRUNCATE.match(query.text)
        if truncated is not None:
            self._emptied(truncated, query.database, followed)
            return followed
        applied = self.history.apply(query.text, query.database, dialect)
        if applied.unread is not None:
            self._unread(query, applied)
        self._warn_of_rows(query, applied, followed)
        if applied.entries:
            self._maps.clear()
        milliseconds = query.header.timestamp * 1000
        for entry in applied.entries:
            followed.events.append(self.history.message(entry, query.text, milliseconds))
        self._know(applied, snapshot, query.database, followed)
        if applied.entries:
            statement = Statement(query.text, source(), time.time_ns() // 1_000_000)
            followed.events.extend(self._tell_change(statement, applied))
        return followed

    def refuse_rows(self, query: binlog.Query, place: BinlogPlace) -> None:
        """Raise `Fatal` for a statement that changes rows and does not say which, unless none of them is captured."""
        named = changed_table(query.text, query.database)
        if named is not None and not self.captures(*named):
            return
        where = (
            f"table {'.'.join(named)}" if named is not None else f"a table, in the database {query.database or '-'},"
        )
        raise Fatal(
            f"binlog {place}: a statement of connection {query.thread} changes {where} and does not tell its rows",
            hint="set binlog_format = ROW, also in every session; then start the snapshot anew with "
            "`tailrace offsets reset`",
        )

    def _captured(self, described: binlog.TableMap, snapshot: Snapshot) -> Captured | None:
        if not self.captures(described.database, described.table):
            return None
        declared = self.history.table(described.database, described.table)
        known = None if declared is None else self._shape(declared)
        try:
            shape = shape_of(described, known)
        except ValueError as error:
            raise Fatal(
                f"{error}, and the schema history does not fit it",
                hint="set binlog_row_metadata = FULL on the server; what was written before cannot be told: start the "
                "snapshot anew with `tailrace offsets reset`",
            ) from error
        table_id = shape.id
        if table_id not in snapshot.known:
            if self._reads_joined:
                raise Retriable(
                    f"table {table_id} came into the capture: starting again, to read the rows that it has",
                    retry_after=0.0,
                )
            snapshot.know(table_id)
        key = table_key(shape, collations(declared))
        self._names[table_id] = (shape.database, shape.name)
        return Captured(described, self._make.of_binlog(shape), key, snapshot.tables.get(table_id))

    def readable(self, declared: DeclaredTable) -> ReadableTable:
        """Return a table as the snapshot reads it, as it is declared now."""
        shape = self._shape(declared)
        self._names[shape.id] = (shape.database, shape.name)
        table, selected = self._make.of_text(shape), self._make.selected(shape)
        return ReadableTable(declared, shape, table, selected, table_key(shape, collations(declared)))

    def _shape(self, declared: DeclaredTable) -> TableShape:
        try:
            return table_shape(declared)
        except ValueError as error:
            raise Fatal(f"table {declared.id}: {error}", hint="leave it out with `exclude`") from error

    def _emptied(self, truncated: re.Match[str], database: str, followed: Followed) -> None:
        quoted, plain, quoted_name, plain_name = truncated.groups()
        table = (_unquoted(quoted) or plain or database, _unquoted(quoted_name) or plain_name)
        if self.captures(*table):
            followed.emptied.append(".".join(table))

    def _know(self, applied: Applied, snapshot: Snapshot, database: str, followed: Followed) -> None:
        """Take note of tables that are new or gone."""
        renamed = _renamed(applied, database)
        for entry in applied.entries:
            if entry.table is None or not self.captures(entry.database, entry.table):
                continue
            table_id = f"{entry.database}.{entry.table}"
            if entry.state is None:
                if table_id not in renamed.values():
                    followed.dropped.append(table_id)
                continue
            followed.reshaped.append(table_id)
            origin = renamed.get(table_id)
            if table_id not in snapshot.known and (entry.was is None or origin in snapshot.known):
                snapshot.know(table_id)  # it was made here, or told under another name: its rows came by the stream

    def _warn_of_rows(self, query: binlog.Query, applied: Applied, followed: Followed) -> None:
        """Tell of rows that come or go without an event: nobody can make up for these here."""
        altered, found = applied.statement, _WITHOUT_EVENTS.search(query.text)
        if found is None or not isinstance(altered, AlterTable):
            return
        table = (altered.name[0] or query.database, altered.name[1])
        if self.captures(*table):
            followed.reshaped.append(".".join(table))
            log.warning(
                "rows came or went without an event", table=".".join(table), by=" ".join(found[0].upper().split()),
                mend="the binlog does not say which: delete rows by DELETE where the topic is to follow, or take the "
                "snapshot anew with `tailrace offsets reset`",
            )  # fmt: skip

    def _unread(self, query: binlog.Query, applied: Applied) -> None:
        log.warning(
            "a statement could not be read, its table is known by its table maps alone", database=query.database,
            error=applied.unread.message if applied.unread is not None else "",
        )  # fmt: skip


def _renamed(applied: Applied, database: str) -> dict[str, str]:
    """Return old ids by new ones."""
    statement = applied.statement
    if isinstance(statement, RenameTables):
        pairs = statement.pairs
    elif isinstance(statement, AlterTable) and statement.rename is not None:
        pairs = ((statement.name, statement.rename),)
    else:
        return {}
    return {f"{new[0] or database}.{new[1]}": f"{old[0] or database}.{old[1]}" for old, new in pairs}


def collations(declared: DeclaredTable | None) -> dict[str, str]:
    """Return the collations of a table's columns, as far as they are declared."""
    columns = () if declared is None else declared.columns
    return {column.name: column.collation for column in columns if column.collation}


def _unquoted(name: str | None) -> str:
    return (name or "").replace("``", "`")
