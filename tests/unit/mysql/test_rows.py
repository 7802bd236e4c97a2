from __future__ import annotations

import struct
import zlib

import pytest

from tailrace.errors import BadRecord
from tailrace.schema import UNAVAILABLE
from tailrace_mysql import columntype as kinds
from tailrace_mysql.event import Rows, decode
from tailrace_mysql.row import BinlogRow, TextRow
from tailrace_mysql.shape import ColumnShape, TableShape, shape_of
from tailrace_mysql.tablemap import TableMap
from unit.mysql.binlog import event, names, rows_body, table_body

# items (id int unsigned not null primary key, name varchar(300 octets), price decimal(5,2))
TYPES = bytes((kinds.LONG, kinds.VARCHAR, kinds.NEWDECIMAL))
METAS = struct.pack("<H", 300) + b"\x05\x02"
BODY = table_body(TYPES, METAS, b"\x06", (1, b"\x80"), (3, b"\x2d"), names("id", "name", "price"), (8, b"\0"))
ITEMS = TableMap.parse(BODY, mariadb=False)
ONE = struct.pack("<IH", 1, 3) + b"abc" + b"\x80\x01\x32"
TWO = struct.pack("<I", 2)


def rows(kind: int, body: bytes) -> Rows:
    found = decode(event(kind, body))
    assert isinstance(found, Rows)
    return found


def test_a_table_map_tells_the_shape() -> None:
    shape = shape_of(ITEMS)
    assert (shape.id, shape.key) == ("shop.items", ("id",))
    told = [(c.name, c.nullable, c.unsigned, c.charset, c.width) for c in shape.columns]
    assert told == [("id", False, True, "", 4), ("name", True, False, "utf8mb4", -2), ("price", True, False, "", 3)]


def test_rows_are_cut_apart() -> None:
    found = rows(30, rows_body(3, b"\x00" + ONE + b"\x06" + TWO, present=b"\x07"))
    assert (found.op, found.end_of_statement, found.count(ITEMS)) == ("c", True, 2)
    assert found.images(ITEMS) == [(None, b"\x07\x00" + ONE), (None, b"\x07\x06" + TWO)]
    cells = [BinlogRow("shop.items", ITEMS.widths).cells(after or b"") for _, after in found.images(ITEMS)]
    assert cells == [[TWO[:0] + struct.pack("<I", 1), b"abc", b"\x80\x01\x32"], [TWO, None, None]]


def test_updates_have_two_images_of_their_own_columns() -> None:
    # A minimal image: the key before, the changed column after.
    found = rows(31, rows_body(3, b"\x00" + TWO + b"\x00" + b"\x01\x00x", present=b"\x01", after=b"\x02"))
    ((before, after),) = found.images(ITEMS)
    cut = BinlogRow("shop.items", ITEMS.widths)
    assert cut.cells(before or b"") == [TWO, UNAVAILABLE, UNAVAILABLE]
    assert cut.cells(after or b"") == [UNAVAILABLE, b"x", UNAVAILABLE]
    assert found.count(ITEMS) == 1


def test_bits_behind_the_last_column_mean_nothing() -> None:
    found = rows(32, rows_body(3, b"\xfe" + TWO, present=b"\xff"))
    ((before, after),) = found.images(ITEMS)
    assert after is None
    assert BinlogRow("shop.items", ITEMS.widths).cells(before or b"") == [TWO, None, None]


def test_mariadb_deflates_rows() -> None:
    images = b"\x00" + ONE + b"\x06" + TWO
    deflated = b"\x81" + bytes((len(images),)) + zlib.compress(images)
    found = rows(166, rows_body(3, deflated, present=b"\x07", v2=False))
    assert found.images(ITEMS) == rows(23, rows_body(3, images, present=b"\x07", v2=False)).images(ITEMS)


