"""Every type in both wire forms from a real server: the same values, the same printed keys, the same Avro bytes."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence
from typing import Any, cast

import psycopg

from servers.postgres import Database
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry import Registry
from tailrace.errors import BadRecord
from tailrace.event import Change, Event, Layout, Table
from tailrace.schema import Value
from tailrace.source import SourceConfig
from tailrace_postgres.row import WireFormat
from tailrace_postgres.types import TYPES_QUERY, TypeMapper, load_types
from unit.codec.numbers import Numbers
from unit.core.rows import SOURCE, Spot

STYLE = "-c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=3 -c TimeZone=UTC"
SEED = 2000
MANY = 300
TIMES = ["00:00:00", "23:59:59.999999", "24:00:00", "12:30:00.5"]
MOMENTS = [
    "2000-01-01", "1970-01-01", "1999-12-31 23:59:59.999999", "infinity", "-infinity", "4713-01-01 00:00:00 BC",
    "0001-12-31 10:00 BC", "0001-01-01", "9999-12-31 23:59:59.999999", "10000-01-01", "294246-12-31 23:59:59",
    "2024-02-29 12:00:00.123456", "1600-02-29 12:00:00.0005", "0044-03-15 12:00:00 BC", "1969-12-31 23:59:59.9995",
]  # fmt: skip
NUMERICS = [
    "0", "0.00", "1", "-1", "10000", "9999", "0.0001", "0.00001", "-0.5", "100000000", "1e40", "1e-20", "NaN", "1.10",
    "123456789012345678901234567890.123456789", "99999999.9999", "-12345.6789", "1e300", "3e-290",
]  # fmt: skip
VALUES: dict[str, Sequence[str | None]] = {
    "bool": ["t", "f"],
    "int2": ["0", "-1", "32767", "-32768"],
    "int4": ["0", "-1", "2147483647", "-2147483648"],
    "int8": ["0", "-1", "9223372036854775807", "-9223372036854775808"],
    "oid": ["0", "1", "4294967295"],
    "float4": ["0", "-0", "1.5", "0.1", "NaN", "Infinity", "-Infinity", "1e-45", "3.4028235e38", "1.1754944e-38"],
    "float8": ["0", "-0", "0.1", "NaN", "Infinity", "-Infinity", "5e-324", "1.7976931348623157e308", "1e23"],
    "numeric": [*NUMERICS, "Infinity", "-Infinity"],
    "numeric(60,30)": ["0", "1.5", "-0.000000000000000000000000000001", "123456789012345678901234567890"],
    "numeric(12,2)": ["0", "1.5", "-9999999999.99", "NaN", "0.01", "10000"],
    "numeric(5,-2)": ["0", "100", "-1234500", "49"],
    "money": ["0", "1.5", "-12.34"],
    "text": ["", "plain", "grüße \U0001f600", "a\tb\\c\n\"q\"", "\\N"],
    "varchar(20)": ["", "x"],
    "char(5)": ["", "ab"],
    '"char"': ["a", "", "ü"],
    "name": ["", "a_name"],
    "bytea": ["\\x", "\\x00ff41"],
    "uuid": ["b68a35a7-17ad-35b3-af2a-ae46edb4545a", "00000000-0000-0000-0000-000000000000"],
    "json": ['{"a": 1}', "[1,2 ]"],
    "jsonb": ['{"a": 1}', '"ü"', "12345678901234567890.10"],
    "date": ["2000-01-01", "1970-01-01", "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "1999-12-31"],
    "time": TIMES,
    "time(3)": ["00:00:00", "12:30:00.5", "23:59:59.999", "24:00:00"],
    "timetz": ["00:00:00+00", "24:00:00+00", "23:59:59.999999-15:59", "12:00:00.5+05:30", "24:00:00-01", "01:00:01+02"],
    "timestamp": [*MOMENTS, "294276-12-31 23:59:59.999999"],
    "timestamp(0)": MOMENTS,
    "timestamp(3)": MOMENTS,
    "timestamptz": MOMENTS,
    "timestamptz(0)": MOMENTS,
    "timestamptz(3)": MOMENTS,
    "interval": ["0", "1 year 2 mons -3 days 04:05:06.789", "-178000000 years", "-1 mon 1 day -00:00:00.000001"],
    "bit(1)": ["0", "1"],
    "bit(11)": ["00000000000", "11111111111", "10000000001"],
    "varbit": ["", "1", "101010101"],
    "varbit(9)": ["", "1", "101010101"],
    "inet": ["192.168.0.1", "10.0.0.0/8", "::1", "::", "fe80::1:0:0:1", "2001:db8::/32", "::ffff:1.2.3.4", "::1.2.3.4",
             "1:0:2:3:4:5:6:7", "0.0.0.0/0", "1:2:3:4:5:6:7:0", "0:0:1::"],
    "cidr": ["10.0.0.0/8", "192.168.0.1/32", "::/0", "2001:db8::/32", "1.0.0.0/8", "::1/128"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "point": ["(1,2)", "(0.1,-1e300)", "(NaN,Infinity)"],
    "int4range": ["empty", "[1,10)", "(,)", "[5,)", "(,5]"],
    "int8range": ["[1,9223372036854775806]"],
    "numrange": ["[1.10,2.2]", "(0,1)", "[NaN,NaN]"],
    "daterange": ["[2024-01-01,2024-02-01)", "[-infinity,infinity]", "(,4713-01-01 BC)"],
    "tsrange": ["[2024-01-01,2024-02-01 00:00:00.5)", "(,infinity)"],
    "tstzrange": ["[2024-01-01 00:00+02,2024-02-01]"],
    "int2vector": ["", "1 2 -3"],
    "oidvector": ["1 4294967295"],
    "int4[]": ["{}", "{1,2,NULL}", "[0:1]={1,2}", "{{1,2},{3,4}}"],
    "text[]": ["{}", '{a,NULL,"q\\"\\\\x, y","","NULL"}'],
    "numeric(10,2)[]": ["{1.1,NULL,NaN}"],
    "timestamptz[]": ['{"2020-01-01 08:11:12.12+00",infinity,NULL}'],
    "uuid[]": ["{b68a35a7-17ad-35b3-af2a-ae46edb4545a}"],
    "bytea[]": ['{"\\\\xdead",NULL}'],
    "int4range[]": ['{"[1,2)",empty}'],
    "mood": ["sad", "it's"],
    "mood[]": ["{sad}", "{}", "{sad,NULL}"],
    "price": ["1.5", "NaN"],
    "price[]": ["{1.5,NULL}"],
    "hstore": ["", '"a"=>"1", "b"=>NULL', '"ü\\"k"=>"v\\\\"'],
    "citext": ["Abc"],
    "ltree": ["", "a.b.c"],
}  # fmt: skip
TEXT_ONLY = {"money"}
"""Types that have no binary form of ours, so that a table with one is read as text."""

SETUP = (
    "CREATE EXTENSION hstore", "CREATE EXTENSION citext", "CREATE EXTENSION ltree",
    "CREATE TYPE mood AS ENUM ('sad', 'it''s')", "CREATE DOMAIN price AS numeric(12,3)",
)  # fmt: skip


def rows_of_copy(connection: psycopg.Connection[Any], query: str, form: str) -> list[bytes]:
    """Return the rows of a COPY as the snapshot has them."""
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT {form})".encode()) as copy:
        messages = [bytes(message) for message in copy]
    if form == "text":
        return [message[:-1] for message in messages]
    assert messages[0][:11] == b"PGCOPY\n\xff\r\n\0"
    messages[0] = messages[0][19:]
    assert messages[-1] == b"\xff\xff"
    return messages[:-1]


def tables_of(connection: psycopg.Connection[Any], sql_type: str) -> tuple[TypeMapper, int, Table, Table | None]:
    """Return a table of a row's number and one column of the type, as text and in binary."""
    mapper = TypeMapper(load_types(connection.execute(TYPES_QUERY).fetchall()), SourceConfig(type="postgres"))
    row = connection.execute(
        "SELECT atttypid, atttypmod FROM pg_attribute WHERE attrelid = 'probe'::regclass AND attname = 'c'"
    ).fetchone()
    assert row is not None
    oid, typmod = int(row[0]), int(row[1])

    def made(layout: Layout, *, binary: bool) -> Table:
        columns = tuple(
            mapper.column(name, *of, not_null=name == "id", default=None, binary=binary)
            for name, of in (("id", (23, -1)), ("c", (oid, typmod)))
        )
        return Table("public.probe", "t.probe", columns, (0,), WireFormat(layout, "public.probe", 2), SOURCE)

    known = mapper.binary(oid) is not None
    return mapper, oid, made("copy", binary=False), made("binary_copy", binary=True) if known else None


