"""Deleting the oldest segments of a partition by age and size; and which segments may be touched at all.

A segment may be cleaned when a later one has committed records: then the committed end, which the owner's journal
names by segment and byte, lies in a later one for sure, and no writer will ever come back to this one.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from tailrace.log.store import disk
from tailrace.log.store.end import MAX_OFFSET
from tailrace.log.store.segment import (
    SegmentFile,
    index_path,
    log_path,
    segment_bases,
    segment_size,
    time_index_path,
)
from tailrace.log.store.settings import TopicSettings


def closed_segments(folder: Path, watermark: int) -> list[int]:
    """Return the base offsets of the segments that may be cleaned, sorted."""
    return [base for base, following in pairwise(segment_bases(folder)) if following < watermark]


def expire(folder: Path, settings: TopicSettings, watermark: int, now_ms: int) -> list[int]:
    """Delete what the settings no longer keep, oldest first; return the base offsets of what was deleted.

    Raises `Fatal` where a segment is damaged: its age cannot be told.
    """
    expired: list[int] = []
    total = sum(segment_size(log_path(folder, base)) for base in segment_bases(folder))
    for base in closed_segments(folder, watermark):
        size = segment_size(log_path(folder, base))
        if not (_is_too_much(total - size, settings) or _is_too_old(folder, base, settings, now_ms)):
            break
        remove_segment(folder, base)
        expired.append(base)
        total -= size
    if expired:
        disk.sync_directory(folder)
    return expired


def remove_segment(folder: Path, base: int) -> None:
    """Delete a segment and its indexes; readers that have it open read it to its end."""
    disk.remove(index_path(folder, base))
    disk.remove(time_index_path(folder, base))
    disk.remove(log_path(folder, base))


def _is_too_much(left: int, settings: TopicSettings) -> bool:
    """Return whether what is `left` without the segment is still as much as is to be kept."""
    return settings.retention_bytes is not None and left >= settings.retention_bytes


def _is_too_old(folder: Path, base: int, settings: TopicSettings, now_ms: int) -> bool:
    if settings.retention_hours is None:
        return False
    return _newest(log_path(folder, base), base) < now_ms - settings.retention_hours * 3_600_000


def _newest(path: Path, base: int) -> int:
    """Return the greatest timestamp in a segment; by its batches, for the time index is only a hint."""
    fd = disk.open_file(path, os.O_RDONLY)
    try:
        headers = SegmentFile(fd, path).headers(0, base, MAX_OFFSET)
        return max((header.max_timestamp for _, header in headers), default=-1)
    finally:
        os.close(fd)
