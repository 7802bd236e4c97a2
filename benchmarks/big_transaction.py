"""How much memory does one transaction of five million rows take, and does the slot move meanwhile?

python benchmarks/big_transaction.py --rows 5000000
"""

from __future__ import annotations

import time

import measurement
import subject

TOPIC = "crash.public.big"


def main() -> None:
    """Measure, and publish."""
    given = subject.parser(__doc__ or "", rows=5_000_000, rounds=None).parse_args()
    with (
        subject.server(given.pg) as server,
        server.connect() as connection,
        subject.worker(server.dsn(), ("public.big",)) as worker,
    ):
        connection.execute(subject.TABLE.format(name="big"))
        subject.insert(connection, "big", 1, 1)
        worker.start()
        subject.wait_for_records(worker, TOPIC, 1, timeout=60)
        idle = subject.resident(worker)
        began = time.monotonic()
        subject.insert(connection, "big", 2, given.rows + 1)
        committed = time.monotonic()
        rows: list[dict[str, measurement.Cell]] = []
        peak, told = idle, 0
        next_row = 0.0
        while told <= given.rows:
            if not worker.running:
                raise SystemExit(worker.last_words())
            told, size, slot = subject.records(worker, TOPIC), subject.resident(worker), subject.slot(connection)
            peak = max(peak, size)
            assert slot is not None
            now = time.monotonic() - committed
            if now >= next_row or told > given.rows:
                rows.append({
                    "seconds": round(now, 1), "records": told, "rows_to_come": given.rows + 1 - told,
                    "resident_mb": size / 2**20,
                    "behind_mb": slot.behind / 2**20, "retained_mb": slot.retained / 2**20,
                })  # fmt: skip
                print(rows[-1], flush=True)
                next_row += 10
            time.sleep(0.2)
        seconds = time.monotonic() - committed
        time.sleep(3)
        after = subject.slot(connection)
        assert after is not None
        code = worker.stop()
    measurement.publish(
        "big_transaction", rows, postgres=given.pg, rows_in_transaction=given.rows,
        insert_seconds=round(committed - began, 1), stream_seconds=round(seconds, 1),
        rows_per_second=round(given.rows / seconds), peak_resident_mb=round(peak / 2**20, 1),
        idle_resident_mb=round(idle / 2**20, 1), behind_mb_after=round(after.behind / 2**20, 2),
        retained_mb_after=round(after.retained / 2**20, 2), exit_code=code,
    )  # fmt: skip


if __name__ == "__main__":
    main()
