"""Finding an offset by time: the first record that is not older than a moment."""

from __future__ import annotations

import os

from tailrace.log.store import disk
from tailrace.log.store.batch import decode_batch
from tailrace.log.store.committed import read_watermark
from tailrace.log.store.index import locate_time
from tailrace.log.store.layout import Layout, Place
from tailrace.log.store.segment import SegmentFile, log_path, segment_bases


def offset_at(layout: Layout, place: Place, timestamp: int) -> int:
    """Return the offset of the first committed record not older than `timestamp` (ms), or the next offset.

    Timestamps need not rise along the log, so every segment is asked; the time index skips most of each.
    """
    watermark = read_watermark(layout, place)
    for base in segment_bases(place.folder):
        if base >= watermark:
            break
        path = log_path(place.folder, base)
        fd = disk.open_existing(path)
        if fd is None:  # cleaned meanwhile
            continue
        try:
            offset = _offset_in(SegmentFile(fd, path), base, timestamp, watermark, place)
        finally:
            os.close(fd)
        if offset is not None:
            return offset
    return watermark


def _offset_in(segment: SegmentFile, base: int, timestamp: int, watermark: int, place: Place) -> int | None:
    position, start = locate_time(segment, base, timestamp)
    for at, header in segment.headers(position, start, watermark):
        if header.max_timestamp < timestamp:
            continue
        found, batch = segment.batch(at, header.base_offset)
        for record in decode_batch(found, batch, place.topic, place.partition):
            if record.timestamp_ms >= timestamp:
                return record.offset
    return None
