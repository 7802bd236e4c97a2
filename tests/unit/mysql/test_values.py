"""Cells of every type: whatever the octets, a value or our own error; and values that need no server to be known."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import BadRecord
from tailrace.event import Cell
from tailrace.schema import UNAVAILABLE, Schema
from tailrace_mysql import columntype as kinds
from tailrace_mysql import jsonb, temporal
from tailrace_mysql.charset import charset_of, decoder
from tailrace_mysql.form import Settings, form_of
from tailrace_mysql.jsondiff import patched
from tailrace_mysql.numeric import packed_decimal
from tailrace_mysql.row import BinlogRow, joined
from tailrace_mysql.shape import ColumnShape, TableShape
from tailrace_mysql.table import Tables, ValueSettings
from tailrace_mysql.tablemap import TableMap

COLUMNS = [
    *(ColumnShape("c", kind, unsigned=unsigned) for unsigned in (False, True)
      for kind in (kinds.TINY, kinds.SHORT, kinds.INT24, kinds.LONG, kinds.LONGLONG, kinds.YEAR)),
    ColumnShape("c", kinds.FLOAT, 4), ColumnShape("c", kinds.DOUBLE, 8),
    ColumnShape("c", kinds.NEWDECIMAL, 14 << 8 | 4),
    ColumnShape("c", kinds.BIT, 1), ColumnShape("c", kinds.BIT, 20), ColumnShape("c", kinds.DATE),
    ColumnShape("c", kinds.TIME), ColumnShape("c", kinds.DATETIME), ColumnShape("c", kinds.TIMESTAMP),
    *(ColumnShape("c", kind, digits) for digits in range(7)
      for kind in (kinds.TIME2, kinds.DATETIME2, kinds.TIMESTAMP2)),
    ColumnShape("c", kinds.VARCHAR, 30, charset="latin1"), ColumnShape("c", kinds.STRING, 30, charset="utf8mb4"),
    ColumnShape("c", kinds.BLOB, 2, charset="eucjpms"), ColumnShape("c", kinds.STRING, 4, charset="binary"),
    ColumnShape("c", kinds.VARCHAR_COMPRESSED, 30, charset="utf8mb4"), ColumnShape("c", kinds.BLOB_COMPRESSED, 2),
    ColumnShape("c", kinds.ENUM, 1, members=("a", "b")), ColumnShape("c", kinds.SET, 1, members=("a", "b")),
    ColumnShape("c", kinds.JSON, 4), ColumnShape("c", kinds.GEOMETRY, 4), ColumnShape("c", kinds.VECTOR, 4),
    ColumnShape("c", kinds.GEOMETRY, 4, geometry=kinds.POINT),
    *(ColumnShape("c", kinds.STRING, 16, charset="binary", declared=name) for name in ("uuid", "inet6", "inet4")),
]  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.kind}-{column.meta}-{column.charset}")
@given(cell=st.binary(max_size=40))
def test_any_octets_are_a_value_or_our_own_error(column: ColumnShape, cell: bytes) -> None:
    form = form_of(column, Settings())
    for read in (form.from_binlog, form.from_text):
        try:
            read(cell)
        except BadRecord as error:
            assert "value" in error.message or "bigint" in error.message


@given(st.binary(max_size=200))
def test_any_octets_are_a_document_or_our_own_error(cell: bytes) -> None:
    for kind in (0, 1, 2, 3, 4, 11, 12, 15):
        try:
            text = jsonb.text(bytes((kind,)) + cell)
        except BadRecord:
            continue
        assert isinstance(text, str)


def packed(unscaled: int, precision: int, scale: int) -> bytes:
    """Return a decimal as the server packs it."""
    digits = f"{abs(unscaled):0{precision}d}"
    whole, fraction = digits[: precision - scale], digits[precision - scale :]
    first = len(whole) % 9
    groups = [whole[:first], *(whole[at : at + 9] for at in range(first, len(whole), 9)),
              *(fraction[at : at + 9] for at in range(0, len(fraction), 9))]  # fmt: skip
    octets = b"".join(int(group).to_bytes((len(group) + 1) // 2 if len(group) < 9 else 4) for group in groups if group)
    mask = 0xFF if unscaled < 0 else 0
    flipped = bytes(octet ^ mask for octet in octets)
    return bytes((flipped[0] ^ 0x80,)) + flipped[1:]


@given(st.data())
def test_packed_decimals_are_exact(data: st.DataObject) -> None:
    precision = data.draw(st.integers(1, 65))
    scale = data.draw(st.integers(0, min(precision, 30)))
    unscaled = data.draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    found = packed_decimal(precision, scale)(packed(unscaled, precision, scale))
    assert found == Decimal(f"{unscaled}E-{scale}")


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [("800000", 0), ("800001", 1), ("7fffff", -1), ("b46efb", 838 * 3600 + 3599), ("4b9105", -(838 * 3600 + 3599))],
)
def test_times_are_read_as_a_whole(cell: str, seconds: int) -> None:
    assert temporal.time_binlog(0)(bytes.fromhex(cell)) == seconds * temporal.SECOND


@pytest.mark.parametrize(
    ("collation", "charset"),
    [(8, "latin1"), (33, "utf8mb3"), (45, "utf8mb4"), (255, "utf8mb4"), (63, "binary"), (309, "utf8mb4"), (54, "utf16"),
     (1032, "latin1"), (1216, "utf8mb3"), (2304, "utf8mb4"), (3100, "utf32"), (640, "ucs2"), (5000, ""), (0, "")],
)  # fmt: skip
def test_collations_belong_to_character_sets(collation: int, charset: str) -> None:
    assert charset_of(collation) == charset


def test_a_character_set_that_is_unknown_is_refused() -> None:
    with pytest.raises(BadRecord, match="which is unknown"):
        decoder("klingon")


JSON_TABLE = TableMap("d", "t", (kinds.LONG, kinds.JSON), (0, 4), (False, True), widths=(4, -4))
ONE = (1).to_bytes(4, "little")
ARRAY = b"\x02\x02\x00\x0a\x00\x05\x01\x00\x05\x02\x00"  # [1, 2]


def difference(what: int, path: bytes, value: bytes = b"") -> bytes:
    return bytes((what, len(path))) + path + (bytes((len(value),)) + value if what < 2 else b"")


@pytest.mark.parametrize(
    ("differences", "text"),
    [
        (difference(0, b"$[1]", b"\x04\x01"), "[1, true]"),
        (difference(1, b"$[0]", b"\x0c\x01x"), '["x", 1, 2]'),
        (difference(2, b"$[0]"), "[2]"),
        (difference(2, b"$[0]") + difference(0, b"$[0]", b"\x04\x00"), "[null]"),
        (b"", "[1, 2]"),
    ],
)
def test_differences_are_applied(differences: bytes, text: str) -> None:
    before, after = joined([ONE, ARRAY], JSON_TABLE.widths), joined([ONE, differences], JSON_TABLE.widths)
    cell = BinlogRow("t", JSON_TABLE.widths).cells(patched(before, after, b"\x01", JSON_TABLE))[1]
    assert isinstance(cell, bytes)
    assert jsonb.text(cell) == text


@pytest.mark.parametrize(
    "damaged",
    [difference(2, b"$[5]"), difference(0, b"$.a", b"\x04\x01"), difference(2, b"$"), difference(7, b"$[0]"),
     difference(0, b"[0]", b"\x04\x01"), b"\x00\x09$"],
)  # fmt: skip
def test_differences_that_do_not_fit_are_refused(damaged: bytes) -> None:
    before, after = joined([ONE, ARRAY], JSON_TABLE.widths), joined([ONE, damaged], JSON_TABLE.widths)
    with pytest.raises(ValueError, match=r"JSON difference|cut short"):
        patched(before, after, b"\x01", JSON_TABLE)


@given(st.lists(st.one_of(st.none(), st.just(UNAVAILABLE), st.binary(max_size=9)), max_size=20))
def test_rows_are_put_together_as_they_are_cut(cells: list[Cell]) -> None:
    widths = [-1] * len(cells)
    assert BinlogRow("t", widths).cells(joined(cells, widths)) == cells


@pytest.mark.parametrize(
    ("column", "default"),
    [
        (ColumnShape("c", kinds.LONG, default="7"), 7),
        (ColumnShape("c", kinds.BIT, 10, default="b'101'"), b"\x05\x00"),
        (ColumnShape("c", kinds.STRING, 4, charset="binary", default="0x6162"), b"ab\0\0"),
        (ColumnShape("c", kinds.DATETIME2, 6, default="CURRENT_TIMESTAMP(6)"), 0),
        (ColumnShape("c", kinds.TIMESTAMP2, 0, default="CURRENT_TIMESTAMP"), "1970-01-01T00:00:00Z"),
        (ColumnShape("c", kinds.NEWDECIMAL, 10 << 8 | 2, default="1.20"), Decimal("1.20")),
        (ColumnShape("c", kinds.VARCHAR, 40, charset="latin1", default="é"), "é"),
    ],
    ids=lambda value: value.default if isinstance(value, ColumnShape) else "",
)
def test_defaults_are_in_the_schema(column: ColumnShape, default: object) -> None:
    settings = ValueSettings("shop", Schema("struct"), "?", Settings())
    table = Tables(settings).of_binlog(TableShape("d", "t", (column,)))
    assert table.columns[0].schema.default == default
    assert Tables(settings).of_text(TableShape("d", "t", (column,))).columns[0].schema == table.columns[0].schema


def test_values_without_a_form_are_named_in_a_header() -> None:
    from tailrace.codec.avro_envelope import AvroForm
    from tailrace.codec.header import DEFAULTED_COLUMNS, SPECIAL_COLUMNS
    from tailrace.codec.row import RowWriter

    shape = TableShape("d", "t", (ColumnShape("a", kinds.DATE), ColumnShape("b", kinds.DATE, nullable=False)))
    table = Tables(ValueSettings("shop", Schema("struct"), "?", Settings())).of_binlog(shape)
    writer = RowWriter(table, AvroForm())
    assert writer.cells([b"\0\0\0", b"\0\0\0"]) == [b"\x00", b"\x00"]  # null, and day 0
    assert writer.marks.names(SPECIAL_COLUMNS) == ["a", "b"]
    assert writer.marks.names(DEFAULTED_COLUMNS) == ["b"]
