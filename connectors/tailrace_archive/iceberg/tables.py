"""The tables of a sink: what of its records goes into which, and a commit that makes them rows of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import dropwhile, groupby
from pathlib import Path

import pyarrow as pa

from tailrace.codec.delivery import Delivery
from tailrace.codec.header import OLD_KEY, UNAVAILABLE_COLUMNS
from tailrace.errors import BadRecord
from tailrace.position import Position
from tailrace_archive.desk import Desk, Finished
from tailrace_archive.iceberg.catalogue import Catalogue, Home
from tailrace_archive.iceberg.config import IcebergConfig
from tailrace_archive.iceberg.files import TableFormat, bring
from tailrace_archive.iceberg.merge import merge
from tailrace_archive.iceberg.shape import plain_field
from tailrace_archive.layout import COORDINATES, Layout, layout_of
from tailrace_archive.place import SLOT_MS
from tailrace_archive.runs import FRAME, Kind, schema_of
from tailrace_archive.writing import Target

MERGE_ROWS = 200_000
"""Changes that are made a table's state at a time: their keys are in memory together."""

_PERIODS_MS = {"hour": 3_600_000, "day": 86_400_000}
_FLAT = len(COORDINATES) + 4
"""Columns of the flat layout before those of the row."""

Reject = Callable[[Delivery, BadRecord], None]


