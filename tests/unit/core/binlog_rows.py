"""Rows of MySQL of every type for the tests of the core: of the binlog and of result sets, sound and damaged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import pack

from hypothesis import strategies as st

from tailrace.event import Change, Event, Op, Table
from tailrace.schema import UNAVAILABLE, Unavailable
from tailrace_mysql import columntype as kinds
from tailrace_mysql.form import Settings
from tailrace_mysql.shape import ColumnShape, TableShape
from tailrace_mysql.table import Tables, ValueSettings
from unit.core.jsonb_bytes import documents
from unit.core.rows import SOURCE, Spot

Row = Sequence[bytes | None | Unavailable]

COLUMNS: dict[str, ColumnShape] = {
    "tinyint": ColumnShape("", kinds.TINY),
    "tinyint unsigned": ColumnShape("", kinds.TINY, unsigned=True),
    "smallint": ColumnShape("", kinds.SHORT),
    "smallint unsigned": ColumnShape("", kinds.SHORT, unsigned=True),
    "mediumint": ColumnShape("", kinds.INT24),
    "mediumint unsigned": ColumnShape("", kinds.INT24, unsigned=True),
    "int": ColumnShape("", kinds.LONG),
    "int unsigned": ColumnShape("", kinds.LONG, unsigned=True),
    "bigint": ColumnShape("", kinds.LONGLONG),
    "bigint unsigned": ColumnShape("", kinds.LONGLONG, unsigned=True),
    "float": ColumnShape("", kinds.FLOAT, 4),
    "double": ColumnShape("", kinds.DOUBLE, 8),
    "decimal(10,2)": ColumnShape("", kinds.NEWDECIMAL, 10 << 8 | 2),
    "decimal(18,0)": ColumnShape("", kinds.NEWDECIMAL, 18 << 8),
    "decimal(19,9)": ColumnShape("", kinds.NEWDECIMAL, 19 << 8 | 9),
    "decimal(65,30)": ColumnShape("", kinds.NEWDECIMAL, 65 << 8 | 30),
    "decimal(5,5)": ColumnShape("", kinds.NEWDECIMAL, 5 << 8 | 5),
    "year": ColumnShape("", kinds.YEAR, unsigned=True),
    "bit": ColumnShape("", kinds.BIT, 1),
    "bit(13)": ColumnShape("", kinds.BIT, 13),
    "date": ColumnShape("", kinds.DATE),
    "time": ColumnShape("", kinds.TIME2),
    "time(3)": ColumnShape("", kinds.TIME2, 3),
    "time(6)": ColumnShape("", kinds.TIME2, 6),
    "datetime": ColumnShape("", kinds.DATETIME2),
    "datetime(2)": ColumnShape("", kinds.DATETIME2, 2),
    "datetime(6)": ColumnShape("", kinds.DATETIME2, 6),
    "timestamp": ColumnShape("", kinds.TIMESTAMP2),
    "timestamp(3)": ColumnShape("", kinds.TIMESTAMP2, 3),
    "timestamp(6)": ColumnShape("", kinds.TIMESTAMP2, 6),
    "varchar": ColumnShape("", kinds.VARCHAR, 80, charset="utf8mb4"),
    "text": ColumnShape("", kinds.BLOB, 2, charset="utf8mb4"),
    "longtext": ColumnShape("", kinds.BLOB, 4, charset="utf8mb3"),
    "varchar latin1": ColumnShape("", kinds.VARCHAR, 300, charset="latin1"),
    "char": ColumnShape("", kinds.STRING, 40, charset="utf8mb4"),
    "binary": ColumnShape("", kinds.STRING, 5, charset="binary"),
    "varbinary": ColumnShape("", kinds.VARCHAR, 20, charset="binary"),
    "blob": ColumnShape("", kinds.BLOB, 3, charset="binary"),
    "enum": ColumnShape("", kinds.ENUM, 1, charset="utf8mb4", members=("a", "b")),
    "set": ColumnShape("", kinds.SET, 1, charset="utf8mb4", members=("a", "b", "c")),
    "json": ColumnShape("", kinds.JSON, 4),
}
TEXTS = [b"", b"plain", "gr\u00fc\u00dfe \u20ac \U0001f600".encode(), b"\xff", b"\xc0\x80", b"12345678\xc3", b"\x00"]
NUMBERS = [b"0", b"-1", b"127", b"-129", b"40000", b"2147483648", b"18446744073709551615", b"-", b"1.50", b"-0.00001",
           b"1e300", b"1.7976931348623157e308", b"0.1", b"1e999", b"2024", b"0000",
           b"12345678901234567890.123456789"]  # fmt: skip
MOMENTS = [b"2024-02-29", b"0000-00-00", b"2023-02-29", b"9999-12-31", b"0000-01-01", b"2024-02-29 12:30:01",
           b"2024-02-29 12:30:01.123456", b"0000-00-00 00:00:00", b"1969-12-31 23:59:59.999999", b"1970-01-01 00:00:00",
           b"12:30:01", b"-838:59:59.000000", b"838:59:59", b"23:59:59.999999", b"00:00:00", b"9999-12-31 23:59:59.9",
           b"2024-02-29 25:00:00", b"-00:00:00.000001"]  # fmt: skip


def binlog_cell(column: ColumnShape) -> st.SearchStrategy[bytes]:
    """The octets of one cell with the length before them."""
    if column.kind == kinds.JSON:
        return documents().map(lambda octets: pack("<I", len(octets)) + octets)
    if column.width >= 0:
        edges = [bytes(column.width), b"\xff" * column.width, b"\x80" + bytes(column.width - 1), b"\0" * column.width]
        return st.sampled_from(edges) | st.binary(min_size=column.width, max_size=column.width) | likely(column)
    texts = st.sampled_from(TEXTS) | st.text(max_size=20).map(str.encode) | st.binary(max_size=20)
    return texts.map(lambda text: len(text).to_bytes(-column.width, "little") + text)


def likely(column: ColumnShape) -> st.SearchStrategy[bytes]:
    """Octets that make sense, where most do not."""
    octets = (column.meta + 1) // 2
    fraction = st.integers(0, 99 if octets == 1 else 9999 if octets == 2 else 999_999).map(
        lambda number: number.to_bytes(octets, "big") if octets else b""
    )
    if column.kind == kinds.DATETIME2:
        return st.tuples(st.datetimes(), fraction).map(
            lambda parts: (
                (
                    (1 << 39)
                    + ((parts[0].year * 13 + parts[0].month) << 22)
                    + (parts[0].day << 17)
                    + (parts[0].hour << 12)
                    + (parts[0].minute << 6)
                    + parts[0].second
                ).to_bytes(5, "big")
                + parts[1]
            )
        )
    if column.kind == kinds.DATE:
        return st.dates().map(lambda day: (day.year << 9 | day.month << 5 | day.day).to_bytes(3, "little"))
    if column.kind == kinds.NEWDECIMAL:
        return st.integers(0, 2 ** (8 * column.width) - 1).map(lambda number: decimal_octets(column, number))
    return st.binary(min_size=column.width, max_size=column.width)


def decimal_octets(column: ColumnShape, number: int) -> bytes:
    """A packed decimal out of the digits of a number; negative where it is odd."""
    precision, scale = column.meta >> 8, column.meta & 0xFF
    digits = str(number % 10**precision).zfill(precision)
    whole, fraction = digits[: precision - scale], digits[precision - scale :]
    head = len(whole) % 9
    groups = [whole[:head], *(whole[at : at + 9] for at in range(head, len(whole), 9))]
    groups += [fraction[at : at + 9] for at in range(0, len(fraction), 9)]
    octets = b"".join(
        [int(group).to_bytes((len(group) + 1) // 2 if len(group) < 9 else 4, "big") for group in groups if group]
    )
    flipped = bytes([octets[0] ^ 0x80]) + octets[1:]
    return bytes([octet ^ 0xFF for octet in flipped]) if number % 2 else flipped


def text_cell() -> st.SearchStrategy[bytes]:
    """A text of any kind: most are of another type than the column, which is to be noticed."""
    sound = st.sampled_from([*TEXTS, *NUMBERS, *MOMENTS, b"a", b"a,c", b"\x01", b"\0\x01", b'{"a": 1}'])
    numbers = st.integers(-(2**63), 2**64 - 1) | st.integers(-40000, 40000)
    return (
        sound
        | numbers.map(lambda number: str(number).encode())
        | st.datetimes().map(lambda when: str(when).encode())
        | st.text(max_size=300).map(str.encode)
    )


def binlog_row(cells: Row) -> bytes:
    present = sum(1 << place for place, cell in enumerate(cells) if not isinstance(cell, Unavailable))
    there = [cell for cell in cells if not isinstance(cell, Unavailable)]
    nulls = sum(1 << place for place, cell in enumerate(there) if cell is None)
    return b"".join([
        present.to_bytes((len(cells) + 7) // 8, "little"),
        nulls.to_bytes((len(there) + 7) // 8, "little"),
        *(cell for cell in there if cell is not None),
    ])  # fmt: skip


def text_row(cells: Row) -> bytes:
    return b"".join([b"\xfb" if not isinstance(cell, bytes) else lenenc(cell) for cell in cells])


def lenenc(text: bytes) -> bytes:
    size = len(text)
    return (
        bytes((size,)) if size < 251 else b"\xfc" + pack("<H", size) if size < 65536 else b"\xfd" + pack("<I", size)[:3]
    )


@lru_cache(maxsize=500)
def table(columns: tuple[tuple[str, bool], ...], key: tuple[int, ...], layout: str, dates: str) -> Table:
    shapes = tuple(
        ColumnShape(
            f"c{place}\u00e4", shape.kind, shape.meta, not required, shape.unsigned, shape.charset, shape.members
        )
        for place, (spelling, required) in enumerate(columns)
        for shape in [COLUMNS[spelling]]
    )
    shape = TableShape("a", "t", shapes, tuple(shapes[place].name for place in key))
    settings = Settings(invalid_dates=dates)  # type: ignore[arg-type]  # one of its policies
    tables = Tables(ValueSettings("shop", SOURCE, "gone", settings))
    return tables.of_binlog(shape) if layout == "binlog" else tables.of_text(shape)


@st.composite
def mysql_batches(draw: st.DrawFn) -> list[Event]:
    """Changes of one table: rows of all columns, whole or with values missing, some of them damaged."""
    columns = draw(st.lists(st.tuples(st.sampled_from(sorted(COLUMNS)), st.booleans()), min_size=1, max_size=9))
    key = draw(st.lists(st.integers(0, len(columns) - 1), unique=True, max_size=2))
    layout = draw(st.sampled_from(["binlog", "text_row"]))
    shape = table(tuple(columns), tuple(key), layout, draw(st.sampled_from(["null", "epoch", "fail"])))
    some = [binlog_cell(COLUMNS[spelling]) if layout == "binlog" else text_cell() for spelling, _ in columns]
    missing = st.sampled_from([None, UNAVAILABLE] if layout == "binlog" else [None])
    whole, partly = st.tuples(*some), st.tuples(*[cell | missing for cell in some])
    damage = st.none() | st.none() | st.none() | st.tuples(st.integers(0, 60), st.binary(max_size=3))
    write = binlog_row if layout == "binlog" else text_row
    events: list[Event] = []
    for at in range(draw(st.integers(1, 6))):
        op: Op = draw(st.sampled_from(["c", "u", "d", "r", "t"]))
        before = draw(st.none() | whole | partly) if op in {"u", "d"} else None
        after = draw(whole | partly) if op in {"c", "u", "r"} else None
        wires = [None if row is None else write(row) for row in (before, after)]
        where = draw(damage)
        if where is not None:
            place, octets = where
            wires = [None if wire is None else wire[:place] + octets + wire[place + 1 :] for wire in wires]
        moved = op == "u" and before is not None and draw(st.booleans())
        events.append(Change(shape, op, wires[0], wires[1], origin=Spot(), at=at, moved=moved))
    return events
