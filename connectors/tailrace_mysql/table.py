"""Tables as events have them, made from their shapes: one for rows of the binlog, one for rows of text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from tailrace.codec.placeholder import Placeholders
from tailrace.errors import Fatal
from tailrace.event import Column, RowFormat, Table
from tailrace.schema import Schema
from tailrace_mysql import columntype as kinds
from tailrace_mysql.charset import octets_per_character
from tailrace_mysql.default import default_of
from tailrace_mysql.form import Form, Settings, form_of
from tailrace_mysql.row import BinlogRow, TextRow
from tailrace_mysql.shape import ColumnShape, TableShape

_NOT_IN_TOPICS = re.compile(r"[^A-Za-z0-9._-]")
_SIZED = frozenset({kinds.VARCHAR, kinds.STRING, kinds.VARCHAR_COMPRESSED})


@dataclass(frozen=True, slots=True)
class ValueSettings:
    """What of the connector's settings concerns tables: `source` is the schema of the envelope's source block."""

    prefix: str
    source: Schema
    unavailable_value: str
    values: Settings


class Tables:
    """Makes `Table`s, and keeps them: the same shape gives the same object, so that its schemas are made once."""

    def __init__(self, settings: ValueSettings) -> None:
        self._settings = settings
        self._placeholders = Placeholders.configured(settings.unavailable_value)
        self._made: dict[tuple[TableShape, bool], Table] = {}
        self._topics: dict[str, str] = {}

    def of_binlog(self, shape: TableShape) -> Table:
        """Return the table for rows of the binlog; raises `Fatal` for a type that has no form."""
        return self._kept(shape, text=False)

    def of_text(self, shape: TableShape) -> Table:
        """Return the table for rows that `selected` reads."""
        return self._kept(shape, text=True)

    def selected(self, shape: TableShape) -> tuple[str, ...]:
        """Return the expressions that read a row of `of_text`: with `time_zone` UTC, `character_set_results` binary."""
        return tuple(self._form(shape, column).select.format(quoted(column.name)) for column in shape.columns)

    def _kept(self, shape: TableShape, *, text: bool) -> Table:
        made = self._made.get((shape, text))
        if made is None:
            made = self._made[shape, text] = self._new(shape, text=text)
        return made

    def _new(self, shape: TableShape, *, text: bool) -> Table:
        topic = _NOT_IN_TOPICS.sub("_", f"{self._settings.prefix}.{shape.database}.{shape.name}")
        other = self._topics.setdefault(topic, shape.id)
        if other != shape.id:
            raise Fatal(
                f"tables {other} and {shape.id} would share the topic {topic}",
                hint="exclude one of them, or rename it",
            )
        columns = tuple(self._column(shape, column, text=text) for column in shape.columns)
        wire: RowFormat = (
            TextRow(shape.id, len(columns)) if text else BinlogRow(shape.id, [c.width for c in shape.columns])
        )
        return Table(shape.id, topic, columns, _key(shape), wire, self._settings.source)

    def _column(self, shape: TableShape, column: ColumnShape, *, text: bool) -> Column:
        form = self._form(shape, column)
        schema = replace(form.schema, optional=column.nullable, default=default_of(column, form))
        return Column(
            column.name,
            schema,
            form.from_text if text else form.from_binlog,
            self._placeholders.of(form.shape),
            form.text_name if text else form.binlog_name,
            length=_length(column),
            gaps=form.gaps,
        )

    def _form(self, shape: TableShape, column: ColumnShape) -> Form:
        try:
            return form_of(column, self._settings.values)
        except ValueError as error:
            raise Fatal(f"table {shape.id}: {error}", hint="exclude the table, or report the type") from None


def _key(shape: TableShape) -> tuple[int, ...]:
    places = {column.name: place for place, column in enumerate(shape.columns)}
    return tuple(places[name] for name in shape.key)


def _length(column: ColumnShape) -> int | None:
    """Return the most characters of a char or varchar."""
    if column.charset in {"", "binary"} or column.kind not in _SIZED:
        return None
    return column.meta // octets_per_character(column.charset)


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return "`" + name.replace("`", "``") + "`"