class Tables:
    """What the sink writes: open, (write, commit)*, close."""

    def __init__(self, name: str, config: IcebergConfig) -> None:
        self._state = config.mode == "state"
        self._catalogue = Catalogue(name, config)
        self._format = TableFormat(config.compression)
        self._config = config
        if self._state:
            self._config = config.model_copy(update={"roll_rows": min(config.roll_rows, MERGE_ROWS)})
        self.alive: Callable[[], None] = lambda: None
        """Called when a file's rows are with their table, and when that has been committed."""
        self._desk: Desk | None = None
        self._homes: dict[str, Home] = {}
        self._last: dict[tuple[str, int], Target] = {}
        self._met: dict[tuple[str, int, bytes | None], Sequence[str]] = {}

    def open(self, folder: Path) -> Position | None:
        """Become the writer; `folder` is for local files, and may hold what a crash left."""
        self._homes.clear()
        self._last.clear()
        self._met.clear()
        self._desk = Desk(folder, self._format, self._config)
        self._desk.clear()
        return self._catalogue.open()

    def write(self, kind: Kind, deliveries: Sequence[Delivery], reject: Reject) -> None:
        """Write records of one kind, which have a value, into local files."""
        if not self._state:
            self._write(kind, deliveries, reject)
            return
        for _, run in groupby(deliveries, _key_frame):
            self._write(kind, list(run), reject)

    def _write(self, kind: Kind, deliveries: Sequence[Delivery], reject: Reject) -> None:
        desk = self._opened()
        try:
            if self._state:
                deliveries = self._begun(kind[0], deliveries)
            if not deliveries:
                return
            target = self._target(kind, deliveries[0])
        except BadRecord as error:
            for delivery in deliveries:
                reject(delivery, error)
            return
        told = self._homes[target.topic].mark.next.get(str(target.partition), 0)
        new = [each for each in deliveries if each.record.offset >= told]
        if self._state:
            new = _followable(target, new, reject)
            before = self._last.get((target.topic, target.partition), target)
            if before != target:
                desk.end(before)  # so that no file has changes from before and behind those of another
            self._last[target.topic, target.partition] = target
        if new:
            desk.write(target, [each.record for each in new], lambda at: reject(new[at], _unfit(new[at])))

    def commit(self, position: Position) -> None:
        """Commit to each table what it has been told, then the position."""
        self._catalogue.confirm()
        finished = sorted(
            self._opened().finish(), key=lambda each: (each.target.topic, each.target.partition, each.first)
        )
        for topic, files in groupby(finished, lambda each: each.target.topic):
            self._apply(topic, list(files))
            self.alive()
        self._last.clear()
        self._catalogue.commit(position)

    def close(self) -> None:
        """Let go of everything, as it is."""
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        self._catalogue.close()

    def position(self) -> Position | None:
        """Return the position of the last commit."""
        return self._catalogue.position()

    def set_position(self, position: Position | None) -> None:
        """Replace the position."""
        self._catalogue.set_position(position)

    def try_out(self) -> None:
        """Find out whether tables can be made."""
        self._catalogue.try_out()

    def _opened(self) -> Desk:
        assert self._desk is not None, "written to before it was opened"
        return self._desk

    def _target(self, kind: Kind, delivery: Delivery) -> Target:
        topic, partition, slot, _ = kind
        schema_id, schema = schema_of(delivery)
        frame = _key_frame(delivery) if self._state else None
        met = (topic, schema_id, frame)
        if met not in self._met:
            self._met[met] = self._meet(topic, schema_id, delivery)
        if self._state:
            home = self._homes[topic]
            # A truncate has no key, and is the table's whatever that is now.
            key = home.mark.key if frame is None else self._met[met]
            home.mark = replace(home.mark, key=key)
            return Target(topic, partition, json.dumps(key), schema_id, schema)
        period = _PERIODS_MS.get(self._config.partition_by)
        return Target(topic, partition, "" if period is None else str(slot * SLOT_MS // period), schema_id, schema)

    def _meet(self, topic: str, schema_id: int, delivery: Delivery) -> Sequence[str]:
        """Have a table for values of a schema; return the columns of its key."""
        _, schema = schema_of(delivery)
        key: Sequence[str] = ()
        if not self._state:
            layout = layout_of(schema, self._config.layout)
            home = self._catalogue.home(topic, pa.schema([plain_field(each) for each in layout.schema]), key)
            self._format.learn(topic, schema_id, layout, home.table)
        else:
            layout = layout_of(schema, "flat")
            if layout.row is None:
                raise BadRecord(f"a record of {topic} is no change of a row", hint="set mode: changelog for it")
            key = self._key(topic, delivery, layout)
            columns = [plain_field(each, required=each.name in key) for each in list(layout.schema)[_FLAT:]]
            home = self._catalogue.home(topic, pa.schema(columns), key)
            self._format.learn(topic, schema_id, layout, None)
        self._homes[topic] = home
        return key

    def _begun(self, topic: str, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Leave out truncates of a table that is not there yet: they tell nothing, not even what its key is."""
        if topic in self._homes or self._catalogue.known(topic) is not None:
            return deliveries
        return list(dropwhile(_truncates, deliveries))

    def _key(self, topic: str, delivery: Delivery, layout: Layout) -> tuple[str, ...]:
        shape = delivery.key_shape
        if shape is None:  # a truncate, or a change of a table without a key
            home = self._catalogue.known(topic)
            key = tuple(home.mark.key) if home is not None else ()
            if not key and self._config.without_key == "refuse":
                raise BadRecord(f"table of {topic} has no key", hint="set without_key: append, or add a primary key")
        else:
            names = layout.schema.names[_FLAT:]
            key = tuple([names[layout.places[column.name][1]] for column in shape.columns])
        return key

    def _apply(self, topic: str, files: Sequence[Finished]) -> None:
        home = self._homes[topic]
        if self._state:
            for file in files:
                told, key = {file.target.partition: file.last + 1}, json.loads(file.target.folder)
                merge(home, file.path, told, key, compression=self._config.compression)
                file.path.unlink()
                self.alive()
            return
        brought = []
        reached: dict[int, int] = {}
        for file in files:
            name = file.name.rpartition("/")[2].removesuffix(".parquet")
            brought.append(bring(home.table, file.path, name))
            file.path.unlink()
            self.alive()
            reached[file.target.partition] = max(reached.get(file.target.partition, 0), file.last + 1)
        home.append(reached, brought)


def _key_frame(delivery: Delivery) -> bytes | None:
    key = delivery.record.key
    return None if key is None else key[:FRAME]


def _followable(target: Target, deliveries: list[Delivery], reject: Reject) -> list[Delivery]:
    """Return the changes that a state can follow; the others are rejected."""
    keyed = bool(json.loads(target.folder))
    kept = []
    for delivery in deliveries:
        error = _moved(delivery) if keyed else _unkeyed(target.topic, delivery)
        if error is None:
            kept.append(delivery)
        else:
            reject(delivery, error)
    return kept


def _truncates(delivery: Delivery) -> bool:
    change = delivery.change if delivery.record.key is None else None
    return change is not None and change.op == "t"


def _moved(delivery: Delivery) -> BadRecord | None:
    headers: Mapping[str, object] = dict(delivery.record.headers)
    if OLD_KEY in headers and UNAVAILABLE_COLUMNS in headers:
        return BadRecord(
            "the key has changed, and the database did not send all values of the row",
            hint="give the table REPLICA IDENTITY FULL",
        )
    return None


def _unkeyed(topic: str, delivery: Delivery) -> BadRecord | None:
    change = delivery.change
    if change is not None and change.op in {"u", "d"}:
        return BadRecord(
            f"table of {topic} has no key: an update or a delete cannot be followed",
            hint="give it a primary key, or set mode: changelog",
        )
    return None


def _unfit(delivery: Delivery) -> BadRecord:
    schema_id, _ = schema_of(delivery)
    return BadRecord(f"the value is not what its schema {schema_id} says, or fits no column")
