"""What a topic tells, by the log's own reader; and its records as somebody else's code reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from crash.place import Place
from crash.tables import CrashTable
from crash.verify import NOT_SENT, Cells, NotSent, TopicEvent
from crash.worker import CONNECTOR
from tailrace.codec.decoder import Decoder
from tailrace.log.backend import StoredRecord

PLACEHOLDER = "__debezium_unavailable_value"


@dataclass(frozen=True, slots=True)
class Told:
    """How many records a reader found, and a digest over their offsets, keys and values."""

    records: int
    digest: str


class Topics:
    """The topics of a worker."""

    def __init__(self, place: Place, prefix: str) -> None:
        self.prefix = prefix
        self.log = place.log()
        self._place = place
        self._decoder = Decoder(self.log.registry())

    def partitions(self, table: CrashTable) -> list[int]:
        """Return the partitions of the table's topic."""
        return [info.partition for info in self.log.partitions() if info.topic == self.topic(table)]

    def events(self, table: CrashTable, partition: int) -> Iterator[TopicEvent]:
        """Yield what was committed to a partition, in order; raises ValueError where offsets are wrong."""
        expected = 0
        for record in self.log.records(self.topic(table), partition, 0):
            if record.offset < expected or (self._place.dense and record.offset != expected):
                raise ValueError(f"{record.topic}-{partition}: offset {record.offset} where {expected} follows")
            expected = record.offset + 1
            yield self._event(table, record)

    def topic(self, table: CrashTable) -> str:
        """The full name of the table's topic."""
        return f"{self.prefix}.{table.topic}"

    def told(self, topic: str, partition: int) -> Told:
        """Read a partition with the log's reader."""
        return digest((record.offset, record.key, record.value) for record in self.log.records(topic, partition, 0))

    def told_to_others(self, until: Mapping[tuple[str, int], int]) -> Mapping[tuple[str, int], Told]:
        """Read the first `until` records of partitions with somebody else's code."""
        read = self._place.read_by_others(list(until))
        return {place: digest(islice(records, until[place])) for place, records in read}

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


def committed(place: Place) -> Mapping[str, object] | None:
    """Return the position that the log has committed for the worker's connector."""
    return place.log().positions().get(CONNECTOR)


def digest(records: Iterator[tuple[int, bytes | None, bytes | None]]) -> Told:
    """Return what can be compared of records."""
    sha = hashlib.sha256()
    number = 0
    for number, (offset, key, value) in enumerate(records, 1):  # noqa: B007 - counts
        sha.update(repr((offset, key, value)).encode())
    return Told(number, sha.hexdigest())


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
