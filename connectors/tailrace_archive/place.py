"""Where a record belongs in the archive: its topic's folder, and what a finished file is called there.

    <topic>/dt=2026-03-01/hour=14/<topic>+<partition>+<first offset>+<last offset>.parquet     offsets of 10 digits
    <topic>/dt=2026-03-01/…
    <topic>/partition=0/…

The names are those of Kafka Connect's HDFS sink. Offsets between the first and the last may lie in files of other
folders, or be no rows at all (tombstones); no offset is in two files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord
from tailrace_archive.config import ArchiveConfig

SLOT_MS = 15 * 60 * 1000
"""A quarter of an hour: no time zone of today begins its hours at anything finer."""

_MOST_SLOTS = 10_000

FolderOf: TypeAlias = Callable[[int, int], str]
"""From a time in milliseconds and a partition to the folder within the topic's."""

# How much of a value of each semantic type makes a millisecond; as the fraction (times, divided by).
_UNITS: Mapping[str, tuple[int, int]] = {
    "io.debezium.time.Date": (86_400_000, 1),
    "org.apache.kafka.connect.data.Date": (86_400_000, 1),
    "io.debezium.time.Timestamp": (1, 1),
    "org.apache.kafka.connect.data.Timestamp": (1, 1),
    "io.debezium.time.MicroTimestamp": (1, 1000),
    "io.debezium.time.NanoTimestamp": (1, 1_000_000),
}


class Folders:
    """The folders of records, by their time or their partition."""

    def __init__(self, config: ArchiveConfig) -> None:
        self._zone = ZoneInfo(config.time_zone)
        self._by = config.partition_by
        self._known: dict[int, str] = {}

    def of(self, timestamp_ms: int, partition: int) -> str:
        """Return the folder within that of the topic."""
        if self._by == "partition":
            return f"partition={partition}"
        slot = timestamp_ms // SLOT_MS
        folder = self._known.get(slot)
        if folder is None:
            if len(self._known) >= _MOST_SLOTS:
                self._known.clear()
            folder = self._known[slot] = self._at(slot * SLOT_MS)
        return folder

    def _at(self, timestamp_ms: int) -> str:
        try:
            time = datetime.fromtimestamp(timestamp_ms / 1000, UTC).astimezone(self._zone)
        except (ValueError, OverflowError, OSError):
            return "dt=unknown" if self._by == "day" else "dt=unknown/hour=unknown"
        return f"dt={time:%Y-%m-%d}" if self._by == "day" else f"dt={time:%Y-%m-%d}/hour={time:%H}"


def file_name(topic: str, partition: int, first: int, last: int, ending: str) -> str:
    """Return the name of a file that holds the offsets from `first` to `last`."""
    return f"{topic}+{partition}+{first:010}+{last:010}.{ending}"


class FieldTime:
    """The time of a record by a field of its envelope, or of the value that is none."""

    def __init__(self, path: str) -> None:
        self._path = path.split(".")

    def __call__(self, delivery: Delivery) -> int:
        """Return milliseconds since 1970; the record's own time where the field is null.

        A delete has no `after`: its `before` is looked into instead. Raises `BadRecord` where the field is not there or
        is no time.
        """
        value: object = delivery.value
        path = list(self._path)
        if isinstance(value, Mapping) and path[0] == "after" and value.get("after") is None:
            path[0] = "before"
        for name in path:
            if value is None:
                break
            if not isinstance(value, Mapping) or name not in value:
                raise BadRecord(
                    f"time of a record of {delivery.record.topic}: it has no field {'.'.join(self._path)}",
                    hint="correct time_field, give topics without that field a sink of their own, or set errors",
                )
            value = value[name]
        return delivery.record.timestamp_ms if value is None else self._milliseconds(value, delivery)

    def _milliseconds(self, value: object, delivery: Delivery) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise BadRecord(f"time of a record of {delivery.record.topic}: {'.'.join(self._path)} is no time")
        if isinstance(value, int):
            times, by = _UNITS.get(self._name(delivery), (1, 1))
            return value * times // by
        try:
            return int(datetime.fromisoformat(value).timestamp() * 1000)
        except ValueError:
            raise BadRecord(
                f"time of a record of {delivery.record.topic}: {'.'.join(self._path)} is a text, and no time"
            ) from None

    def _name(self, delivery: Delivery) -> str:
        """Return the semantic type of a column; "" for other fields, which are milliseconds."""
        shape = delivery.shape if self._path[0] in {"after", "before"} else None
        named = {field.name: field.schema.name for field in shape.columns} if shape else {}
        return named.get(self._path[-1]) or ""
