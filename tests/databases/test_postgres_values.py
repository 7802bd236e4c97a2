"""Values of the whole range of their types, printed by a real server, read by the type mapping; the server judges."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from servers.postgres import Database
from tailrace.event import Column
from tailrace.source import SourceConfig
from tailrace_postgres.types import TYPES_QUERY, TypeMapper, load_types

SEED = 1970
MANY = 2000
STYLE = "-c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=3 -c client_encoding=UTF8"
FIRST_DAY, LAST_DAY = -2_440_550, 2_145_042_905
DAYS_OF_TIMESTAMPS = 106_751_990
"""As far as microseconds since 1970 go in 64 bits."""

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def random_numbers() -> random.Random:
    return random.Random(SEED)


def connect(postgres: Database, zone: str = "UTC") -> Connection:
    return postgres.connect(options=f"{STYLE} -c TimeZone={zone}")


def column(connection: Connection, sql_type: str) -> Column:
    """Return the column of a type as SQL writes it, such as `numeric(10,2)[]`."""
    mapper = TypeMapper(
        load_types(connection.execute(TYPES_QUERY).fetchall()), SourceConfig.model_validate({"type": "postgres"})
    )
    name = sql_type.encode()
    connection.execute(b"CREATE TEMP TABLE probe (c " + name + b")")
    row = connection.execute(
        "SELECT atttypid, atttypmod FROM pg_attribute WHERE attrelid = 'probe'::regclass AND attname = 'c'"
    ).fetchone()
    assert row is not None
    connection.execute("DROP TABLE probe")
    return mapper.column("c", int(row[0]), int(row[1]), not_null=False, default=None)


def printed(connection: Connection, query: str, values: Sequence[Any]) -> list[list[bytes]]:
    """Return the text of what `query` selects for each of `values`, which it knows as `v`."""
    given = "%s::text[]" if isinstance(values[0], str) else "%s"
    sql = f"SELECT {query} FROM unnest({given}) WITH ORDINALITY AS given (v, place) ORDER BY place"
    result = connection.execute(sql.encode(), [list(values)]).pgresult
    assert result is not None
    return [
        [bytes(result.get_value(row, place) or b"") for place in range(result.nfields)] for row in range(result.ntuples)
    ]


def test_dates(postgres: Database, random_numbers: random.Random) -> None:
    days = [random_numbers.randint(FIRST_DAY, LAST_DAY) for _ in range(MANY)]
    days += [random_numbers.randint(-1_000_000, 100_000) for _ in range(MANY)]
    with connect(postgres) as connection:
        decode = column(connection, "date").decode
        assert [decode(text) for (text,) in printed(connection, "date '1970-01-01' + v::int", days)] == days


def test_timestamps(postgres: Database, random_numbers: random.Random) -> None:
    moments = [
        (random_numbers.randint(FIRST_DAY, days), random_numbers.randrange(86_400 * 10**6))
        for days in (DAYS_OF_TIMESTAMPS, 20_000)
        for _ in range(MANY)
    ]
    made = "(date '1970-01-01' + (v::json->>0)::int)::timestamp + (v::json->>1)::float8 * interval '1 microsecond'"
    with connect(postgres) as connection:
        decode = column(connection, "timestamp").decode
        texts = printed(connection, made, [json.dumps(moment) for moment in moments])
    assert [decode(text) for (text,) in texts] == [day * 86_400 * 10**6 + micros for day, micros in moments]


@pytest.mark.parametrize("zone", ["America/St_Johns", "Europe/Amsterdam", "Asia/Kathmandu", "Pacific/Kiritimati"])
@pytest.mark.parametrize("precision", [0, 2, 6])
def test_the_zone_of_the_connection_changes_nothing(
    postgres: Database, random_numbers: random.Random, zone: str, precision: int
) -> None:
    seconds = [random_numbers.randint(-6 * 10**10, 6 * 10**10) / 7 for _ in range(MANY // 4)]
    query = f"to_timestamp(v)::timestamptz({precision})"
    with connect(postgres) as utc, connect(postgres, zone) as local:
        decode = column(utc, f"timestamptz({precision})").decode
        expected = [decode(text) for (text,) in printed(utc, query, seconds)]
        assert [decode(text) for (text,) in printed(local, query, seconds)] == expected


def test_intervals(postgres: Database, random_numbers: random.Random) -> None:
    parts = [[random_numbers.randint(-n, n) for n in (3000, 40, 40, 10**11)] for _ in range(MANY)] + [
        [0, 0, 0, 1],
        [0, 0, 0, -1],
        [-1, 0, 1, 0],
        [0, 0, -1, 86_400 * 10**6],
    ]
    made = (
        "make_interval(years => (v::json->>0)::int, months => (v::json->>1)::int, days => (v::json->>2)::int)"
        " + (v::json->>3)::float8 * interval '1 microsecond'"
    )
    with connect(postgres) as connection:
        decode = column(connection, "interval").decode
        texts = printed(connection, made, [json.dumps(part) for part in parts])
    expected = [(y * 12 + m) * 2_629_800 * 10**6 + d * 86_400 * 10**6 + us for y, m, d, us in parts]
    assert [decode(text) for (text,) in texts] == expected


def test_times(postgres: Database, random_numbers: random.Random) -> None:
    micros = [random_numbers.randrange(86_400 * 10**6) for _ in range(MANY)]
    with connect(postgres) as connection:
        decode = column(connection, "time").decode
        texts = printed(connection, "time '00:00' + v * interval '1 microsecond'", [float(us) for us in micros])
    assert [decode(text) for (text,) in texts] == micros


def test_times_with_zone(postgres: Database, random_numbers: random.Random) -> None:
    offsets = [random_numbers.randint(-15 * 3600, 15 * 3600) for _ in range(MANY // 4)]
    query = "timetz '12:34:56.7+00' AT TIME ZONE (v * interval '1 second')"
    with connect(postgres) as connection:
        decode = column(connection, "timetz").decode
        assert {decode(text) for (text,) in printed(connection, query, offsets)} == {"12:34:56.7Z"}


def test_numerics(postgres: Database, random_numbers: random.Random) -> None:
    numbers = [
        Decimal(random_numbers.randint(-(10**size), 10**size)).scaleb(-random_numbers.randint(0, 60))
        for size in (1, 5, 20, 60)
        for _ in range(MANY // 4)
    ]
    with connect(postgres) as connection:
        bare, fixed = column(connection, "numeric").decode, column(connection, "numeric(200,70)").decode
        texts = printed(connection, "v, v::numeric(200,70)", numbers)
    assert [bare(text) for text, _ in texts] == numbers
    assert [fixed(text) for _, text in texts] == numbers


def test_floats(postgres: Database, random_numbers: random.Random) -> None:
    doubles = [struct.unpack("<d", random_numbers.randbytes(8))[0] for _ in range(MANY)]
    singles = [struct.unpack("<f", random_numbers.randbytes(4))[0] for _ in range(MANY)]
    with connect(postgres) as connection:
        decode = column(connection, "float8").decode
        read = [decode(text) for (text,) in printed(connection, "v::float8", doubles)]
        assert list(map(repr, read)) == list(map(repr, doubles))
        narrow = column(connection, "float4").decode
        read = [narrow(text) for (text,) in printed(connection, "v::float4", singles)]
    assert [struct.pack("<f", value) for value in read if not math.isnan(value)] == [  # type: ignore[arg-type]
        struct.pack("<f", value) for value in singles if not math.isnan(value)
    ]


def test_arrays(postgres: Database, random_numbers: random.Random) -> None:
    characters = [*"\"\\{},; \t\n'NULLnullé🦆ab"]
    lists = [
        [
            None
            if random_numbers.random() < 0.1
            else "".join(random_numbers.choices(characters, k=random_numbers.randint(0, 6)))
            for _ in range(random_numbers.randint(0, 5))
        ]
        for _ in range(MANY)
    ]
    with connect(postgres) as connection:
        decode = column(connection, "text[]").decode
        made = "array(SELECT x #>> '{}' FROM json_array_elements(v::json) WITH ORDINALITY AS e (x, n) ORDER BY n)"
        texts = printed(connection, made, [json.dumps(values) for values in lists])
    assert [decode(text) for (text,) in texts] == lists


def test_hstores(postgres: Database, random_numbers: random.Random) -> None:
    characters = [*'"\\=>, NULé']
    pairs = [
        {
            "".join(random_numbers.choices(characters, k=random_numbers.randint(0, 4))): random_numbers.choice(
                [None, "", 'a"b', "x\\"]
            )
            for _ in range(random_numbers.randint(0, 4))
        }
        for _ in range(MANY // 4)
    ]
    with connect(postgres) as connection:
        connection.execute("CREATE EXTENSION hstore")
        decode = column(connection, "hstore").decode
        made = "(SELECT coalesce(hstore(array_agg(key), array_agg(value)), '') FROM json_each_text(v::json))"
        texts = printed(connection, made, [json.dumps(pair) for pair in pairs])
    assert [json.loads(str(decode(text))) for (text,) in texts] == pairs


def test_bytes_and_bits(postgres: Database, random_numbers: random.Random) -> None:
    octets = [random_numbers.randbytes(random_numbers.randint(0, 40)) for _ in range(MANY // 4)]
    with connect(postgres) as connection:
        decode = column(connection, "bytea").decode
        assert [decode(text) for (text,) in printed(connection, "v", octets)] == octets
        bits = column(connection, "bit(64)").decode
        numbers = [random_numbers.getrandbits(63) for _ in range(MANY // 4)]
        read = [bits(text) for (text,) in printed(connection, "v::int8::bit(64)", numbers)]
    assert [int.from_bytes(value, "little") for value in read if isinstance(value, bytes)] == numbers


def test_every_type_of_the_server_has_a_form(postgres: Database) -> None:
    with connect(postgres) as connection:
        types = load_types(connection.execute(TYPES_QUERY).fetchall())
        mapper = TypeMapper(types, SourceConfig.model_validate({"type": "postgres"}))
        everyday = "bool int2 int4 int8 oid float4 float8 numeric money text varchar bpchar name bytea date time timetz"
        everyday += (
            " timestamp timestamptz interval uuid json jsonb xml bit varbit inet cidr macaddr macaddr8 int4range"
        )
        by_name = {found.name: oid for oid, found in types.items() if found.schema == "pg_catalog"}
        for name in everyday.split():
            assert not mapper.is_fallback(by_name[name]), name
            assert not mapper.is_fallback(by_name[f"_{name}"]), name
        for oid in types:
            assert mapper.column("c", oid, -1, not_null=False, default=None).schema.optional
