"""Rows in COPY's binary format are the rows that its text format makes, to the octet, and are refused as those are."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import psycopg
import pytest
from psycopg import sql

from databases.replica.places import PostgresPlace, sink_at
from servers.postgres import Database
from tailrace.errors import BadRecord
from tailrace.event import Column
from tailrace.schema import DECIMAL, Schema, Value
from tailrace.testing.deliveries import ID, Deliveries
from tailrace_replica.copyline import is_tuple
from tailrace_replica.postgres import PostgresWriter
from tailrace_replica.postgres_merge import PostgresMerges, Rows
from tailrace_replica.postgres_table import PostgresTables
from tailrace_replica.postgres_type import type_of
from tailrace_replica.target import Target, target_of

ROWS = 600
DEBEZIUM = "io.debezium.time."


def _number(rng: random.Random, bits: int) -> int:
    """Numbers of all lengths, the least and the greatest among them."""
    most: int = (1 << (bits - 1)) - 1
    return rng.choice([rng.randint(-most - 1, most) >> rng.randrange(bits), 0, most, -most - 1])


def _decimal(rng: random.Random, scale: int) -> Decimal:
    return Decimal(rng.choice([_number(rng, 64), rng.randrange(100) * 10 ** rng.randrange(14)])).scaleb(-scale)


def _words(rng: random.Random) -> str:
    return "".join(rng.choice("aé€\U0001f30a\\\n\r\t'\"\x01") for _ in range(rng.randrange(40)))


def _zoned(rng: random.Random) -> str:
    fraction = rng.choice(["", ".1", ".000001", ".999999"])
    year = rng.choice([1, 1999, 2000, 2024, 9999, rng.randrange(1, 10_000)])
    return f"{year:04d}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}:59:01{fraction}Z"


Kind: TypeAlias = tuple[Schema, Callable[[random.Random], Value]]


def _price(scale: int) -> Kind:
    return Schema("bytes", DECIMAL, 1, {"scale": str(scale)}), lambda rng: _decimal(rng, scale)


KINDS: dict[str, Kind] = {
    "small": (Schema("int16"), lambda rng: _number(rng, 16)),
    "plain": (Schema("int32"), lambda rng: _number(rng, 32)),
    "large": (Schema("int64"), lambda rng: _number(rng, 64)),
    "flag": (Schema("boolean"), lambda rng: rng.random() < 0.5),
    "single": (Schema("float32"), lambda rng: rng.choice([0.5, -2.0**100, float("nan"), float("-inf"), -0.0])),
    "double": (Schema("float64"), lambda rng: rng.choice([rng.uniform(-1e9, 1e9), 5e-324, float("inf"), -0.0])),
    "words": (Schema("string"), _words),
    "octets": (Schema("bytes"), lambda rng: rng.randbytes(rng.randrange(40))),
    **{f"price{scale}": _price(scale) for scale in (0, 1, 2, 4, 7, 18)},
    "exact": (
        Schema("bytes", DECIMAL, 1, {"scale": "2", "connect.decimal.precision": "12"}),
        lambda rng: Decimal(rng.randint(-(10**12) + 1, 10**12 - 1)).scaleb(-2),
    ),
    "day": (Schema("int32", f"{DEBEZIUM}Date", 1), lambda rng: rng.choice([-719_162, 0, 10_957, 2_932_896])),
    "clock": (Schema("int32", f"{DEBEZIUM}Time", 1), lambda rng: rng.randrange(86_400_001)),
    "micro": (Schema("int64", f"{DEBEZIUM}MicroTime", 1), lambda rng: rng.randrange(86_400_000_001)),
    "moment": (Schema("int64", f"{DEBEZIUM}Timestamp", 1), lambda rng: rng.randrange(-(10**13), 10**14)),
    "instant": (
        Schema("int64", f"{DEBEZIUM}MicroTimestamp", 1), lambda rng: rng.choice([-62_135_596_800_000_000, -1, 10**15]),
    ),
    "zoned": (Schema("string", f"{DEBEZIUM}ZonedTimestamp", 1), _zoned),
    "id4": (Schema("string", "io.debezium.data.Uuid", 1), lambda rng: str(uuid.UUID(bytes=rng.randbytes(16)))),
    "doc": (Schema("string", "io.debezium.data.Json", 1), lambda rng: rng.choice(["{}", '{"a": "\\n"}', "[1,\t2]"])),
}  # fmt: skip


@pytest.fixture
def place(postgres: Database) -> PostgresPlace:
    return PostgresPlace(postgres)


def _rows(rng: random.Random) -> Iterator[dict[str, Value]]:
    for _ in range(ROWS):
        yield {name: None if rng.random() < 0.1 else make(rng) for name, (_, make) in KINDS.items()}


def test_a_tuple_is_stored_as_its_line_is(place: PostgresPlace, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    columns = [Column(name, schema.as_optional(), bytes) for name, (schema, _) in KINDS.items()]
    told = Deliveries(tmp_path, topic="shop.public.t", columns=[ID, *columns])
    lines, tuples = [], []
    for number, row in enumerate(_rows(random.Random(seed))):
        [delivery] = told.insert(number, **row)
        shape, schema = delivery.shape, delivery.writer_schema
        assert shape is not None
        assert schema is not None
        assert delivery.record.value is not None
        target = target_of(("t",), shape, delivery.key_shape)
        writer = PostgresWriter(target)
        lines.append((writer.row((number, *row.values())), delivery))
        make = writer.lines(schema[1], new=False)
        assert make is not None
        op, row_in_binary = make(delivery.record.value, 5)
        assert op == "c"
        assert row_in_binary is not None
        assert is_tuple(row_in_binary)
        assert not is_tuple(lines[-1][0])
        tuples.append((row_in_binary, delivery))
    with psycopg.connect(place.url) as connection:
        merges = PostgresMerges(connection, PostgresTables(connection, drop=False))
        for name, rows in (("by_line", lines), ("by_tuple", tuples), ("mixed", [*lines[::2], *tuples[1::2]])):
            kinds = ", ".join(f'"{column.name}" {type_of(column.kind)}' for column in target.columns)
            connection.execute(f"CREATE TEMPORARY TABLE {name} ({kinds})".encode())
            merges.copy(sql.Identifier(name), target, rows)
        for other in ("by_tuple", "mixed"):
            # `record_send` tells apart what = does not: -0 and 0, and the digits behind the point.
            differing = connection.execute(
                f"SELECT a, b FROM by_line a FULL JOIN {other} b USING (id) "
                "WHERE record_send(a) IS DISTINCT FROM record_send(b)".encode()
            ).fetchall()
            assert not differing, f"seed {seed}: {differing[:2]}"
            [(count,)] = connection.execute(f"SELECT count(*) FROM {other}".encode()).fetchall()
            assert count == ROWS


def test_a_tuple_that_the_server_refuses_is_found_among_others(
    place: PostgresPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[set[bool]] = []
    copy = PostgresMerges.copy

    def seen(merges: PostgresMerges, table: sql.Composable, target: Target, rows: Rows) -> None:
        copied.append({is_tuple(row) for row, _ in rows})
        copy(merges, table, target, rows)

    monkeypatch.setattr(PostgresMerges, "copy", seen)
    document = Schema("string", "io.debezium.data.Json", 1, optional=True)
    told = Deliveries(tmp_path, topic="shop.public.t", columns=[ID, Column("value", document, bytes.decode)])
    refused: list[BadRecord] = []
    sink = sink_at(place)
    sink.reject_with(lambda _, error: refused.append(error))
    with closing(sink):
        sink.open("tuples")
        sink.write([each for number in range(5) for each in told.insert(number, value="{}")])
        sink.commit(told.position)
        for round_ in range(2):  # after the first one they come as tuples
            texts = [f"[{round_}]", f"[{round_}]", "{", f"[{round_}]", '"\\u00e9"']
            sink.write([each for number, text in enumerate(texts) for each in told.update(number, value=text)])
            sink.commit(told.position)
    assert ["postgres refuses the row (22P02)" in str(error) for error in refused] == [True, True]
    assert {True} in copied, "the second time they are tuples"
    found = place.query("SELECT id, value::text FROM public.t ORDER BY id")
    assert found == [(0, "[1]"), (1, "[1]"), (2, "{}"), (3, "[1]"), (4, '"\\u00e9"')]
