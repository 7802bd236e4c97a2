"""Numbers, bits, bytes, texts and arrays, one value at a time; and that nothing but `BadRecord` comes out of junk."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import BadRecord
from tailrace.event import Column
from tailrace_postgres.types import TypeMapper
from unit.postgres_types.catalogue import HSTORE, MOOD, OIDS, column, mapper, types

NUMERIC_10_2 = (10 << 16 | 2) + 4


@pytest.mark.parametrize(
    ("type_name", "typmod", "text", "value"),
    [
        ("bool", -1, b"t", True),
        ("bool", -1, b"f", False),
        ("int2", -1, b"-32768", -32768),
        ("int8", -1, b"9223372036854775807", 9223372036854775807),
        ("oid", -1, b"4294967295", 4294967295),
        ("float8", -1, b"1e+300", 1e300),
        ("float8", -1, b"Infinity", math.inf),
        ("float8", -1, b"-Infinity", -math.inf),
        ("numeric", NUMERIC_10_2, b"12.30", Decimal("12.30")),
        ("numeric", NUMERIC_10_2, b"-99999999.99", Decimal("-99999999.99")),
        ("numeric", -1, b"1.50", Decimal("1.5")),
        ("numeric", -1, b"100", Decimal(100)),
        ("numeric", -1, b"0.00", Decimal(0)),
        ("numeric", -1, b"Infinity", Decimal("Infinity")),
        ("numeric", -1, b"-Infinity", Decimal("-Infinity")),
        ("money", -1, b"$12.50", Decimal("12.50")),
        ("money", -1, b"-$1,234.56", Decimal("-1234.56")),
        ("money", -1, b"($0.05)", Decimal("-0.05")),
        ("money", -1, b"1.234,56 \xe2\x82\xac", Decimal("1234.56")),
        ("money", -1, b"\xef\xbf\xa51,234", Decimal("1234.00")),
        ("money", -1, b"-$92,233,720,368,547,758.08", Decimal("-92233720368547758.08")),
        ("bytea", -1, b"\\xdeadbeef", b"\xde\xad\xbe\xef"),
        ("bytea", -1, b"\\x", b""),
        ("bit", 1, b"1", True),
        ("bit", 1, b"0", False),
        ("bit", 5, b"10110", b"\x16"),
        ("varbit", 9, b"101010101", b"U\x01"),
        ("varbit", -1, b"", b""),
        ("bit", 16, b"0000000000000001", b"\x01"),
        ("bit", 16, b"0000000000000000", b""),
        ("bpchar", 9, b"ch   ", "ch   "),
        ("text", -1, "naïve 🦆".encode(), "naïve 🦆"),
        ("text", -1, b"", ""),
        ("jsonb", -1, b'{"a": 1}', '{"a": 1}'),
    ],
)
def test_values(type_name: str, typmod: int, text: bytes, value: object) -> None:
    found = column(type_name, typmod).decode(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("type_name", "text"), [("float4", b"NaN"), ("float8", b"NaN")])
def test_floats_that_are_not_numbers(type_name: str, text: bytes) -> None:
    found = column(type_name).decode(text)
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize("typmod", [-1, NUMERIC_10_2])
def test_numerics_that_are_not_numbers(typmod: int) -> None:
    found = column("numeric", typmod).decode(b"NaN")
    assert isinstance(found, Decimal)
    assert found.is_nan()


def test_negative_zero_keeps_its_sign() -> None:
    found = column("float8").decode(b"-0")
    assert isinstance(found, float)
    assert math.copysign(1, found) == -1


@given(st.integers(-(10**900), 10**900), st.integers(0, 1000))
def test_numerics_of_any_size_are_exact(unscaled: int, scale: int) -> None:
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    whole, part = digits[: len(digits) - scale], digits[len(digits) - scale :]
    text = ("-" if unscaled < 0 else "") + whole + (f".{part}" if part else "")
    found = column("numeric", (1000 << 16 | scale) + 4).decode(text.encode())
    assert isinstance(found, Decimal)
    sign, shown, exponent = found.as_tuple()
    assert (int("".join(map(str, shown))) * (-1 if sign else 1), exponent) == (unscaled, -scale)
    bare = column("numeric").decode(text.encode())
    assert isinstance(bare, Decimal)
    assert bare.as_integer_ratio() == found.as_integer_ratio()
    assert not part.strip("0") or bare.as_tuple().digits[-1] != 0


def quoted(texts: list[str | None]) -> bytes:
    """Write an array as Postgres' array_out does, quoting everything that may be quoted."""
    escaped = ["NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]
    return ("{" + ",".join(escaped) + "}").encode()


no_surrogates = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.none() | no_surrogates))
def test_arrays_of_text(texts: list[str | None]) -> None:
    assert column("text", array=True).decode(quoted(texts)) == texts


