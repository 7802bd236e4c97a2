"""The changes of one table, of one shape, folded as they arrive: at most one thing is left to do for each key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import cast

from tailrace.codec.delivery import Delivery
from tailrace.codec.header import DEFAULTED_COLUMNS, NEW_KEY, OLD_KEY
from tailrace.codec.registry import AvroSchema
from tailrace.errors import BadRecord
from tailrace_replica.target import Changes, Half, Patch, Row, RowWriter, Target, key_of

_FRAME = 5

_NOT_AS_JSON = {"bytes", "decimal", "number", "document", "array", "float32", "float64"}
"""Kinds that the header of a moved key has in a form of its own; rows of such keys are deleted and come anew."""


class Intake:
    """Takes deliveries of one shape; `give` hands out what there is to do.

    The compiled core makes the rows of values with that `schema`, where it can; `marks` are the frames that values and
    keys then begin with.
    """

    def __init__(
        self, target: Target, writer: RowWriter, schema: AvroSchema | None, marks: tuple[bytes, bytes] = (b"", b"")
    ) -> None:
        self._target = target
        self._marks = marks
        self._new = writer.lines(schema, new=True) if target.key else None
        self._merged = writer.lines(schema, new=False) if target.key else None
        self._lines = self._new
        self._writer = writer
        self._names = [column.name for column in target.columns]
        self._values = _getter(self._names)
        self._changes = Changes(target, writer)

    def give(self) -> Changes | None:
        """Return the changes since the last call; None where there were none."""
        changes = self._changes
        if not changes.rows and not changes.added:
            return None
        self._changes = Changes(self._target, self._writer)
        self._lines = self._new if changes.fresh else self._merged  # what comes is mostly like what came
        return changes

    def take(self, item: Delivery) -> bool:
        """Fold a delivery in; False where what is held has to be applied before it.

        Raises `BadRecord` for what cannot be decoded, and what the destination cannot hold or follow.
        """
        change = item.change
        if change is None:
            raise BadRecord("value is not a change envelope", hint="the topic holds something else beside changes")
        if not self._target.key:
            self._append(item, change.op, change.after)
            return True
        key, changes = item.record.key, self._changes
        if key is None:
            raise BadRecord(f"change of {self._target.label} has no key")
        if change.op == "d":
            key_of(item)  # what cannot be read is better refused here
            changes.rows[key] = (None, item)
            changes.fresh = False
        elif change.unavailable:
            if key in changes.rows:
                return False
            key_of(item)
            changes.rows[key] = (self._patch(_of(change.after), change.unavailable), item)
            changes.fresh = False
        else:
            changes.fresh = changes.fresh and change.op != "u" and key not in changes.rows
            changes.rows[key] = (self._row(item, _of(change.after)), item)
        return True

    def move(self, item: Delivery) -> Changes | None:
        """Return what is to be done because the delivery is one half of a changed key, where its headers say so.

        The half of the new key may lack values that were not sent: the old row has them.
        """
        headers, change, key = dict(item.record.headers), item.change, self._target.key
        leaving = NEW_KEY in headers
        told = headers.get(NEW_KEY if leaving else OLD_KEY)
        if told is None or not key or change is None or (change.op == "d") is not leaving:
            return None
        kinds = {column.name: column.kind.name for column in self._target.columns}
        if any(kinds[name] in _NOT_AS_JSON for name in key):
            return None
        own, other = self._writer.bound(key, key_of(item)), self._writer.bound(key, json.loads(told))
        old, new = (own, other) if leaving else (other, own)
        # One change may be told from the same place as another one, but not of the same keys; and another sink may
        # fill other tables of this database with the same changes.
        place = json.dumps([self._target.label, change.source, repr(old), repr(new)], sort_keys=True, default=repr)
        half = Half(hashlib.sha256(place.encode()).hexdigest(), old, new, leaving)
        return Changes(self._target, self._writer, moved=half)

    def takes(self, item: Delivery) -> bool:
        """Take a usual delivery of the same schemas, without a look at its values; False where `take` has to look.

        This is the way of nearly all: what it costs is what a row costs.
        """
        record = item.record
        key, value = record.key, record.value
        if self._lines is None or record.headers or key is None or value is None:
            return False
        if not value.startswith(self._marks[0]) or not key.startswith(self._marks[1]):
            return False
        try:
            op, line = self._lines(value, _FRAME)
        except ValueError:
            return False
        if line is None and op != "d":
            return False
        changes = self._changes
        if changes.fresh and (op not in "rc" or key in changes.rows):
            changes.fresh = False
            self._lines = self._merged
        changes.rows[key] = (line, item)
        return True

    def _append(self, item: Delivery, op: str, after: Mapping[str, object] | None) -> None:
        if op in {"r", "c"}:
            self._changes.added.append((self._row(item, _of(after)), item))
            return
        raise BadRecord(
            f"table {self._target.label} has no key, and its rows cannot be told apart: {_WORDS.get(op, op)} refused",
            hint="give the table a primary key; errors: skip passes over such changes",
        )

    def _row(self, item: Delivery, after: Mapping[str, object]) -> Row:
        for name, value in item.record.headers:
            if name == DEFAULTED_COLUMNS and value:
                # What stands in these fields is a stand-in: the database holds null.
                after = {**after, **dict.fromkeys(json.loads(value))}
        return self._writer.row(self._values(after))

    def _patch(self, after: Mapping[str, object], unavailable: frozenset[str]) -> Patch:
        names = tuple([name for name in self._names if name not in unavailable and name not in self._target.key])
        return Patch(names, self._writer.bound(names, after))


_WORDS = {"u": "update", "d": "delete"}


def _of(after: Mapping[str, object] | None) -> Mapping[str, object]:
    if after is None:
        raise BadRecord("envelope has no row")
    return after


def _getter(names: list[str]) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
    if len(names) == 1:
        only = names[0]
        return lambda row: (row[only],)
    return cast("Callable[[Mapping[str, object]], tuple[object, ...]]", itemgetter(*names))