def outcomes(encoder: ChangeEncoder, table: Table, rows: Sequence[bytes]) -> list[object]:
    """Return, for each row, its record, or that it is refused; by the compiled core where it has one."""
    events: list[Event] = [Change(table, "r", None, row, origin=Spot(), at=1) for row in rows]
    found: list[object] = []
    for event in [*events, *events]:  # a table that is new is done in Python
        try:
            found += [(one.key, one.value, list(one.headers)) for one in encoder.encode([event])]
        except BadRecord:
            found.append("refused")
    return found[len(events) :]


def values(table: Table, rows: Sequence[bytes]) -> list[object]:
    decode = table.columns[1].decode
    found: list[object] = []
    for row in rows:
        cell = table.format.cells(row)[1]
        assert isinstance(cell, bytes)
        try:
            found.append(repr(decode(cell)))
        except BadRecord:
            found.append("refused")
    return found


def encoder(registry: Registry, *, core: bool) -> ChangeEncoder:
    return ChangeEncoder(
        registry, SourceConfig(type="postgres"), clock=lambda: 10**18, partitions=(lambda _: 1) if core else None
    )


def compare(connection: psycopg.Connection[Any], sql_type: str) -> None:
    mapper, oid, in_text, in_binary = tables_of(connection, sql_type)
    query = "SELECT id, c FROM probe ORDER BY id"
    texts = rows_of_copy(connection, query, "text")
    assert (in_binary is None) == (sql_type in TEXT_ONLY)
    if in_binary is None:
        return
    binaries = rows_of_copy(connection, query, "binary")
    assert values(in_binary, binaries) == values(in_text, texts), sql_type
    form = mapper.binary(oid)
    if form is not None and form.text is not None:
        whole = [row for row in binaries if len(in_binary.format.cells(row)) == 2]
        printed = [form.text(cast("bytes", in_binary.format.cells(row)[1])) for row in whole]
        assert printed == [in_text.format.cells(row)[1] for row in texts]
    registry = cast("Registry", Numbers())
    expected = outcomes(encoder(registry, core=False), in_text, texts)
    assert outcomes(encoder(registry, core=True), in_text, texts) == expected, sql_type
    assert outcomes(encoder(registry, core=False), in_binary, binaries) == expected, sql_type
    assert outcomes(encoder(registry, core=True), in_binary, binaries) == expected, sql_type


