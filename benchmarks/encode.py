"""How fast do untouched Postgres changes become records, in one process and without any I/O?

    python benchmarks/encode.py [--events 50000]

A table of ten columns, as the Postgres source describes it and in the bytes that pgoutput sends; inserts, and updates
with the row before. Prints events a second for each format, and the share that only cuts the row into cells.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measurement import Cell, publish
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry_store import BundledRegistry
from tailrace.event import Change, Column, Table
from tailrace.source import SourceConfig
from tailrace_postgres.origin import SOURCE, Place, TransactionOrigin
from tailrace_postgres.row import TupleFormat
from tailrace_postgres.types import PgType, TypeMapper

BATCH = 1000
REPEATS = 3

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
    return Table("public.orders", "shop.public.orders", columns, (0,), TupleFormat("public.orders", 10), SOURCE)


def row() -> bytes:
    """Return a row as pgoutput's TupleData."""
    cells = [b"n" if cell is None else b"t" + struct.pack(">I", len(cell)) + cell for *_, cell in COLUMNS]
    return struct.pack(">H", len(cells)) + b"".join(cells)


def rate(run: Callable[[], object], events: int) -> float:
    """Return how many events a second `run` got through, the best of some runs: the machine has other things to do."""
    best = float("inf")
    for _ in range(REPEATS):
        begun = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begun)
    return events / best


def encode(encoder: ChangeEncoder, changes: list[Change], batches: int) -> None:
    """Encode the same batch again and again."""
    for _ in range(batches):
        encoder.encode(changes)


def measured(count: int) -> list[dict[str, Cell]]:
    """Measure all formats."""
    table, wire = orders(), row()
    place = Place("shop", "shop", {"public.orders": ("public", "orders")})
    origin = TransactionOrigin(place, xid=777, time=816_000_000_000_000, last_commit=26_000_000)
    kinds = {
        "insert": [Change(table, "c", None, wire, origin=origin, at=27_000_000 + n) for n in range(BATCH)],
        "update with before": [Change(table, "u", wire, wire, origin=origin, at=27_000_000 + n) for n in range(BATCH)],
    }
    cut = rate(lambda: [table.format.cells(wire) for _ in range(count)], count)
    rows: list[dict[str, Cell]] = [{"what": "cells only", "events_per_second": round(cut), "us": 1e6 / cut}]
    with tempfile.TemporaryDirectory() as folder:
        for format_ in ("avro", "json", "json_schema"):
            for kind, changes in kinds.items():
                config = SourceConfig.model_validate({"type": "postgres", "format": format_})
                encoder = ChangeEncoder(BundledRegistry(Path(folder)), config)
                found = rate(partial(encode, encoder, changes, count // BATCH), count // BATCH * BATCH)
                rows.append({"what": f"{format_}, {kind}", "events_per_second": round(found), "us": 1e6 / found})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=50_000)
    publish("encode", measured(parser.parse_args().events))


if __name__ == "__main__":
    main()
