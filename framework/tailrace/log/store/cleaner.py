"""Housekeeping of the whole log: retention and compaction, partition by partition.

Safe beside any number of writers and readers, in any process: it touches only segments that no writer comes back to,
and readers go on with files that they have open. Two cleaners exclude each other.
"""

from __future__ import annotations

import os
import time

import structlog

from tailrace.errors import TailraceError
from tailrace.log.store import disk
from tailrace.log.store.committed import read_watermark
from tailrace.log.store.compaction import Compaction
from tailrace.log.store.layout import Layout, Place
from tailrace.log.store.retention import expire
from tailrace.log.store.settings import BundledLogConfig

log = structlog.get_logger()


class Cleaner:
    """Cleans the log in `config.path` as its settings say."""

    def __init__(self, config: BundledLogConfig) -> None:
        self._config = config
        self._layout = Layout(config.path)

    def run_once(self, *, now_ms: int | None = None, force: bool = False) -> bool:
        """Clean every partition once; return False, having done nothing, where another cleaner is at work.

        `force` compacts also where little is new. A partition that cannot be cleaned does not keep the others from
        it; the first such error is raised in the end.
        """
        if not self._layout.topics.is_dir():
            return True
        fd = disk.open_file(self._layout.cleaner_lock)
        try:
            if not disk.try_lock(fd):
                return False
            moment = time.time_ns() // 1_000_000 if now_ms is None else now_ms
            self._clean_all(moment, force=force)
        finally:
            os.close(fd)
        return True

    def _clean_all(self, now_ms: int, *, force: bool) -> None:
        errors: list[TailraceError] = []
        for place in self._layout.places():
            try:
                self._clean(place, now_ms, force=force)
            except TailraceError as error:
                log.warning("partition not cleaned", partition=place.name, error=error.message)
                errors.append(error)
        if errors:
            raise errors[0]

    def _clean(self, place: Place, now_ms: int, *, force: bool) -> None:
        settings = self._config.for_topic(place.topic)
        watermark = read_watermark(self._layout, place)
        if "delete" in settings.cleanup:
            expired = expire(place.folder, settings, watermark, now_ms)
            if expired:
                log.info("segments deleted", partition=place.name, count=len(expired), first_offset=expired[0])
        if "compact" in settings.cleanup:
            done = Compaction(place, settings).run(watermark, now_ms, force=force)
            if done is not None:
                log.info("partition compacted", partition=place.name, before=done.before, after=done.after)
