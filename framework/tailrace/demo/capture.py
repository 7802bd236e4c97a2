"""What the demo's worker has captured, read back from the log as any consumer would."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tailrace.log.backend import StoredRecord
from tailrace.source import Source

Decode = Callable[[bytes | None], object]
"""From bytes of the log to plain JSON."""

WORDS = {"r": "snapshot", "c": "insert", "u": "update", "d": "delete"}

KEPT_EVENTS = 12
SHOWN_TEXT = 24


@dataclass(frozen=True, slots=True)
class CapturedEvent:
    """One event of a table's topic, for people."""

    at: datetime
    table: str
    word: str
    key: str
    what: str


@dataclass(slots=True)
class CapturedTopic:
    """What one topic holds. `live` are the keys whose last event is no delete: the rows of the table."""

    words: Counter[str] = field(default_factory=Counter)
    live: set[bytes] = field(default_factory=set)
    next_offset: int = 0
    size: int = 0
    """Bytes of keys and values."""


class Capture:
    """Follows `reader`, a source of the records of the shop's topics; `prefix` is cut off their names."""

    def __init__(self, reader: Source[StoredRecord], prefix: str, decode: Decode) -> None:
        self._reader = reader
        self._prefix = prefix
        self._decode = decode
        self.topics: dict[str, CapturedTopic] = {}
        self.last: deque[CapturedEvent] = deque(maxlen=KEPT_EVENTS)
        self.events = 0
        self._reader.open(None)

    def follow(self) -> None:
        """Read what has come since the last call."""
        events: list[CapturedEvent] = []
        while items := self._reader.poll(0.0).items:
            events += [event for record in items if (event := self._take(record)) is not None]
        # The order between topics is the reader's; people expect that of time.
        events.sort(key=lambda event: event.at)
        self.last.extend(events)

    def close(self) -> None:
        """Release the reader."""
        self._reader.close()

    def _take(self, record: StoredRecord) -> CapturedEvent | None:
        table = record.topic.removeprefix(self._prefix)
        topic = self.topics.setdefault(table, CapturedTopic())
        topic.next_offset = record.offset + 1
        topic.size += len(record.key or b"") + len(record.value or b"")
        key = record.key or b""
        if record.value is None:  # the tombstone that follows a delete
            topic.live.discard(key)
            return None
        value = self._decode(record.value)
        assert isinstance(value, Mapping)
        word = WORDS.get(str(value["op"]), str(value["op"]))
        topic.words[word] += 1
        topic.live.add(key)
        self.events += 1
        at = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
        return CapturedEvent(at, table, word, *_told(self._decode(record.key), value))


def _told(key: object, value: Mapping[str, object]) -> tuple[str, str]:
    """Return the key, and what changed if the event carries the row as it was, else what the row is now."""
    keys = key if isinstance(key, Mapping) else {}
    before, after = value.get("before"), value.get("after")
    what: list[str] = []
    if isinstance(after, Mapping) and isinstance(before, Mapping):
        changed = [name for name in after if after[name] != before.get(name)]
        what = [f"{name} {_text(before.get(name))} → {_text(after[name])}" for name in changed]
    elif isinstance(after, Mapping):
        what = [f"{name} {_text(item)}" for name, item in after.items() if name not in keys]
    return ",".join(map(str, keys.values())), "  ".join(what)


def _text(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= SHOWN_TEXT else f"{text[: SHOWN_TEXT - 1]}…"
