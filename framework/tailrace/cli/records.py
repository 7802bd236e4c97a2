"""Records of one topic as `tailrace tail` shows them: where to begin, in which order, and as which line."""

from __future__ import annotations

import base64
import difflib
import heapq
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tailrace.codec.decoder import Decoder
from tailrace.errors import ConfigError, TailraceError
from tailrace.log.backend import LogBackend, PartitionInfo, StoredRecord

_FOLLOW_POLL = 0.5
_FIRST_TIME = 100_000_000_000
"""A bare number from here on is milliseconds since 1970 (March 1973), below an offset: no partition is that long."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin in each partition; `value` is an offset, or milliseconds since 1970."""

    kind: Literal["earliest", "latest", "offset", "time"]
    value: int = 0


def parse_start(text: str) -> Start:
    """Read `--from`; a time without a zone is UTC."""
    if text == "earliest":
        return Start("earliest")
    if text == "latest":
        return Start("latest")
    if text.isdecimal():
        number = int(text)
        return Start("time" if number >= _FIRST_TIME else "offset", number)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f'--from "{text}" is neither earliest, latest, an offset nor a time',
            hint="a time looks like 2026-01-31T12:00:00Z, or is a number of milliseconds since 1970",
        ) from None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return Start("time", round(time.timestamp() * 1000))


def records_of(
    log: LogBackend, topic: str, start: Start, *, follow: bool, idle: Callable[[], None]
) -> Iterator[StoredRecord]:
    """Yield records by time where that does not break the order of a partition, up to the end as of now.

    `follow` goes on for ever; `idle` is called when there is nothing more at hand.
    """
    found = log.partitions()
    partitions = [info for info in found if info.topic == topic]
    if not partitions:
        raise TailraceError(f"no topic {topic}", hint=_nearest(topic, sorted({info.topic for info in found})))
    reached = {info.partition: _offset(log, info, start) for info in partitions}
    streams = [log.records(topic, partition, offset) for partition, offset in reached.items()]
    for record in heapq.merge(*streams, key=lambda record: record.timestamp_ms):
        reached[record.partition] = record.offset + 1
        yield record
    if not follow:
        return
    idle()
    with closing(log.reader([topic])) as reader:
        reader.open({f"{topic}-{partition}": offset for partition, offset in reached.items()})
        while True:
            yield from reader.poll(_FOLLOW_POLL).items
            idle()


def line_of(record: StoredRecord, decoder: Decoder) -> str:
    """Return the record as one line of JSON."""
    return json.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp_ms,
            "key": decoder.plain(record.key),
            "value": decoder.plain(record.value),
            "headers": [[name, _header(value)] for name, value in record.headers],
        },
        ensure_ascii=False,
    )


def _header(value: bytes | None) -> object:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}


def _offset(log: LogBackend, info: PartitionInfo, start: Start) -> int:
    if start.kind == "earliest":
        return info.first_offset
    if start.kind == "latest":
        return info.next_offset
    if start.kind == "time":
        return log.offset_at(info.topic, info.partition, start.value)
    return max(start.value, info.first_offset)


def _nearest(topic: str, topics: Sequence[str]) -> str:
    if near := difflib.get_close_matches(topic, topics, n=3):
        return f"did you mean {' or '.join(near)}?"
    return f"there are: {', '.join(topics)}" if topics else "the log has no topics yet"
