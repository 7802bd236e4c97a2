"""Bringing a partition back to its committed end when a task becomes its owner.

What lies past the end is cut. Committed data that is missing is never passed over: it is an error that names what is
gone, unless the task was reset; then the partition goes on after what is there. Whoever calls this holds the lock of
the partition's folder and of its owner's journal.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from tailrace.errors import Fatal
from tailrace.log.store import disk
from tailrace.log.store.batch import check_crc, read_header
from tailrace.log.store.end import START, End
from tailrace.log.store.record import CorruptBatch
from tailrace.log.store.segment import (
    SegmentFile,
    check_place,
    index_path,
    log_path,
    segment_bases,
    time_index_path,
)

log = structlog.get_logger()

_MEND = (
    "restore the file from a backup, or take a new snapshot behind the gap "
    "(`tailrace offsets reset CONFIG --connector NAME`)"
)


def settle(folder: Path, end: End, hint: int | None, *, lenient: bool) -> End:
    """Cut a partition to its committed end and return that end.

    `hint` is the watermark that readers were shown. `lenient` (after a reset) accepts that committed data is gone and
    returns an end behind what is there; the next offset is never one that was given out before.
    """
    fault = _fault(folder, end, hint)
    if fault:
        if not lenient:
            raise Fatal(fault, hint=_MEND)
        next_offset = max(end.next_offset, hint or 0)
        end = _after(survivors(folder, next_offset), next_offset)
        log.warning("partition goes on after a loss", partition=folder.name, reason=fault, next_offset=next_offset)
    _cut(folder, end)
    return end


def _fault(folder: Path, end: End, hint: int | None) -> str:
    """Return what is wrong with the committed end, empty if nothing."""
    if hint is not None and hint > end.next_offset:
        return (
            f"open partition {folder.name}: its journal ends at offset {end.next_offset}, "
            f"but readers were shown records up to {hint}"
        )
    path = log_path(folder, end.segment)
    reason = _end_fault(path, end)
    if not reason:
        return ""
    left = survivors(folder, end.next_offset)
    gone = f"offsets {left.next_offset} to {end.next_offset - 1} are gone"
    return f"open partition {folder.name}: {path}: {reason}; {gone}"


def _end_fault(path: Path, end: End) -> str:
    if end.size == 0:
        return ""
    if not path.exists():
        return "the file is missing"
    fd = disk.open_file(path, os.O_RDONLY)
    try:
        size = disk.file_size(fd)
        if size < end.size:
            return f"the file has {size} bytes where {end.size} are committed"
        batch = disk.read_at(fd, end.size - end.last_batch, end.last_batch, path)
    finally:
        os.close(fd)
    try:
        header = read_header(batch)
        check_crc(header, batch)
        check_place(header, header.base_offset)
    except CorruptBatch as error:
        return f"the last committed batch, at byte {end.last_batch}, is damaged: {error}"
    if header.next_offset != end.next_offset:
        return f"the last committed batch ends before offset {header.next_offset}, not {end.next_offset}"
    return ""


def survivors(folder: Path, until: int) -> End:
    """Return the end of the sound batches below the offset `until`, looking at the last segment that has any."""
    for base in reversed(segment_bases(folder)):
        if base >= until:
            continue
        path = log_path(folder, base)
        fd = disk.open_file(path, os.O_RDONLY)
        try:
            end = _sound_part(SegmentFile(fd, path), base, until)
        finally:
            os.close(fd)
        if end.size:
            return end
    return START


def _sound_part(segment: SegmentFile, base: int, until: int) -> End:
    end = End(base, base, 0, -1)
    size = disk.file_size(segment.fd)
    while end.next_offset < until and end.size < size:
        try:
            header, _ = segment.batch(end.size, end.next_offset)
            check_place(header, end.next_offset)
        except (Fatal, CorruptBatch):
            break
        if header.next_offset > until:
            break
        end = End(header.next_offset, base, end.size + header.size, end.size)
    return end


def _after(left: End, next_offset: int) -> End:
    """Return the end from which to go on: in place if nothing is missing, else with a new segment."""
    return left if left.next_offset == next_offset else End(next_offset, next_offset, 0, -1)


def _cut(folder: Path, end: End) -> None:
    """Remove everything past `end`, last segments first, so that a crash on the way leaves no hole."""
    extra = [base for base in segment_bases(folder) if base > end.segment]
    for base in reversed(extra):
        disk.remove(index_path(folder, base))
        disk.remove(time_index_path(folder, base))
        disk.remove(log_path(folder, base))
    path = log_path(folder, end.segment)
    if path.exists():
        fd = disk.open_file(path)
        try:
            if disk.file_size(fd) > end.size:
                disk.truncate(fd, end.size, path)
                disk.sync(fd, path)
        finally:
            os.close(fd)
    if extra:
        # a segment that came back after a power cut would be taken for one written later
        disk.sync_directory(folder)
