"""Compaction: of each key, keep the last record. Order, offsets and timestamps stay as they are.

One pass over a partition's closed segments:

1. From the first segment that was not compacted before, remember the last offset of each key, until the memory that
   is set aside for it is full.
2. Write the segments up to there anew, oldest first, without the records that a later one replaces; neighbours that
   have become small become one segment.

Batches keep standing for all offsets that they stood for, so that a hole remains a sign of loss. A tombstone stays
for a time of grace, counted from the first pass that kept it (KIP-534: that moment is written into its batch); by then
every older record of its key is gone, and every reader that is not further behind than that has seen it.

A new segment is put in the place of the old by one rename, before the neighbours it took in are removed. So there is
no moment without the records, and a crash leaves at worst records twice, in files that readers enter by offset.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import structlog

from tailrace.log.backend import StoredRecord
from tailrace.log.store import disk
from tailrace.log.store.batch import BatchHeader, decode_batch
from tailrace.log.store.compression import CODES
from tailrace.log.store.end import MAX_OFFSET
from tailrace.log.store.index import IndexWriter, locate
from tailrace.log.store.layout import Place
from tailrace.log.store.retention import closed_segments, remove_segment
from tailrace.log.store.rewriting import DRAFT, Survivors, fingerprint, write_segment
from tailrace.log.store.segment import SegmentFile, index_path, log_path, segment_bases, segment_size, time_index_path
from tailrace.log.store.settings import TopicSettings

log = structlog.get_logger()

MOST_KEYS = 500_000
"""Keys remembered in one pass: about 100 MB. What does not fit is left for the next pass."""

DIRTY_SHARE = 0.5
"""A pass reads and writes everything: it waits until half of it is new. Kafka's default."""

_STATE = "compacted.json"
_LONGEST_SPAN = 2**31 - 1
"""Offsets within a segment and a batch are 32-bit."""


@dataclass(frozen=True, slots=True)
class _State:
    """How far the last pass came: segments from `clean` on are new; `horizon` is when the next tombstone may go."""

    clean: int = 0
    horizon: int | None = None


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a pass did, in bytes of segment files."""

    before: int
    after: int


class Compaction:
    """Compacts one partition; whoever runs it holds the cleaner's lock."""

    def __init__(self, place: Place, settings: TopicSettings, *, most_keys: int = MOST_KEYS) -> None:
        self._place = place
        self._folder = place.folder
        self._settings = settings
        self._most_keys = most_keys
        self._now_ms = 0

    def run(self, watermark: int, now_ms: int, *, force: bool = False) -> Compacted | None:
        """Make a pass if one is due; return None if none is. Raises `Fatal` where a segment is damaged."""
        self._now_ms = now_ms
        for draft in self._folder.glob(f"*{DRAFT}"):
            disk.remove(draft)
        state = self._read_state()
        closed = closed_segments(self._folder, watermark)
        if not closed or not (force or self._is_due(closed, state)):
            return None
        before = self._bytes(closed)
        last, end = self._latest_offsets(closed, state.clean)
        survivors = Survivors(last, now_ms, int(self._settings.delete_retention_hours * 3_600_000))
        for group in self._groups(end):
            self._rewrite(group, survivors)
        self._write_state(_State(end, survivors.next_horizon))
        return Compacted(before, self._bytes(closed))

    def _bytes(self, bases: list[int]) -> int:
        return sum(segment_size(log_path(self._folder, base)) for base in bases)

    def _is_due(self, closed: list[int], state: _State) -> bool:
        new = self._bytes([base for base in closed if base >= state.clean])
        tombstones_due = state.horizon is not None and state.horizon <= self._now_ms
        return tombstones_due or new > DIRTY_SHARE * self._bytes(closed)

    def _latest_offsets(self, closed: list[int], clean: int) -> tuple[dict[bytes, int], int]:
        """Return the last offset of each key in the new segments, and the offset up to which they were read."""
        last: dict[bytes, int] = {}
        end = clean
        for base in closed:
            if base < clean:
                continue
            if len(last) >= self._most_keys:
                break
            for header, records in self._batches(base, base):
                last.update((fingerprint(each.key), each.offset) for each in records if each.key is not None)
                end = header.next_offset
        return last, end

    def _batches(self, base: int, offset: int) -> Iterator[tuple[BatchHeader, list[StoredRecord]]]:
        """Yield the sound batches of a segment from `offset` on."""
        path = log_path(self._folder, base)
        fd = disk.open_file(path, os.O_RDONLY)
        segment = SegmentFile(fd, path)
        try:
            for position, header in segment.headers(0, base, MAX_OFFSET):
                if header.base_offset >= offset:
                    _, batch = segment.batch(position, header.base_offset)
                    yield header, decode_batch(header, batch, self._place.topic, self._place.partition)
        finally:
            os.close(fd)

    def _groups(self, end: int) -> Iterator[list[int]]:
        """Yield runs of neighbours below `end` that fit into one segment; never across a hole, which must show."""
        group: list[int] = []
        size = 0
        for base, following in pairwise(segment_bases(self._folder)):
            if base >= end:
                break
            own = segment_size(log_path(self._folder, base))
            fits = size + own <= self._settings.segment_bytes and (not group or following - group[0] < _LONGEST_SPAN)
            if group and not (fits and self._reaches(group[-1], base)):
                yield group
                group, size = [], 0
            group.append(base)
            size += own
        if group:
            yield group

    def _reaches(self, base: int, following: int) -> bool:
        """Return whether a segment ends where the next begins."""
        path = log_path(self._folder, base)
        fd = disk.open_file(path, os.O_RDONLY)
        try:
            return locate(SegmentFile(fd, path), base, following - 1) is not None
        finally:
            os.close(fd)

    def _rewrite(self, group: list[int], survivors: Survivors) -> None:
        """Put one segment in the place of a group."""
        base = group[0]
        draft = log_path(self._folder, base).with_suffix(DRAFT)
        index = IndexWriter(self._folder, base, self._settings.index_interval_bytes)
        batches = survivors.batches(self._all(group), base, CODES[self._settings.compression])
        write_segment(draft, batches, index)
        disk.remove(index_path(self._folder, base))
        disk.remove(time_index_path(self._folder, base))
        disk.rename(draft, log_path(self._folder, base))
        disk.sync_directory(self._folder)
        for taken_in in group[1:]:
            remove_segment(self._folder, taken_in)
        index.finish()
        disk.sync_directory(self._folder)

    def _all(self, group: list[int]) -> Iterator[tuple[BatchHeader, list[StoredRecord]]]:
        """Yield the batches of a group, each offset once: a crash may have left a segment that was taken in before."""
        offset = group[0]
        for base in group:
            for header, records in self._batches(base, offset):
                yield header, records
                offset = header.next_offset

    def _read_state(self) -> _State:
        """Return how far the last pass came; a damaged file costs a pass from the start and nothing else."""
        try:
            content = json.loads(disk.read_file(self._folder / _STATE) or b"{}")
            horizon = content.get("horizon")
            return _State(int(content.get("clean", 0)), None if horizon is None else int(horizon))
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("state of compaction is damaged", partition=self._place.name, error=str(error))
            return _State()

    def _write_state(self, state: _State) -> None:
        content = json.dumps({"clean": state.clean, "horizon": state.horizon})
        disk.replace_file(self._folder / _STATE, content.encode())
