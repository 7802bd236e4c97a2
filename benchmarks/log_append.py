"""How fast is the bundled log, against writing the same bytes to a plain file with the same syncs?

    python benchmarks/log_append.py --rows 50000 --batch 1000 --rounds 9

Appends 200-byte records in batches, one commit for each: a sync of the data and one of the journal. By turns:

* `raw`: the records' bytes to one file with `pwrite`, 200 bytes to another as the journal has them, fdatasync each
* `raw, at once`: the same with both syncs at the same time, in two threads, as the log does it
* `blocks`: records as the encoder hands them over, with every compression
* `records`: single `Record`s, as other sources of records hand them over
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from contest import Figures, Run, hold
from measurement import Goal, parser, publish
from tailrace.codec.encoded import EncodedRecords
from tailrace.core.block import Blocks
from tailrace.event import Record
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.barrier import SyncBarrier
from tailrace.log.store.compression import Compression
from tailrace.log.store.settings import BundledLogConfig

ENVELOPE = (
    b"\x00\x00\x00\x00\x07\x00\x023.0.0\x14postgresql\x08shop\x80\x89\xc2\xda\x0c\x02false\x08shop\x0cpublic\x0corders"
)
WORDS = tuple(b"amber birch cedar delta ember fjord grove heron indigo juniper krill larch maple north".split())
JOURNAL_BYTES = 200


def make_records(count: int) -> list[Record]:
    """Return records of about 200 bytes that compress about as rows do: an envelope that repeats, words, and noise."""
    rng = random.Random(7)
    records = []
    for number in range(count):
        name = b" ".join(rng.choice(WORDS) for _ in range(8))
        row = b"%s%010d%s%s" % (ENVELOPE, number * 97, rng.randbytes(36), name)
        value = row[:192].ljust(192, b" ")
        records.append(Record("bench", number.to_bytes(8, "big"), value, 1_700_000_000_000 + number))
    return records


def encoded(batch: Sequence[Record]) -> EncodedRecords:
    """Return the batch as the encoder hands it over."""
    blocks = Blocks(lambda _: 1)
    for record in batch:
        blocks.append(record)
    return EncodedRecords(blocks.take())


def spent(work: Callable[[], None], count: int) -> Figures:
    """Return what `work` on so many records took."""
    begun, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {
        "us_per_record": seconds / count * 1e6,
        "cpu_us_per_record": cpu / count * 1e6,
        "records_per_second": count / seconds,
    }


def raw(batches: Sequence[bytes], count: int, *, at_once: bool) -> Figures:
    """Write the batches with the syncs that a commit needs."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        data = os.open(Path(folder) / "data", os.O_RDWR | os.O_CREAT)
        journal = os.open(Path(folder) / "journal", os.O_RDWR | os.O_CREAT)

        def work() -> None:
            at = 0
            for number, batch in enumerate(batches):
                os.pwrite(data, batch, at)
                if not at_once:
                    os.fdatasync(data)
                os.pwrite(journal, b"x" * JOURNAL_BYTES, number * JOURNAL_BYTES)
                barrier.run([sync_journal, sync_data] if at_once else [sync_journal])
                at += len(batch)

        barrier = SyncBarrier()
        sync_journal, sync_data = partial(os.fdatasync, journal), partial(os.fdatasync, data)
        try:
            return {**spent(work, count), "bytes_per_record": sum(map(len, batches)) / count}
        finally:
            barrier.close()
            os.close(data)
            os.close(journal)


def append(batches: Sequence[Sequence[Record]], count: int, compression: Compression) -> Figures:
    """Write and commit each batch."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        log = BundledLog(BundledLogConfig(path=Path(folder), compression=compression))
        writer = log.writer()
        writer.open("bench")

        def work() -> None:
            for number, batch in enumerate(batches):
                writer.write(batch)
                writer.commit({"batch": number})

        figures = spent(work, count)
        writer.close()
        return {**figures, "bytes_per_record": sum(info.bytes or 0 for info in log.partitions()) / count}


def main() -> None:
    """Measure, and publish."""
    options = parser(__doc__ or "", rows=50_000, rounds=9)
    options.add_argument("--batch", type=int, default=1000)
    given = options.parse_args()
    count: int = given.rows
    records = make_records(count)
    batches = [records[at : at + given.batch] for at in range(0, count, given.batch)]
    blocks = [encoded(batch) for batch in batches]
    plain = [b"".join([block.records for block in each.blocks]) for each in blocks]
    contenders: dict[str, Run] = {
        "raw": partial(raw, plain, count, at_once=False),
        "raw, at once": partial(raw, plain, count, at_once=True),
        "blocks, none": partial(append, blocks, count, "none"),
        "blocks, lz4": partial(append, blocks, count, "lz4"),
        "blocks, zstd": partial(append, blocks, count, "zstd"),
        "records, lz4": partial(append, batches, count, "lz4"),
    }
    contest = hold("", contenders, rounds=given.rounds)
    goals = [
        Goal(
            f"append against {ceiling}",
            name,
            contest.ratios(f"blocks, {name}", ceiling, "records_per_second"),
            at_least=0.8,
        )
        for name in ("none", "lz4")
        for ceiling in ("raw", "raw, at once")
    ]
    publish(
        "log_append", list(contest.medians()), about=__doc__ or "", goals=goals, every_run=list(contest.every_run()),
        parameters=vars(given),
    )  # fmt: skip


if __name__ == "__main__":
    main()
