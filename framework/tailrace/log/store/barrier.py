"""Making many partitions durable at once: the only place of the log that uses threads, and never past a commit.

A file system writes its own journal once for all syncs that wait at the same moment. Measured on ext4: 100 files one
after another take 220 to 390 ms, eight at a time 33 to 44 ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait

from tailrace.log.store.partition import PartitionAppender

THREADS = 8


class SyncBarrier:
    """Syncs partitions side by side; the threads are started when they are first needed."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def sync(self, appenders: Iterable[PartitionAppender]) -> None:
        """Return when all of them are durable; raises the first error, when no thread is at work any more."""
        pending = list(appenders)
        if len(pending) <= 1 or THREADS == 1:
            for appender in pending:
                appender.sync()
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="log-sync")
        futures = [self._pool.submit(appender.sync) for appender in pending]
        # not as_completed: after an error files are closed, which no thread may still be syncing
        wait(futures)
        for future in futures:
            future.result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