def test_both_forms_are_the_same_value(postgres: Database) -> None:
    with postgres.connect(options=STYLE) as connection:
        for statement in SETUP:
            connection.execute(statement.encode())
        for sql_type, given in VALUES.items():
            connection.execute(f"CREATE TEMP TABLE probe (id serial, c {sql_type})".encode())
            # Postgres 15 prints an octet that is no text.
            texts = [value for value in given if sql_type != '"char"' or postgres.version > 15 or value != "ü"]
            connection.execute(
                f"INSERT INTO probe (c) SELECT v::{sql_type} FROM unnest(%s::text[]) v".encode(), [texts]
            )
            compare(connection, sql_type)
            connection.execute("DROP TABLE probe")


def generated(numbers: random.Random, kind: str) -> Value:
    match kind:
        case "float4":
            return repr(struct.unpack("<f", numbers.randbytes(4))[0])
        case "float8":
            return repr(struct.unpack("<d", numbers.randbytes(8))[0])
        case "numeric":
            digits = str(numbers.randrange(10 ** numbers.randint(1, 60)))
            point = numbers.randint(0, len(digits))
            return f"{numbers.choice(['', '-'])}{digits[:point] or '0'}.{digits[point:] or '0'}"
        case _:
            return str(numbers.randrange(-(2**62), 2**62))


RANGES = {
    "float4": "v::float4",
    "float8": "v::float8",
    "numeric": "v::numeric",
    "date": "date '2000-01-01' + (v::int8 %% 2400000)::int",
    "timestamp": "timestamp '2000-01-01' + (v::int8 %% 210000000000000) * interval '1 millisecond'",
    "timestamptz": "timestamptz '2000-01-01' + (v::int8 %% 60000000000000000) * interval '1 microsecond'",
    "interval": "make_interval(days => (v::int8 %% 100000)::int, secs => (v::int8 %% 1000000007) / 1e3)",
}


def test_values_of_the_whole_range(postgres: Database) -> None:
    numbers = random.Random(SEED)
    with postgres.connect(options=STYLE) as connection:
        for kind, made in RANGES.items():
            connection.execute(f"CREATE TEMP TABLE probe (id serial, c {kind})".encode())
            texts = [generated(numbers, kind) for _ in range(MANY)]
            if kind == "float4":  # powers of two have neighbours at two distances
                texts += [repr(math.ldexp(1.0, power)) for power in range(-149, 128)]
            connection.execute(f"INSERT INTO probe (c) SELECT {made} FROM unnest(%s::text[]) v".encode(), [texts])
            compare(connection, kind)
            connection.execute("DROP TABLE probe")
