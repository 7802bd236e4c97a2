"""The plan of one version of a table: from a change to the records that Debezium would emit for it.

    r, c, u     => one record
    u, moved    => d for the old key (header `__debezium.newkey`), tombstone, c for the new key (`__debezium.oldkey`)
    d           => d, tombstone
    t           => one record without a key

A tombstone has the headers of its delete. A table without a key has null keys and no tombstones (Debezium writes
records that have neither key nor value there, which a compacted topic refuses). An update that left a large value
unsent takes it from `before` where that holds it (REPLICA IDENTITY FULL), as Debezium does.
Source: Debezium's RelationalChangeRecordEmitter, EventDispatcher, PostgresChangeRecordEmitter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from tailrace.codec.envelope import key_schema
from tailrace.codec.header import DEFAULTED_COLUMNS, NEW_KEY, OLD_KEY, UNAVAILABLE_COLUMNS, struct_text
from tailrace.codec.row import Form, RowWriter
from tailrace.errors import BadRecord
from tailrace.event import Cell, Change, Op, Record, Table
from tailrace.schema import UNAVAILABLE, Value

P = TypeVar("P")
PieceT_contra = TypeVar("PieceT_contra", contravariant=True)

Headers = tuple[tuple[str, bytes | None], ...]


class Envelope(Protocol[PieceT_contra]):
    """Puts together the keys and values of one table, in one format."""

    def at(self, now_ns: int) -> None:
        """Set the processing time of the events that follow, in nanoseconds since 1970."""

    def key(self, pieces: Sequence[PieceT_contra]) -> bytes:
        """Return a key from the pieces of its columns."""
        ...

    def value(
        self,
        before: Sequence[PieceT_contra] | None,
        after: Sequence[PieceT_contra] | None,
        source: Sequence[Value],
        op: Op,
    ) -> bytes:
        """Return an envelope; raises `BadRecord` where `source` does not fit its schema."""
        ...


class TablePlan(Generic[P]):
    """Encodes the changes of one version of a table."""

    def __init__(self, table: Table, form: Form[P], envelope: Envelope[P], *, tombstones: bool) -> None:
        self._table = table
        self._topic = table.topic
        self._key = table.key
        self._key_columns = [table.columns[index].name for index in table.key]
        self._key_schema = key_schema(table)
        self._key_fields = [] if self._key_schema is None else [field.name for field in self._key_schema.fields]
        self._rows = RowWriter(table, form)
        self._envelope = envelope
        self._tombstones = tombstones
        self._now_ms = 0

    def at(self, now_ns: int) -> None:
        """Set the processing time of the changes that follow, in nanoseconds since 1970."""
        self._now_ms = now_ns // 1_000_000
        self._envelope.at(now_ns)

    def records(self, change: Change) -> list[Record]:
        """Return the records of `change`; raises `BadRecord` naming table and column."""
        marks = self._rows.marks
        if marks.notes:
            marks.notes = []
        op = change.op
        if op == "t":
            return [Record(self._topic, None, self._value(change, None, None, "t"), self._now_ms)]
        if op == "d":
            gone = self._required(self._optional_before(change), "before")
            return self._delete(change, gone, self._key_of(gone), marks.headers() if marks.notes else ())
        only_after = change.before_wire is None and change.after_wire is not None  # the common insert and update
        before = None if only_after else self._optional_before(change)
        gone_headers = marks.headers() if marks.notes else ()
        after = self._after(change)
        headers: Headers = ()
        if marks.notes:
            after = self._patched(change, after)
            headers = marks.headers()
        if change.moved and self._key:
            return self._move(change, (self._required(before, "before"), gone_headers), (after, headers))
        value = self._value(change, before, after, op)
        return [Record(self._topic, self._key_of(after), value, self._now_ms, headers)]

    def _value(self, change: Change, before: list[P] | None, after: list[P] | None, op: Op) -> bytes:
        return self._envelope.value(before, after, change.origin.source_block(change), op)

    def _key_of(self, pieces: list[P]) -> bytes | None:
        if not self._key:
            return None
        if self._rows.marks.notes:
            self._check_key()
        return self._envelope.key([pieces[index] for index in self._key])

    def _check_key(self) -> None:
        absent = self._rows.marks.names(UNAVAILABLE_COLUMNS) + self._rows.marks.names(DEFAULTED_COLUMNS)
        missing = [name for name in self._key_fields if name in absent]
        if missing:
            raise BadRecord(f"change of {self._table.id} has no value for key column {', '.join(missing)}")

    def _delete(self, change: Change, before: list[P], key: bytes | None, headers: Headers) -> list[Record]:
        deleted = Record(self._topic, key, self._value(change, before, None, "d"), self._now_ms, headers)
        if key is None or not self._tombstones:
            return [deleted]
        return [deleted, Record(self._topic, key, None, self._now_ms, headers)]

    def _move(self, change: Change, gone: tuple[list[P], Headers], new: tuple[list[P], Headers]) -> list[Record]:
        (before, gone_headers), (after, headers) = gone, new
        old_key, new_key = self._key_of(before), self._key_of(after)
        old_text, new_text = self._key_text(change, new=False), self._key_text(change, new=True)
        records = self._delete(change, before, old_key, ((NEW_KEY, new_text), *gone_headers))
        created = self._value(change, None, after, "c")
        records.append(Record(self._topic, new_key, created, self._now_ms, ((OLD_KEY, old_text), *headers)))
        return records

    def _key_text(self, change: Change, *, new: bool) -> bytes:
        row = change.after if new else change.before
        if row is None or self._key_schema is None:
            raise BadRecord(f"change of {self._table.id} moved a row without its key")
        values = [row[name] for name in self._key_columns]
        if new and UNAVAILABLE in values:
            before = change.before or {}
            values = [before.get(name) if row[name] is UNAVAILABLE else row[name] for name in self._key_columns]
        return struct_text(self._key_schema, values).encode()

    def _optional_before(self, change: Change) -> list[P] | None:
        """Null cells of required columns are no surprise in `before`: only a key column may not be null."""
        if change.before_wire is not None:
            pieces = self._rows.cells(self._table.format.cells(change.before_wire))
        elif change.touched and change.before is not None:
            pieces = self._rows.row(change.before)
        else:
            return None
        if self._rows.marks.notes:
            if change.op == "d" or change.moved:
                self._check_key()
            self._rows.marks.forget(DEFAULTED_COLUMNS)
        return pieces

    def _after(self, change: Change) -> list[P]:
        if change.after_wire is not None:
            return self._rows.cells(self._table.format.cells(change.after_wire))
        if change.after is None:
            raise BadRecord(f"change of {self._table.id} with op {change.op} has no row after it")
        return self._rows.row(change.after)

    def _patched(self, change: Change, after: list[P]) -> list[P]:
        """Take the values that `after` lacks from `before`, where it has them."""
        marks = self._rows.marks
        if not marks.names(UNAVAILABLE_COLUMNS) or (change.before_wire is None and change.before is None):
            return after
        marks.notes = []
        if change.before_wire is not None and change.after_wire is not None:
            cells = self._table.format.cells
            return self._rows.cells(_merged(cells(change.before_wire), cells(change.after_wire)))
        before, row = change.before or {}, change.after or {}
        merged = _merged([before.get(name) for name in row], list(row.values()))
        return self._rows.row(dict(zip(row, merged, strict=True)))

    def _required(self, pieces: list[P] | None, which: str) -> list[P]:
        if pieces is None:
            raise BadRecord(f"change of {self._table.id} has no row {which} it")
        return pieces


Held = TypeVar("Held", Cell, Value)


def _merged(before: Sequence[Held], after: Sequence[Held]) -> list[Held]:
    return [old if new is UNAVAILABLE and old is not None else new for old, new in zip(before, after, strict=True)]
