"""A reader that follows all topics while the worker is killed: it must never see what is not there in the end."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import closing

from crash.place import Place
from crash.topics import Topics
from tailrace.errors import Retriable
from tailrace.log.backend import StoredRecord
from tailrace.position import Position


class Follower(threading.Thread):
    """Keeps a checksum of each record that it was shown, by topic and partition, in the order of their showing."""

    def __init__(self, place: Place, topics: str) -> None:
        super().__init__(name="follower", daemon=True)
        self._place = place
        self.died: BaseException | None = None
        self.stopping = threading.Event()
        self.shown: dict[tuple[str, int], list[tuple[int, int]]] = {}
        self._glob = topics
        self._position: Position | None = None

    def run(self) -> None:
        """Read until stopped."""
        try:
            while not self.stopping.is_set():
                try:
                    self._follow(self._position)
                except Retriable:  # a broker is away
                    self.stopping.wait(0.5)
        except BaseException as died:  # noqa: BLE001 - told by `problems`
            self.died = died

    def _follow(self, position: Position | None) -> None:
        with closing(self._place.log().reader([self._glob])) as source:
            source.open(position)
            while not self.stopping.is_set():
                batch = source.poll(0.2)
                for record in batch.items:
                    place = (record.topic, record.partition)
                    self.shown.setdefault(place, []).append((record.offset, _checksum(record)))
                self._position = batch.position or self._position

    def problems(self, topics: Topics) -> Iterator[str]:
        """Stop, and tell where what was shown is not the beginning of what is there."""
        self.stopping.set()
        self.join(30)
        if self.died is not None:
            yield f"a reader that followed died: {self.died!r}"
        for (topic, partition), shown in sorted(self.shown.items()):
            there = topics.log.records(topic, partition, 0)
            for (offset, checksum), record in zip(shown, there, strict=False):
                if (offset, checksum) != (record.offset, _checksum(record)):
                    yield f"{topic}-{partition}: a reader was shown another record than there is at {record.offset}"
                    break


def _checksum(record: StoredRecord) -> int:
    return zlib.crc32(repr((record.key, record.value, record.timestamp_ms)).encode())
