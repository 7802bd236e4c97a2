"""How much WAL does the slot keep back while the captured tables are idle and the database is busy?

python benchmarks/idle_tables.py --minutes 10 --megabytes 2
"""

from __future__ import annotations

import time

import psycopg

import measurement
import subject

BUSY = "INSERT INTO busy SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, %s) n"
ROW_BYTES = 1000  # of WAL, about


def main() -> None:
    """Measure, and publish."""
    parser = subject.parser(__doc__ or "", rounds=None)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--megabytes", type=float, default=2, help="WAL written a second")
    given = parser.parse_args()
    with (
        subject.server(given.pg) as server,
        server.connect() as connection,
        subject.worker(server.dsn(), ("public.idle",)) as worker,
    ):
        connection.execute(subject.TABLE.format(name="idle"))
        connection.execute("CREATE TABLE busy (n int, filling text)")
        subject.insert(connection, "idle", 1, 100)
        worker.start()
        subject.wait_for_records(worker, "crash.public.idle", 100, timeout=60)
        begin, peak, behind = time.monotonic(), 0, 0
        written = connection.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
        rows: list[dict[str, measurement.Cell]] = []
        turn = 0
        while (now := time.monotonic() - begin) < given.minutes * 60:
            connection.execute(BUSY, [int(given.megabytes * 10**6 / ROW_BYTES / 5)])
            if turn % 150 == 149:
                connection.execute("TRUNCATE busy")
            if turn % 5 == 0:
                slot = _slot(connection)
                peak, behind = max(peak, slot.retained), max(behind, slot.behind)
            if turn % 150 == 0:
                slot = _slot(connection)
                rows.append({"seconds": round(now, 1), "retained_mb": slot.retained / 2**20,
                             "behind_mb": slot.behind / 2**20, "most_retained_mb": peak / 2**20})  # fmt: skip
                print(rows[-1], flush=True)
            turn += 1
            time.sleep(max(0.0, begin + turn * 0.2 - time.monotonic()))
        wrote = connection.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
        assert written is not None
        assert wrote is not None
        code = worker.stop()
    measurement.publish(
        "idle_tables", rows, postgres=given.pg, minutes=given.minutes, exit_code=code,
        wal_written_mb=round(float(wrote[0] - written[0]) / 2**20), most_retained_mb=round(peak / 2**20, 1),
        most_behind_mb=round(behind / 2**20, 1), below_64_mb=peak < 64 * 2**20,
    )  # fmt: skip


def _slot(connection: psycopg.Connection[tuple[object, ...]]) -> subject.Slot:
    slot = subject.slot(connection)
    assert slot is not None
    return slot


if __name__ == "__main__":
    main()
