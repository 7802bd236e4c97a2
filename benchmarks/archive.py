"""How fast are records archived as Parquet, against pyarrow writing the same rows as a table that it has already?

    python benchmarks/archive.py --rows 200000 --rounds 5

A topic of envelopes, inserts and updates of a table of ten columns, is written and read into memory; then by turns:

* `sink`: the records through the archive sink, from framed Avro to a published file, `envelope` and `flat`
* `pyarrow`: that file's table, ready in memory, through `pyarrow.parquet` with zstd, and synced to disk as ours is

and at the end `tailrace run --until-current` once, from the log's files to the archive, for the memory of the task.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from contest import Contest, Figures, Run, hold
from log_read import fill
from measurement import Goal, parser, publish
from program import run
from tailrace.codec.delivery import Delivery, DeliveryDecoder
from tailrace.log.store.backend import BundledLog
from tailrace.runtime.process import collect_rarely
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.sink import ArchiveSink

BATCH = 4000  # records: about what the log's reader hands out at a time
LAYOUTS = ("envelope", "flat")


def sink(path: Path, layout: str, deliveries: Sequence[Delivery]) -> Figures:
    """Archive the records; return what is told of it."""
    config = {"type": "archive", "topics": ["*"], "path": str(path), "layout": layout, "roll_bytes": 2**40}
    archive = ArchiveSink("bench", ArchiveConfig.model_validate(config))
    began, cpu = time.perf_counter(), time.process_time()
    with closing(archive):
        archive.open("bench")
        for first in range(0, len(deliveries), BATCH):
            archive.write(deliveries[first : first + BATCH])
        archive.commit({"shop.public.orders-0": len(deliveries)})
    return told(began, cpu, len(deliveries))


def prepared(path: Path, source: Path) -> Run:
    """Return what writes the table of the archive's files."""
    table = pq.read_table(sorted(source.rglob("*.parquet")))

    def write() -> Figures:
        began, cpu = time.perf_counter(), time.process_time()
        pq.write_table(table, path, compression="zstd")
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return told(began, cpu, table.num_rows)

    return write


def told(began: float, cpu: float, count: int) -> Figures:
    """Return the figures of one run."""
    seconds = time.perf_counter() - began
    return {"rows_per_second": count / seconds, "cpu_us_per_row": (time.process_time() - cpu) / count * 1e6}


def compete(log: BundledLog, folder: Path, layout: str, rounds: int) -> Contest:
    """Let both write the rows in one layout."""
    decoder = DeliveryDecoder(log.registry())
    deliveries = [Delivery(record, decoder) for record in log.records("shop.public.orders", 0, 0)]
    number = iter(range(1_000_000))
    first = folder / f"{layout}-first"
    sink(first, layout, deliveries)
    contenders: dict[str, Run] = {
        "sink": lambda: sink(folder / f"{layout}-{next(number)}", layout, deliveries),
        "pyarrow": prepared(folder / f"{layout}.parquet", first / "shop.public.orders"),
    }
    return hold(layout, contenders, rounds=rounds)


def task(folder: Path, count: int) -> dict[str, float]:
    """Run a worker that archives the topic; return what its processes took."""
    config = folder / "worker.yaml"
    config.write_text(
        f"log: {{type: bundled, path: {folder / 'log'}}}\n"
        f"sinks:\n  lake: {{type: archive, topics: ['shop.public.*'], path: {folder / 'lake'}}}\n"
    )
    usage = run([str(Path(sys.executable).parent / "tailrace"), "run", str(config), "--until-current"])
    rows = sum(pq.read_metadata(file).num_rows for file in (folder / "lake" / "shop.public.orders").rglob("*.parquet"))
    if rows != count:
        raise SystemExit(f"archived {rows} rows of {count}")
    return {"peak_mb": usage.peak_mb, "seconds": usage.ended - usage.began, "cpu_us_per_row": usage.cpu / count * 1e6}


def main() -> None:
    """Measure, and publish."""
    given = parser(__doc__ or "", rows=200_000).parse_args()
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as name:
        folder = Path(name)
        log = BundledLog.at(folder / "log")
        fill(log, given.rows)
        collect_rarely()  # as a task's process does; it is for both
        contests = list(map(partial(compete, log, folder, rounds=given.rounds), LAYOUTS))
        taken = task(folder, given.rows)
    goals = [
        Goal(
            "rows a second against pyarrow and a prepared table", contest.case,
            contest.ratios("sink", "pyarrow", "rows_per_second"), at_least=0.5,
        )
        for contest in contests
    ]  # fmt: skip
    goals.append(Goal("peak memory of a task", "archive", (taken["peak_mb"],), at_most=250, unit=" MB"))
    publish(
        "archive", [row for contest in contests for row in contest.medians()], about=__doc__ or "", goals=goals,
        every_run=[row for contest in contests for row in contest.every_run()], parameters=vars(given),
        worker={figure: round(value, 2) for figure, value in taken.items()},
    )  # fmt: skip


if __name__ == "__main__":
    main()
