"""How fast do untouched Postgres changes become records, and records values again, in one process and without any I/O?

    python benchmarks/encode.py [--rows 50000] [--rounds 5]

A table of ten columns, as the Postgres source describes it and in the bytes that pgoutput sends; inserts, and updates
with the row before. Encoding: by the compiled core as a worker does it, by its twin in Python, as JSON in both of
Connect's ways; beside `fastavro`, which gets the finished values and writes nothing but the Avro (the peer), and a copy
of the same bytes (the ceiling). Decoding: the values of the records, against `fastavro` alone on the same bytes.
"""

from __future__ import annotations

import io
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import fastavro

from contest import Contest, Figures, Run, hold
from measurement import parser, publish
from tailrace.codec.avro_values import for_reading
from tailrace.codec.decoder import Decoder
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry_store import BundledRegistry
from tailrace.event import Change, Column, Record, Table
from tailrace.source import SourceConfig
from tailrace_postgres.origin import SOURCE, Place, TransactionOrigin
from tailrace_postgres.row import WireFormat
from tailrace_postgres.types import PgType, TypeMapper

BATCH = 1000
FRAME = 5

# name, type, oid, type modifier, NOT NULL, cell
COLUMNS: tuple[tuple[str, str, int, int, bool, bytes | None], ...] = (
    ("id", "int8", 20, -1, True, b"123456"),
    ("customer", "int4", 23, -1, True, b"7788"),
    ("email", "text", 25, -1, True, b"someone@example.com"),
    ("name", "text", 25, -1, False, b"Some One Else"),
    ("status", "varchar", 1043, 24, True, b"shipped"),
    ("price", "numeric", 1700, ((10 << 16) | 2) + 4, True, b"123.45"),
    ("quantity", "int2", 21, -1, False, b"3"),
    ("active", "bool", 16, -1, True, b"t"),
    ("created", "timestamp", 1114, -1, True, b"2025-11-22 10:19:05.123456"),
    ("note", "text", 25, -1, False, None),
)


def orders() -> Table:
    """Return the table, as the Postgres source makes it."""
    types = {oid: PgType(oid, type_, "pg_catalog", "b") for _, type_, oid, _, _, _ in COLUMNS}
    mapper = TypeMapper(types, SourceConfig(type="postgres"))
    columns: tuple[Column, ...] = tuple(
        mapper.column(name, oid, typmod, not_null=not_null, default=None)
        for name, _, oid, typmod, not_null, _ in COLUMNS
    )
    return Table("public.orders", "shop.public.orders", columns, (0,), WireFormat("tuple", "public.orders", 10), SOURCE)


def row() -> bytes:
    """Return a row as pgoutput's TupleData."""
    cells = [b"n" if cell is None else b"t" + struct.pack(">I", len(cell)) + cell for *_, cell in COLUMNS]
    return struct.pack(">H", len(cells)) + b"".join(cells)


def timed(way: Callable[[], object], times: int) -> Figures:
    """Return how long an event takes, of a batch done again and again."""
    began = time.perf_counter()
    for _ in range(times):
        way()
    seconds = time.perf_counter() - began
    return {"events_per_second": times * BATCH / seconds, "us_per_event": seconds / (times * BATCH) * 1e6}


def kinds() -> dict[str, list[Change]]:
    """Return a batch of each kind of change."""
    table, wire = orders(), row()
    place = Place("shop", "shop", {"public.orders": ("public", "orders")})
    origin = TransactionOrigin(place, xid=777, time=816_000_000_000_000, last_commit=26_000_000)
    return {
        "insert": [Change(table, "c", None, wire, origin=origin, at=27_000_000 + n) for n in range(BATCH)],
        "update with before": [Change(table, "u", wire, wire, origin=origin, at=27_000_000 + n) for n in range(BATCH)],
    }


def encoder(folder: Path, format_: str, *, compiled: bool) -> ChangeEncoder:
    """Return an encoder with a registry of its own."""
    config = SourceConfig.model_validate({"type": "postgres", "format": format_})
    return ChangeEncoder(BundledRegistry(folder), config, partitions=(lambda _: 1) if compiled else None)


def written(folder: Path, changes: Sequence[Change]) -> tuple[list[bytes], Any]:
    """Return the values of the changes' records, and their schema as fastavro wants it."""
    records: Sequence[Record] = encoder(folder, "avro", compiled=False).encode(changes)
    values = [record.value or b"" for record in records]
    schema = BundledRegistry(folder).by_id(int.from_bytes(values[0][1:FRAME], "big"))
    return values, fastavro.parse_schema(for_reading(cast("dict[str, object]", schema)))


def encoding(folder: Path, changes: Sequence[Change]) -> dict[str, Callable[[], object]]:
    """Return the ways to encode a batch."""
    values, schema = written(folder, changes)
    ready = [fastavro.schemaless_reader(io.BytesIO(value[FRAME:]), schema, None) for value in values]
    return {
        "copy of the bytes": partial(copy_all, values),
        "fastavro": partial(write_all, schema, ready),
        "tailrace": partial(encoder(folder, "avro", compiled=True).encode, changes),
        "tailrace, Python": partial(encoder(folder, "avro", compiled=False).encode, changes),
        "tailrace, JSON": partial(encoder(folder, "json", compiled=False).encode, changes),
        "tailrace, JSON with schema": partial(encoder(folder, "json_schema", compiled=False).encode, changes),
    }


def decoding(folder: Path, changes: Sequence[Change]) -> dict[str, Callable[[], object]]:
    """Return the ways to decode the values of a batch."""
    values, schema = written(folder, changes)
    decoder = Decoder(BundledRegistry(folder))
    return {"fastavro": partial(read_all, schema, values), "tailrace": partial(decode_all, decoder, values)}


def contests(folder: Path, events: int, rounds: int) -> Iterator[Contest]:
    """Measure everything, batch by batch, `events` in all."""
    times = max(1, events // BATCH)
    for kind, changes in kinds().items():
        for what, ways in (("encode", encoding(folder, changes)), ("decode", decoding(folder, changes))):
            runs: dict[str, Run] = {name: partial(timed, way, times) for name, way in ways.items()}
            yield hold(f"{what}, {kind}", runs, rounds=rounds)


def copy_all(values: Sequence[bytes]) -> None:
    """Copy the bytes, twice as an encoder must: into a buffer and out of it."""
    for value in values:
        bytes(bytearray(value))


def decode_all(decoder: Decoder, values: Sequence[bytes]) -> None:
    """Decode values as readers of the log do."""
    for value in values:
        decoder.value(value)


def write_all(parsed: Any, ready: Sequence[object]) -> None:
    """Write values with fastavro alone."""
    for value in ready:
        fastavro.schemaless_writer(io.BytesIO(), parsed, value)


def read_all(parsed: Any, values: Sequence[bytes]) -> None:
    """Read values with fastavro alone."""
    for value in values:
        fastavro.schemaless_reader(io.BytesIO(value[FRAME:]), parsed, None)


def main() -> None:
    given = parser(__doc__ or "", rows=50_000).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = list(contests(Path(folder), given.rows, given.rounds))
    publish(
        "encode",
        [row for contest in found for row in contest.medians()],
        about=__doc__ or "",
        every_run=[row for contest in found for row in contest.every_run()],
        parameters=vars(given),
    )


if __name__ == "__main__":
    main()