@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1)))
def test_arrays_of_numbers(numbers: list[int | None]) -> None:
    text = "{" + ",".join("NULL" if number is None else str(number) for number in numbers) + "}"
    assert column("int4", array=True).decode(text.encode()) == numbers


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("int4", b"{}", []),
        ("int4", b"[0:1]={1,2}", [1, 2]),
        ("text", b"[-2:-1]={a,b}", ["a", "b"]),
        ("text", b'{a,NULL,"q\\"\\\\x, y","","NULL"}', ["a", None, 'q"\\x, y', "", "NULL"]),
        ("text", b"{a b,c}", ["a b", "c"]),
        ("bool", b"{t,f,NULL}", [True, False, None]),
        ("bytea", b'{"\\\\xdead",NULL}', [b"\xde\xad", None]),
        ("timestamptz", b'{"2020-01-01 08:11:12.12+00"}', ["2020-01-01T08:11:12.120000Z"]),
        ("numeric", b"{1.10,NULL}", [Decimal("1.1"), None]),
        ("jsonb", b'{"{\\"a\\": [1, 2]}"}', ['{"a": [1, 2]}']),
    ],
)
def test_array_texts(type_name: str, text: bytes, value: object) -> None:
    assert column(type_name, array=True).decode(text) == value


@pytest.mark.parametrize("text", [b"{{1,2},{3,4}}", b"[1:1][1:2]={{1,2}}"])
def test_arrays_of_several_dimensions_are_refused(text: bytes) -> None:
    with pytest.raises(BadRecord, match="several dimensions"):
        column("int4", array=True).decode(text)


def test_a_null_in_an_array_of_enums_is_refused() -> None:
    assert column(MOOD, array=True).decode(b'{sad,"a,b"}') == ["sad", "a,b"]
    with pytest.raises(BadRecord, match="null element"):
        column(MOOD, array=True).decode(b"{sad,NULL}")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"1,2", b"{1,,2}", b'{"a', b'{"a"b}', b"{a}b", b'{"a"}{', b"{1,2,}", b"{,}"]
)
def test_malformed_arrays_are_refused(text: bytes) -> None:
    with pytest.raises(BadRecord):
        column("text", array=True).decode(text)


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("bool", b"true"),
        ("int4", b"1_0"),
        ("int4", b" 1"),
        ("int4", b""),
        ("int4", b"-"),
        ("int4", b"1.5"),
        ("float8", b"1_0"),
        ("float8", b""),
        ("numeric", b"1_0"),
        ("numeric", b""),
        ("numeric", b"1,5"),
        ("bytea", b"dead"),
        ("bytea", b"\\xdea"),
        ("bit", b"102"),
        ("text", b"\xff"),
        ("point", b"(1)"),
        ("money", b"$"),
    ],
)
def test_malformed_values_are_refused(type_name: str, text: bytes) -> None:
    with pytest.raises(BadRecord):
        column(type_name, 5 if type_name == "bit" else -1).decode(text)


MAPPER: TypeMapper = mapper()
COLUMNS = [MAPPER.column("c", oid, -1, not_null=False, default=None) for oid in types()]
TEXTS = {"text", "varchar", "bpchar", "char", "name", "json", "jsonb", "xml", "uuid", "inet", "int4range", "tsvector"}
OTHERS = sorted(OIDS.keys() - TEXTS - {"pg_lsn"})
SECRET = "the-value"
LIKELY = st.text('0123456789-+:. {}[]=,\\"NULLTZBCinfty', max_size=40)


@given(st.sampled_from(COLUMNS), st.binary(max_size=40) | LIKELY.map(str.encode))
def test_junk_gives_a_value_or_a_bad_record(found: Column, junk: bytes) -> None:
    try:
        value = found.decode(junk)
    except BadRecord as refused:
        assert refused.hint
    else:
        assert value is not None


@pytest.mark.parametrize("type_name", OTHERS)
@pytest.mark.parametrize("array", [False, True])
def test_errors_never_show_the_value(type_name: str, array: bool) -> None:
    junk = f"{{{SECRET}}}" if array else SECRET
    with pytest.raises(BadRecord) as refused:
        column(type_name, array=array).decode(junk.encode())
    assert SECRET not in f"{refused.value} {refused.value.hint}"
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_errors_of_extensions_never_show_the_value() -> None:
    with pytest.raises(BadRecord) as refused:
        column(HSTORE).decode(SECRET.encode())
    assert SECRET not in f"{refused.value} {refused.value.hint}"
