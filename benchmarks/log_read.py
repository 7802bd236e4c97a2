"""How fast is a topic read back as Python objects, against fastavro alone on the same bytes?

    python benchmarks/log_read.py --rows 100000 --rounds 5

A topic of envelopes, inserts and updates of a table of ten columns, is written once; then by turns:

* `fastavro`: the values, in memory and one behind the other, through `schemaless_reader` and nothing else
* `objects`: the topic through the log's reader and the decoder, as sinks and `tailrace tail` have it
* `records`: the topic through the log's reader, values as bytes
* `file`: the segments' bytes, in pieces of the size that the reader takes
"""

from __future__ import annotations

import io
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import fastavro

from contest import Figures, Run, hold
from encode import COLUMNS, orders
from measurement import Goal, parser, publish
from tailrace.codec.avro_values import for_reading
from tailrace.codec.decoder import Decoder
from tailrace.codec.encoder import ChangeEncoder
from tailrace.event import Change
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.reader import FETCH_BYTES
from tailrace.source import SourceConfig
from tailrace_postgres.origin import Place, TransactionOrigin

BATCH = 1000
FRAME = 5


def wire(number: int) -> bytes:
    """Return a row as pgoutput's TupleData; rows differ in what differs in practice."""
    own = {
        "id": b"%d" % number,
        "customer": b"%d" % (number * 7919 % 100_000),
        "email": b"someone.%d@example.com" % number,
        "name": b"Some One Else %d" % (number % 1000),
        "price": b"%d.%02d" % (number % 900, number % 100),
        "created": b"2025-11-22 %02d:%02d:05.%06d" % (number % 24, number % 60, number % 1_000_000),
    }
    cells = [own.get(name, cell) for name, *_, cell in COLUMNS]
    parts = [b"n" if cell is None else b"t" + struct.pack(">I", len(cell)) + cell for cell in cells]
    return struct.pack(">H", len(cells)) + b"".join(parts)


def fill(log: BundledLog, count: int) -> None:
    """Write the topic."""
    config = SourceConfig.model_validate({"type": "postgres"})
    encoder = ChangeEncoder(log.registry(), config, partitions=log.partition_count)
    table, place = orders(), Place("shop", "shop", {"public.orders": ("public", "orders")})
    writer = log.writer()
    writer.open("bench")
    for first in range(0, count, BATCH):
        origin = TransactionOrigin(
            place, xid=first + 7, time=816_000_000_000_000 + first, last_commit=26_000_000 + first
        )
        changes = [
            Change(
                table, "u" if number % 3 == 0 else "c", None, wire(number), origin=origin, at=27_000_000 + number * 90
            )
            for number in range(first, min(first + BATCH, count))
        ]
        writer.write(encoder.encode(changes))
        writer.commit({"at": first})
    writer.close()


def poll(log: BundledLog, count: int, take: Callable[[bytes | None], object] | None) -> float:
    """Read the topic, handing each value to `take`; return the seconds."""
    reader = log.reader(["*"])
    reader.open(None)
    begun = time.perf_counter()
    seen = 0
    while seen < count:
        records = reader.poll(1.0).items
        seen += len(records)
        if take is not None:
            for record in records:
                take(record.value)
    seconds = time.perf_counter() - begun
    reader.close()
    return seconds


def alone(schema: object, values: bytes) -> float:
    """Decode the values with fastavro; return the seconds."""
    parsed = fastavro.parse_schema(for_reading(cast("dict[str, object]", schema)))
    stream, size = io.BytesIO(values), len(values)
    begun = time.perf_counter()
    while stream.tell() < size:
        fastavro.schemaless_reader(stream, parsed, None)
    return time.perf_counter() - begun


def through_file(log: BundledLog) -> float:
    """Read the segments' bytes; return the seconds."""
    begun = time.perf_counter()
    for path in sorted(log.config.path.glob("topics/*/*.log")):
        with path.open("rb", buffering=0) as file:
            while file.read(FETCH_BYTES):
                pass
    return time.perf_counter() - begun


def told(seconds: float, count: int) -> Figures:
    """Return what is told of one run."""
    return {"us_per_record": seconds / count * 1e6, "records_per_second": count / seconds}


def main() -> None:
    """Measure, and publish."""
    given = parser(__doc__ or "", rows=100_000).parse_args()
    count: int = given.rows
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder:
        log = BundledLog.at(Path(folder))
        fill(log, count)
        values = [record.value or b"" for record in log.records("shop.public.orders", 0, 0)]
        schema = log.registry().by_id(int.from_bytes(values[0][1:FRAME], "big"))
        joined = b"".join([value[FRAME:] for value in values])
        decoder = Decoder(log.registry())
        contenders: dict[str, Run] = {
            "fastavro": lambda: told(alone(schema, joined), count),
            "objects": lambda: told(poll(log, count, decoder.value), count),
            "records": lambda: told(poll(log, count, None), count),
            "file": lambda: told(through_file(log), count),
        }
        contest = hold("", contenders, rounds=given.rounds)
        file_bytes = sum(info.bytes or 0 for info in log.partitions()) / count
    ratios = contest.ratios("objects", "fastavro", "records_per_second")
    publish(
        "log_read", list(contest.medians()), about=__doc__ or "", every_run=list(contest.every_run()),
        goals=[Goal("reading a topic as objects against fastavro alone", "", ratios, at_least=0.7)],
        parameters=vars(given), value_bytes=round(len(joined) / count, 1), file_bytes=round(file_bytes, 1),
    )  # fmt: skip


if __name__ == "__main__":
    main()
