"""Defaults of columns, as `pg_get_expr` prints them. That Debezium has the same is checked by tests/databases."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tailrace.schema import MISSING
from unit.postgres_types.catalogue import CITEXT, MOOD, POSITIVE, column

NUMERIC_10_2 = (10 << 16 | 2) + 4


@pytest.mark.parametrize(
    ("type_name", "typmod", "expression", "default"),
    [
        ("int4", -1, "42", 42),
        ("int4", -1, "'-7'::integer", -7),
        ("int4", -1, "nextval('t.sq'::regclass)", 0),
        ("int4", -1, "t.f()", 0),
        ("int4", -1, "(1 + 2)", MISSING),
        ("int4", -1, "NULL::integer", MISSING),
        ("int8", -1, "'9223372036854775807'::bigint", 9223372036854775807),
        ("bool", -1, "true", True),
        ("bool", -1, "false", False),
        ("float8", -1, "'15000000000'::numeric", 15000000000.0),
        ("float8", -1, "1.25", 1.25),
        ("float8", -1, "random()", 0.0),
        ("numeric", NUMERIC_10_2, "1.5", Decimal("1.50")),
        ("numeric", NUMERIC_10_2, "'-7'::integer", Decimal("-7.00")),
        ("numeric", NUMERIC_10_2, "0", Decimal("0.00")),
        ("numeric", NUMERIC_10_2, "12.345", MISSING),
        ("numeric", NUMERIC_10_2, "12.340", Decimal("12.34")),
        ("numeric", NUMERIC_10_2, "random()", Decimal("0.00")),
        ("numeric", -1, "7", MISSING),
        ("text", -1, "'a''b\"c\\d'::text", "a'b\"c\\d"),
        ("text", -1, "upper('x'::text)", ""),
        ("text", -1, "('a'::text || 'b'::text)", "a"),
        ("text", -1, "CURRENT_USER", "CURRENT_USER"),
        ("text", -1, "NULL::text", MISSING),
        ("bpchar", 9, "'ch'::bpchar", "ch"),
        ("uuid", -1, "gen_random_uuid()", "00000000-0000-0000-0000-000000000000"),
        ("jsonb", -1, "'{\"a\": [1, 2]}'::jsonb", '{"a": [1, 2]}'),
        ("date", -1, "'2020-02-03'::date", 18295),
        ("date", -1, "CURRENT_DATE", 0),
        ("time", 3, "'10:11:12.123'::time without time zone", 36672123),
        ("time", -1, "LOCALTIME", 0),
        ("timestamp", -1, "now()", 0),
        ("timestamp", 3, "'2020-02-03 04:05:06.789'::timestamp without time zone", 1580702706789),
        ("timestamptz", -1, "now()", "1970-01-01T00:00:00.000000Z"),
        ("timestamptz", 0, "now()", "1970-01-01T00:00:00Z"),
        ("timestamptz", -1, "'2020-02-03 02:05:06.789+02'::timestamp with time zone", "2020-02-03T00:05:06.789000Z"),
        ("timestamptz", -1, "'infinity'::timestamp with time zone", MISSING),
        ("interval", -1, "'1 mon 2 days 03:04:05.6'::interval", 2813645600000),
        ("bit", 1, "'1'::\"bit\"", True),
        ("bit", 5, "'10110'::\"bit\"", b"\x16"),
        ("timetz", -1, "'10:11:12+02'::time with time zone", MISSING),
        ("bytea", -1, "'\\x01ff'::bytea", MISSING),
        ("name", -1, "'nm'::name", MISSING),
        ("inet", -1, "'127.0.0.1'::inet", MISSING),
        ("money", -1, "5", MISSING),
        ("oid", -1, "7", MISSING),
        (CITEXT, -1, "'x'::citext", MISSING),
        (POSITIVE, -1, "4", MISSING),
        (MOOD, -1, "'sad'::app.mood", "sad"),
        (MOOD, -1, "'it''s'::app.mood", "it''s"),
        (MOOD, -1, "app.pick()", MISSING),
    ],
)
def test_defaults(type_name: str | int, typmod: int, expression: str, default: object) -> None:
    schema = column(type_name, typmod, not_null=True, default=expression).schema
    assert schema.default == default
    assert type(schema.default) is type(default)
    assert column(type_name, typmod, default=expression).schema.default == default


def test_a_decimal_default_has_the_digits_of_its_column() -> None:
    default = column("numeric", NUMERIC_10_2, default="1.5").schema.default
    assert isinstance(default, Decimal)
    assert default.as_tuple().exponent == -2


def test_arrays_have_no_default() -> None:
    assert column("int4", array=True, default="'{1,2}'::integer[]").schema.default is MISSING
