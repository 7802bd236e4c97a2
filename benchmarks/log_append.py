"""How fast is the bundled log, against writing the same bytes to a plain file with the same syncs?

    python benchmarks/log_append.py [--records 200000] [--batch 1000] [--json results.json]

Appends 200-byte records in batches, one commit (one sync of the data, one of the journal) for each, and reads them
back; with every compression. `raw file` writes the same bytes with one fdatasync per batch, `raw file, 2 syncs` adds a
second small file synced after each, as a commit does. Prints a table, and the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tailrace.event import Record
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.compression import Compression
from tailrace.log.store.settings import BundledLogConfig

ENVELOPE = (
    b"\x00\x00\x00\x00\x07\x00\x023.0.0\x14postgresql\x08shop\x80\x89\xc2\xda\x0c\x02false\x08shop\x0cpublic\x0corders"
)
WORDS = tuple(b"amber birch cedar delta ember fjord grove heron indigo juniper krill larch maple north".split())


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


def raw(path: Path, batches: Sequence[bytes], *, journal: bool) -> float:
    """Write the batches with the syncs that a commit needs; return the seconds."""
    data = os.open(path / "raw", os.O_RDWR | os.O_CREAT)
    small = os.open(path / "raw-journal", os.O_RDWR | os.O_CREAT)
    begun = time.perf_counter()
    for batch in batches:
        os.write(data, batch)
        os.fdatasync(data)
        if journal:
            os.write(small, b"x" * 150)
            os.fdatasync(small)
    seconds = time.perf_counter() - begun
    os.close(data)
    os.close(small)
    return seconds


def append(config: BundledLogConfig, batches: Sequence[Sequence[Record]]) -> float:
    """Write and commit each batch; return the seconds."""
    writer = BundledLog(config).writer()
    writer.open("bench")
    begun = time.perf_counter()
    for number, batch in enumerate(batches):
        writer.write(batch)
        writer.commit({"batch": number})
    seconds = time.perf_counter() - begun
    writer.close()
    return seconds


def read(config: BundledLogConfig, count: int) -> float:
    """Read everything back; return the seconds."""
    reader = BundledLog(config).reader(["*"])
    reader.open(None)
    begun = time.perf_counter()
    seen = 0
    while seen < count:
        seen += len(reader.poll(1.0).items)
    seconds = time.perf_counter() - begun
    reader.close()
    return seconds


def measure(name: str, count: int, run: Callable[[Path], float], repeats: int) -> dict[str, object]:
    """Run in fresh folders; return the median."""
    times = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            times.append(run(Path(folder)))
    seconds = statistics.median(times)
    return {
        "what": name,
        "us_per_record": round(seconds / count * 1e6, 2),
        "records_per_second": round(count / seconds),
    }


def results(count: int, size: int, repeats: int) -> list[dict[str, object]]:
    """Measure everything."""
    records = make_records(count)
    batches = [records[at : at + size] for at in range(0, count, size)]
    plain = [b"".join((each.key or b"") + (each.value or b"") for each in batch) for batch in batches]
    rows = [
        measure("raw file", count, lambda path: raw(path, plain, journal=False), repeats),
        measure("raw file, 2 syncs", count, lambda path: raw(path, plain, journal=True), repeats),
    ]
    for compression in ("none", "lz4", "zstd"):
        rows += log_rows(compression, batches, count, repeats)
    return rows


def log_rows(
    compression: Compression, batches: Sequence[Sequence[Record]], count: int, repeats: int
) -> list[dict[str, object]]:
    """Measure append and read with one compression."""
    reads: list[float] = []
    sizes: list[int] = []

    def run(path: Path) -> float:
        config = BundledLogConfig(path=path, compression=compression)
        seconds = append(config, batches)
        reads.append(read(config, count))
        sizes.append(BundledLog(config).partitions()[0].bytes)
        return seconds

    written = measure(f"append, {compression}", count, run, repeats)
    written["bytes_per_record"] = round(sizes[0] / count, 1)
    seconds = statistics.median(reads)
    back = {
        "what": f"read, {compression}",
        "us_per_record": round(seconds / count * 1e6, 2),
        "records_per_second": round(count / seconds),
    }
    return [written, back]


def main() -> None:
    parser = argparse.ArgumentParser(description="append and read rates of the bundled log")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = results(arguments.records, arguments.batch, arguments.repeats)
    print(f"{'what':<22}{'us/record':>12}{'records/s':>14}{'bytes/record':>14}")
    for row in rows:
        print(
            f"{row['what']:<22}{row['us_per_record']:>12}{row['records_per_second']:>14}"
            f"{row.get('bytes_per_record', ''):>14}"
        )
    report = {
        "machine": {"python": sys.version.split()[0], "system": platform.platform(), "cpus": os.cpu_count()},
        "records": arguments.records,
        "batch": arguments.batch,
        "results": rows,
    }
    text = json.dumps(report, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