@pytest.mark.parametrize("cut", range(1, len(ONE)))
def test_a_row_that_is_cut_short_is_refused(cut: int) -> None:
    found = rows(30, rows_body(3, (b"\x00" + ONE)[:cut], present=b"\x07"))
    with pytest.raises(ValueError, match="cut short"):
        found.images(ITEMS)
    with pytest.raises(ValueError, match="cut short"):
        found.count(ITEMS)
    with pytest.raises(BadRecord, match=r"row of shop\.items"):
        BinlogRow("shop.items", ITEMS.widths).cells(b"\x07" + (b"\x00" + ONE)[:cut])


def test_rows_of_another_width_are_refused() -> None:
    found = rows(30, rows_body(2, b"\x00" + TWO, present=b"\x01"))
    with pytest.raises(ValueError, match=r"rows of 2 columns, but shop\.items has 3"):
        found.images(ITEMS)


def test_rows_of_text_are_cut() -> None:
    wire = b"\x011" + b"\xfb" + b"\xfc\x2c\x01" + b"x" * 300
    assert TextRow("shop.items", 3).cells(wire) == [b"1", None, b"x" * 300]
    for damaged in (wire[:-1], wire + b"\x00", wire[:2]):
        with pytest.raises(BadRecord, match=r"row of shop\.items"):
            TextRow("shop.items", 3).cells(damaged)


@pytest.mark.parametrize(
    ("precision", "scale", "octets"), [(1, 0, 1), (9, 0, 4), (10, 0, 5), (65, 30, 30), (14, 4, 7), (5, 5, 3)]
)
def test_decimals_are_as_wide_as_their_digits(precision: int, scale: int, octets: int) -> None:
    assert kinds.width(kinds.NEWDECIMAL, precision << 8 | scale) == octets


def test_long_char_columns_hide_their_size() -> None:
    assert kinds.real(kinds.STRING, bytes((0xFE ^ 0x30, 0xFC))) == (kinds.STRING, 0x3FC)
    assert kinds.real(kinds.STRING, bytes((kinds.ENUM, 2))) == (kinds.ENUM, 2)
    assert kinds.real(kinds.BIT, b"\x02\x01") == (kinds.BIT, 10)


def test_an_unknown_column_type_is_refused() -> None:
    with pytest.raises(ValueError, match="column type 243 is unknown"):
        TableMap.parse(table_body(b"\xf3", b"", b"\x00"), mariadb=False)


def test_a_map_without_names_needs_the_shape_from_elsewhere() -> None:
    bare = TableMap.parse(table_body(TYPES, METAS, b"\x06"), mariadb=True)
    with pytest.raises(ValueError, match="has no names of columns"):
        shape_of(bare)
    assert shape_of(bare, shape_of(ITEMS)) == shape_of(ITEMS)


def test_a_compressed_column_fits_its_declaration() -> None:
    compressed = TableMap.parse(
        table_body(bytes((kinds.VARCHAR_COMPRESSED,)), b"\x79\x00", b"\x01", (3, b"\x2d"), names("v")), mariadb=True
    )
    declared = ColumnShape("v", kinds.VARCHAR, 120, charset="utf8mb4", declared="varchar(30)", default="x")
    (column,) = shape_of(compressed, TableShape("shop", "items", (declared,))).columns
    assert (column.kind, column.meta, column.default, column.declared) == (
        kinds.VARCHAR_COMPRESSED, 121, "x", "varchar(30)"
    )  # fmt: skip
    bare = TableMap.parse(table_body(bytes((kinds.VARCHAR_COMPRESSED,)), b"\x79\x00", b"\x01"), mariadb=True)
    assert shape_of(bare, TableShape("shop", "items", (declared,))).columns == (column,)


def test_a_declaration_that_does_not_fit_tells_nothing() -> None:
    declared = ColumnShape("id", kinds.LONGLONG, nullable=False, unsigned=True, default="5")
    assert shape_of(ITEMS, TableShape("shop", "items", (declared,))) == shape_of(ITEMS)
