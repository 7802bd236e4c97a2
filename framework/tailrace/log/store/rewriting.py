"""Which records of a segment survive compaction, and the batches that they become. `compaction.py` has the plan."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path

from tailrace.log.backend import StoredRecord
from tailrace.log.store import disk
from tailrace.log.store.batch import BatchHeader, encode_sparse, read_header
from tailrace.log.store.index import IndexWriter
from tailrace.log.store.record import BlockBuilder, RecordBlock

DRAFT = ".log.cleaned"
"""Ending of a segment that is being written."""

_BATCH_BYTES = 512 * 1024
_BATCH_SPAN = 2**31 - 1
_NO_TIMESTAMP = -1


class Survivors:
    """Picks the records to keep, and makes batches of them that stand for all offsets there were.

    `last` is the last offset of each key that has newer records; `grace_ms` is how long a tombstone stays.
    `next_horizon` becomes the earliest moment (ms) at which one of the kept tombstones may go.
    """

    def __init__(self, last: Mapping[bytes, int], now_ms: int, grace_ms: int) -> None:
        self._last = last
        self._now_ms = now_ms
        self._grace_ms = grace_ms
        self.next_horizon: int | None = None

    def batches(
        self, source: Iterable[tuple[BatchHeader, list[StoredRecord]]], start: int, compression: int
    ) -> Iterator[bytes]:
        """Yield the new batches for `source`, whose first batch has the base offset `start`."""
        pending = _Pending(start, compression)
        end = start
        for header, records in source:
            kept, horizon = self._keep(header, records)
            if kept and not pending.takes(header, horizon):
                yield pending.close(end)
                pending = _Pending(end, compression)
            pending.add(kept, horizon)
            end = header.next_offset
        if end > start:
            yield pending.close(end)

    def _keep(self, header: BatchHeader, records: list[StoredRecord]) -> tuple[list[StoredRecord], int | None]:
        """Return the records of a batch that stay, and the delete horizon if there is a tombstone among them."""
        horizon = header.delete_horizon
        may_go = horizon is not None and horizon <= self._now_ms
        kept = [
            record
            for record in records
            if record.key is None
            or (record.offset >= self._last.get(fingerprint(record.key), 0) and not (may_go and record.value is None))
        ]
        if not any(record.value is None and record.key is not None for record in kept):
            return kept, None
        if horizon is None:
            horizon = self._now_ms + self._grace_ms
        self.next_horizon = horizon if self.next_horizon is None else min(horizon, self.next_horizon)
        return kept, horizon


class _Pending:
    """A batch in the making; stands for the offsets from `start` on."""

    def __init__(self, start: int, compression: int) -> None:
        self._start = start
        self._compression = compression
        self._horizon: int | None = None
        self._builder: BlockBuilder | None = None

    def takes(self, header: BatchHeader, horizon: int | None) -> bool:
        """Return whether records of one more batch may go in; all tombstones in it share one horizon."""
        if self._builder is None:
            return header.last_offset - self._start < _BATCH_SPAN
        return (
            horizon == self._horizon
            and self._builder.size < _BATCH_BYTES
            and header.last_offset - self._start < _BATCH_SPAN
        )

    def add(self, records: list[StoredRecord], horizon: int | None) -> None:
        """Take records in."""
        if records and self._builder is None:
            self._horizon = horizon
            self._builder = BlockBuilder(base_timestamp=horizon)
        for record in records:
            assert self._builder is not None  # made for the first record
            self._builder.put(
                record.offset - self._start, record.timestamp_ms, record.key, record.value, record.headers
            )

    def close(self, end: int) -> bytes:
        """Return the batch, which stands for all offsets before `end`."""
        block = self._builder.take() if self._builder else RecordBlock(b"", 0, (_NO_TIMESTAMP, _NO_TIMESTAMP))
        return encode_sparse(
            block,
            self._start,
            end - 1 - self._start,
            compression=self._compression if block.count else 0,
            delete_horizon=self._horizon is not None,
        )


def write_segment(path: Path, batches: Iterable[bytes], index: IndexWriter) -> None:
    """Write batches to a new file, durably, and tell the index of each."""
    fd = disk.open_file(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        position = 0
        for batch in batches:
            disk.write_at(fd, batch, position, path)
            header = read_header(batch)
            index.note(header.last_offset, position, header.size, header.max_timestamp)
            position += header.size
        disk.sync(fd, path)
    finally:
        os.close(fd)


def fingerprint(key: bytes) -> bytes:
    """Return what stands for a key while a pass remembers it: itself if short, else its 128-bit hash."""
    return key if len(key) < 16 else blake2b(key, digest_size=16).digest()
