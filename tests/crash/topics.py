"""What a topic tells, by the log's own reader; and its records as somebody else's reader of Kafka batches has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from aiokafka.record.memory_records import MemoryRecords

from crash.tables import CrashTable
from crash.verify import NOT_SENT, Cells, NotSent, TopicEvent
from tailrace.codec.decoder import Decoder
from tailrace.log.backend import StoredRecord
from tailrace.log.store.backend import BundledLog

PLACEHOLDER = "__debezium_unavailable_value"


@dataclass(frozen=True, slots=True)
class Told:
    """How many records a reader found, and a digest over their offsets, keys and values."""

    records: int
    digest: str


class Topics:
    """The topics below a log's folder, with one partition each."""

    def __init__(self, path: Path, prefix: str) -> None:
        self.path = path
        self.prefix = prefix
        self.log = BundledLog(BundledLog.Config.model_validate({"path": path}))
        self._decoder = Decoder(self.log.registry())

    def events(self, table: CrashTable) -> Iterator[TopicEvent]:
        """Yield what was committed to the table's topic, in order; raises ValueError where offsets are not dense."""
        for expected, record in enumerate(self.log.records(self.topic(table), 0, 0)):
            if record.offset != expected:
                raise ValueError(f"{record.topic}: offset {record.offset} where {expected} follows")
            yield self._event(table, record)

    def topic(self, table: CrashTable) -> str:
        """The full name of the table's topic."""
        return f"{self.prefix}.{table.topic}"

    def told(self, table: CrashTable) -> Told:
        """Read the topic with the log's reader."""
        return _digest(
            (record.offset, record.key, record.value) for record in self.log.records(self.topic(table), 0, 0)
        )

    def told_to_others(self, table: CrashTable, *, until: int) -> Told:
        """Read the topic's segment files, up to offset `until`, with the record batch reader of aiokafka."""
        return _digest(record for record in segment_records(self.path, self.topic(table)) if record[0] < until)

    def _event(self, table: CrashTable, record: StoredRecord) -> TopicEvent:
        key = _mapping(self._decoder.value(record.key))
        named = _key_text(table, key) if key is not None else None
        envelope = _mapping(self._decoder.value(record.value))
        if envelope is None:
            return TopicEvent(record.offset, "x", named)
        after, before = (_cells(table, _mapping(envelope[side])) for side in ("after", "before"))
        if table.keyless:
            row = _mapping(envelope["after"]) or _mapping(envelope["before"])
            named = _key_text(table, row) if row is not None else None
        return TopicEvent(record.offset, str(envelope["op"]), named, after, before, _moved_from(table, record.headers))


def segment_records(path: Path, topic: str) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """Yield offset, key and value of all records in the segment files of partition 0, committed or not."""
    for segment in sorted((path / "topics" / f"{topic}-0").glob("*.log")):
        batches = MemoryRecords(segment.read_bytes())
        while batches.has_next():
            batch = batches.next_batch()
            assert batch is not None
            if not batch.validate_crc():
                raise ValueError(f"{segment}: checksum of the batch at offset {batch.base_offset} is wrong")
            for record in batch:
                yield record.offset, record.key, record.value


def _digest(records: Iterator[tuple[int, bytes | None, bytes | None]]) -> Told:
    digest = hashlib.sha256()
    number = 0
    for number, (offset, key, value) in enumerate(records, 1):  # noqa: B007 - counts
        digest.update(repr((offset, key, value)).encode())
    return Told(number, digest.hexdigest())


def _moved_from(table: CrashTable, headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    for name, value in headers:
        if name == "__debezium.oldkey" and value is not None:
            struct = json.loads(value)
            return _key_text(table, struct.get("payload", struct))
    return None


def _key_text(table: CrashTable, row: Mapping[str, object]) -> str:
    return "|".join(str(row[name]) for name in table.key)


def _cells(table: CrashTable, row: Mapping[str, object] | None) -> Cells | None:
    if row is None:
        return None
    return tuple(_cell(row[name], big=name in table.big) for name in table.names)


def _cell(value: object, *, big: bool) -> str | None | NotSent:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if big:
        return NOT_SENT if value == PLACEHOLDER else hashlib.md5(str(value).encode()).hexdigest()
    return str(value)


def _mapping(value: object) -> Mapping[str, object] | None:
    assert value is None or isinstance(value, Mapping)
    return value
