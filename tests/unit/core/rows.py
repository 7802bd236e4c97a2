"""Rows of every type for the tests of the compiled core: in wire form, sound, at the edges, and damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from struct import pack

from hypothesis import strategies as st

from tailrace.codec.projection import Projection
from tailrace.columns import ColumnRules
from tailrace.event import Change, Event, Layout, Op, Table
from tailrace.schema import UNAVAILABLE, Field, Schema, Unavailable, Value
from tailrace.source import SourceConfig
from tailrace_postgres.row import WireFormat
from tailrace_postgres.types import PgType, TypeMapper
from unit.core.binary_cells import cells as binary_cells

SOURCE = Schema(
    "struct",
    "a.Source",
    fields=(
        Field("name", Schema("string")),
        Field("lsn", Schema("int64", optional=True)),
        Field("sequence", Schema("string", optional=True, default="x")),
        Field("row", Schema("int32")),
    ),
)
TYPES: dict[str, tuple[int, int]] = {
    "bool": (16, -1), "bytea": (17, -1), "int8": (20, -1), "int2": (21, -1), "int4": (23, -1), "text": (25, -1),
    "json": (114, -1), "float4": (700, -1), "float8": (701, -1), "date": (1082, -1), "time": (1083, -1),
    "time(3)": (1083, 3), "timestamp": (1114, -1), "timestamp(0)": (1114, 0), "timestamptz": (1184, -1),
    "timestamptz(3)": (1184, 3), "timestamptz(0)": (1184, 0), "interval": (1186, -1), "numeric": (1700, -1),
    "numeric(12,2)": (1700, (12 << 16 | 2) + 4), "numeric(60,30)": (1700, (60 << 16 | 30) + 4), "uuid": (2950, -1),
    "oid": (26, -1), "jsonb": (3802, -1),
    "int4[]": (1007, -1), "numeric(5,-2)": (1700, (5 << 16 | 0x7FE) + 4), "money": (790, -1), "bit(3)": (1560, 3),
}  # fmt: skip
CATALOG = {oid: PgType(oid, spelling.partition("(")[0], "pg_catalog", "b") for spelling, (oid, _) in TYPES.items()} | {
    1007: PgType(1007, "_int4", "pg_catalog", "b", element=23)
}
EXAMPLES: dict[str, Sequence[bytes]] = {
    "bool": [b"t", b"f"],
    "int": [b"0", b"-1", b"1", b"32767", b"-32768", b"32768", b"2147483647", b"2147483648", b"-2147483648",
            b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"-", b"007", b"-0", b"+1"],
    "float": [b"0", b"-0", b"1.5", b"NaN", b"Infinity", b"-Infinity", b"1e+300", b"5e-324", b"3.4028235e+38", b"1e400",
              b"3.4028236e+38", b"nan", b"1_0", b" 1", b"0x10", b"1e", b".5", b"5."],
    "bytea": [b"\\x", b"\\x00ff", b"\\xABcd", b"\\x0", b"\\xgg", b"\\", b"00", b"\\X00"],
    "numeric": [b"0", b"0.00", b"-0.00", b"1.10", b"100", b"-128", b"127", b"128", b"-129", b"255", b"256", b"-32768",
                b"NaN", b"Infinity", b"-Infinity", b"12345678901234567890123.456", b"9" * 307, b"-" + b"9" * 309,
                b"1.", b".5", b"-", b"1.2.3", b"1e5", b"0.000000000000000000000000000001", b"1" + b"0" * 50, b"--1"],
    "time": [b"00:00:00", b"23:59:59.999999", b"24:00:00", b"12:30:00.5", b"24:00:01", b"12:60:00", b"1:00:00",
             b"12:00"],
    "date": [b"1970-01-01", b"0001-01-01", b"0001-01-01 BC", b"infinity", b"-infinity", b"2024-02-29", b"2023-02-29",
             b"1900-02-29", b"2000-02-29", b"10000-01-01", b"5874897-12-31", b"0000-01-01", b"2024-13-01",
             b"2024-1-01"],
    "timestamp": [b"1970-01-01 00:00:00", b"1969-12-31 23:59:59.999999", b"294276-12-31 23:59:59.999999", b"infinity",
                  b"-infinity", b"4713-01-01 00:00:00 BC", b"2024-02-29 24:00:00", b"2024-02-29 12:00:00.1234567",
                  b"2024-02-29T12:00:00", b"1600-12-31 23:59:59.0005"],
    "timestamptz": [b"2024-02-29 12:00:00+00", b"2024-02-29 12:00:00.12+00", b"2024-02-29 12:00:00.123456+00",
                    b"2024-02-29 12:00:00+05:30", b"infinity", b"-infinity", b"0044-03-15 12:00:00+00 BC", b"+00",
                    b"10000-01-01 00:00:00+00", b"2024-02-29 12:00:00.+00", b"2024-02-30 12:00:00+00"],
    "text": [b"", b"plain", "gr\u00fc\u00dfe \u20ac \U0001f600".encode(), b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
             b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf0\x8f\xbf\xbf", b"12345678\xc3", b"tab\tand\\backslash\n", b"\x00",
             b"\\N", b"a\\", b"\n"],
    "array": [b"{}", b"{1,2,NULL}", b"{a}"],
    "interval": [b"00:00:00", b"1 year 2 mons -3 days +04:05:06.789", b"x"],
    "money": [b"$1,234.56", b"-$0.05"],
    "bit": [b"101", b"000", b"2"],
}  # fmt: skip
KIND = {
    "bool": "bool", "int2": "int", "int4": "int", "int8": "int", "float4": "float", "float8": "float", "bytea": "bytea",
    "numeric": "numeric", "time": "time", "date": "date", "timestamp": "timestamp", "timestamptz": "timestamptz",
    "text": "text", "json": "text", "uuid": "text", "int4[]": "array", "interval": "interval", "money": "money",
    "bit": "bit", "oid": "int", "jsonb": "text",
}  # fmt: skip


def cells(spelling: str) -> st.SearchStrategy[bytes]:
    """Texts for one type: known edges, generated values, and the same with something wrong about them."""
    kind = KIND[spelling.partition("(")[0]]
    sound = st.sampled_from(EXAMPLES[kind]) | generated(kind)
    return sound | st.tuples(sound, st.integers(0, 40), st.binary(max_size=2)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + 1 :]
    )


def generated(kind: str) -> st.SearchStrategy[bytes]:
    texts: dict[str, st.SearchStrategy[str]] = {
        "int": st.integers(-(2**63), 2**63 - 1).map(str) | st.integers(-40000, 40000).map(str),
        "float": st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.floats(width=32).map(repr),
        "numeric": st.decimals(-(10**12), 10**12, places=2).map(str)
        | st.tuples(st.integers(-(10**45), 10**45), st.integers(0, 30)).map(lambda pair: f"{pair[0]}.{pair[1]:02}"),
        "date": st.dates().map(str),
        "time": st.times().map(str),
        "timestamp": st.datetimes().map(str),
        "timestamptz": st.datetimes().map(lambda when: f"{when}+00"),
        "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
        | st.text("a\\\t\n\r\b\f\vN", max_size=9),
    }
    if kind == "bytea":
        return st.binary(max_size=20).map(lambda octets: b"\\x" + octets.hex().encode())
    return texts[kind].map(str.encode) if kind in texts else st.sampled_from(EXAMPLES[kind])


class Spot:
    """An origin whose block is new for every change."""

    def source_block(self, change: Change) -> Sequence[Value]:
        return ["shop", change.at, None if change.at % 3 == 0 else f"[{change.at}]", 7]


DISGUISES: dict[str, object] = {
    "mask": 5, "hash": {"algorithm": "md5", "salt": "pepper"}, "truncate": 3
}  # fmt: skip


@lru_cache(maxsize=500)
def table(
    columns: tuple[tuple[str, bool], ...], key: tuple[int, ...], layout: Layout, treated: tuple[str, ...] = ()
) -> Table:
    """`treated` says of each column "", "exclude", or one of `DISGUISES`, which texts wear only."""
    mapper = TypeMapper(CATALOG, SourceConfig(type="postgres"))
    made = tuple(
        mapper.column(
            f"c{index}\u00e4", *TYPES[spelling], not_null=required, default=None, binary=layout.startswith("binary_")
        )
        for index, (spelling, required) in enumerate(columns)
    )
    shape = Table("a.t", "shop.a.t", made, key, WireFormat(layout, "a.t", len(made)), SOURCE)
    rules: dict[str, dict[str, object]] = {"mask": {}, "hash": {}, "truncate": {}}
    for column, treatment in zip(made, treated, strict=False):
        if treatment in rules and column.schema.type == "string":
            rules[treatment][f"a.t.{column.name}"] = DISGUISES[treatment]
    excluded = [f"a.t.{made[place].name}" for place, treatment in enumerate(treated) if treatment == "exclude"]
    return Projection(ColumnRules.model_validate({**rules, "exclude": excluded})).table(shape)


Row = Sequence[bytes | None | Unavailable]


def tuple_data(row: Row, kind: bytes = b"t") -> bytes:
    return pack(">H", len(row)) + b"".join(
        [
            b"n" if cell is None else b"u" if isinstance(cell, Unavailable) else kind + pack(">I", len(cell)) + cell
            for cell in row
        ]
    )


def binary_copy_row(row: Row) -> bytes:
    return pack(">H", len(row)) + b"".join(
        [pack(">I", len(cell)) + cell if isinstance(cell, bytes) else pack(">i", -1) for cell in row]
    )


ESCAPES = {8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r", 92: b"\\\\"}


def copy_line(row: Row) -> bytes:
    return b"\t".join(
        [
            b"".join([ESCAPES.get(octet, bytes((octet,))) for octet in cell]) if isinstance(cell, bytes) else b"\\N"
            for cell in row
        ]
    )


WIRES: dict[Layout, Callable[[Row], bytes]] = {
    "tuple": tuple_data,
    "copy": copy_line,
    "binary_tuple": partial(tuple_data, kind=b"b"),
    "binary_copy": binary_copy_row,
}


@st.composite
def batches(draw: st.DrawFn) -> list[Event]:
    """Changes of one table: rows of all columns, whole or with values missing, some of them damaged."""
    layout = draw(st.sampled_from(sorted(WIRES)))
    binary = layout.startswith("binary_")
    types = sorted(set(TYPES) - {"money"}) if binary else sorted(TYPES)
    columns = draw(st.lists(st.tuples(st.sampled_from(types), st.booleans()), min_size=1, max_size=5))
    key = draw(st.lists(st.integers(0, len(columns) - 1), unique=True, max_size=2))
    treatments = [
        draw(st.sampled_from(["", "", "hash"] if place in key else ["", "", "exclude", *DISGUISES]))
        for place in range(len(columns))
    ]
    shape = table(tuple(columns), tuple(key), layout, tuple(treatments))
    some = [(binary_cells if binary else cells)(spelling) for spelling, _ in columns]
    missing = st.sampled_from([None, UNAVAILABLE] if layout.endswith("tuple") else [None])
    whole = st.tuples(*some)
    partly = st.tuples(*[cell | missing for cell in some])
    damage = st.none() | st.none() | st.none() | st.tuples(st.integers(0, 60), st.binary(max_size=3))
    events: list[Event] = []
    for at in range(draw(st.integers(1, 6))):
        op: Op = draw(st.sampled_from(["c", "u", "d", "r", "t"]))
        before = draw(st.none() | partly) if op in {"u", "d"} else None
        after = draw(whole | partly) if op in {"c", "u", "r"} else None
        wires = [None if row is None else WIRES[layout](row) for row in (before, after)]
        where = draw(damage)
        if where is not None:
            wires = [wire and wire[: where[0]] + where[1] + wire[where[0] + 2 :] for wire in wires]
        moved = op == "u" and before is not None and draw(st.booleans())
        events.append(Change(shape, op, *wires, origin=Spot(), at=at, moved=moved))
    return events
