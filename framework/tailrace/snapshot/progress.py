"""How far a snapshot is, for people: rows, percent, and when it will be over."""

from __future__ import annotations

import time
from collections.abc import Callable

from tailrace.snapshot.schedule import Snapshot
from tailrace.source import SnapshotProgress

SETTLED = 1.0  # seconds of work before a rate says anything


class Meter:
    """Watches one snapshot, from when it was started or resumed in this process."""

    def __init__(self, snapshot: Snapshot, clock: Callable[[], float] = time.monotonic) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._begun = clock()
        self._rows_at_start = snapshot.rows

    def progress(self) -> SnapshotProgress | None:
        """Return the state now; None once all rows have been emitted."""
        snapshot = self._snapshot
        if snapshot.complete:
            return None
        open_tables = [table for table in snapshot.tables.values() if not table.complete]
        rows = snapshot.rows
        left = sum(max(table.estimate - table.rows, 0) for table in open_tables)
        total = rows + left
        current = next((table for table in open_tables if table.flight or table.started), open_tables[0])
        return SnapshotProgress(
            table=current.name,
            tables_done=snapshot.tables_total - len(open_tables),
            tables_total=snapshot.tables_total,
            rows=rows,
            rows_total=total,
            percent=round(100.0 * rows / total, 1) if total else 0.0,
            eta_seconds=self._eta(rows, left),
        )

    def _eta(self, rows: int, left: int) -> float | None:
        seconds, done = self._clock() - self._begun, rows - self._rows_at_start
        return round(left * seconds / done, 1) if done > 0 and seconds >= SETTLED else None
