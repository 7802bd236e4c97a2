"""Every type on both servers: the binlog gives the value that a result set gives, and the one that was put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from databases.mysql.capture import changes_since, end_of_binlog, text_rows
from servers.mysql import MysqlDatabase
from tailrace.errors import BadRecord
from tailrace.event import Table
from tailrace.schema import Schema, Value
from tailrace_mysql.form import Settings
from tailrace_mysql.shape import TableShape, shape_of
from tailrace_mysql.table import Tables, ValueSettings

pytestmark = pytest.mark.mysql

D = Decimal
SECOND = 1_000_000
HOUR = 3600 * SECOND
BOTH = ("mysql", "mariadb")


@dataclass(frozen=True, slots=True)
class Case:
    """`values` are SQL literals and what they have to become."""

    type: str
    values: Sequence[tuple[str, Value]]
    flavours: Sequence[str] = BOTH
    declared: str = ""


def tables(**settings: Any) -> Tables:
    return Tables(ValueSettings("shop", Schema("struct"), "__unavailable", Settings(**settings)))


NUMBERS = [
    Case("tinyint", [("-128", -128), ("127", 127)]),
    Case("tinyint(1)", [("1", 1), ("-5", -5)]),
    Case("tinyint unsigned", [("0", 0), ("255", 255)]),
    Case("smallint", [("-32768", -32768), ("32767", 32767)]),
    Case("smallint unsigned", [("65535", 65535)]),
    Case("mediumint", [("-8388608", -8388608), ("8388607", 8388607)]),
    Case("mediumint unsigned zerofill", [("16777215", 16777215), ("7", 7)]),
    Case("int", [("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)]),
    Case("int(10) unsigned zerofill", [("4294967295", 2**32 - 1), ("5", 5)]),
    Case("bigint", [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)]),
    Case("bigint unsigned", [("0", 0), ("9223372036854775807", 2**63 - 1)]),
    Case("float", [("0.1", 0.10000000149011612), ("16777217", 16777216.0), ("-3.402823466e38", -3.4028234663852886e38),
                   ("1.175494351e-38", 1.1754943508222875e-38), ("3.14159274", 3.1415927410125732)]),
    Case("float", [("'-0'", -0.0)], ("mysql",)),  # MariaDB drops the sign
    Case("double", [("'-0'", -0.0)], ("mysql",)),
    Case("float(10,3)", [("1234.5678", 1234.5679931640625)]),
    Case("double", [("0.1", 0.1), ("1.7976931348623157e308", 1.7976931348623157e308), ("2.2250738585072014e-308",
                   2.2250738585072014e-308), ("1e15", 1e15),
                   ("123456789.12345678", 123456789.12345678)]),
    Case("double(12,3)", [("123456.7891", 123456.789)]),
    Case("decimal(65,30)", [("99999999999999999999999999999999999.999999999999999999999999999999",
                             D("99999999999999999999999999999999999.999999999999999999999999999999")),
                            ("-0.000000000000000000000000000001", D("-0.000000000000000000000000000001")),
                            ("0", D("0E-30"))]),
    Case("decimal(5,0)", [("-99999", D(-99999)), ("12", D(12))]),
    Case("decimal(5,5)", [("0.12345", D("0.12345")), ("-0.5", D("-0.50000"))]),
    Case("decimal(14,4) unsigned", [("1234567890.1234", D("1234567890.1234"))]),
    Case("decimal(10,2) zerofill", [("5.5", D("5.50"))]),
    Case("bit(1)", [("b'1'", True), ("b'0'", False)]),
    Case("bit(10)", [("b'1100000001'", b"\x01\x03"), ("b'0'", b"\x00\x00")]),
    Case("bit(64)", [("x'ff00000000000001'", b"\x01\x00\x00\x00\x00\x00\x00\xff")]),
    Case("year", [("1901", 1901), ("2155", 2155), ("'0'", 2000), ("'0000'", 0)]),
    Case("boolean", [("true", 1), ("false", 0)]),
]  # fmt: skip

TIMES = [
    Case("date", [("'1000-01-01'", -354285), ("'9999-12-31'", 2932896), ("'2024-02-29'", 19782), ("'1970-01-01'", 0)]),
    Case("time", [("'-838:59:59'", -(838 * HOUR + 3599 * SECOND)), ("'838:59:59'", 838 * HOUR + 3599 * SECOND),
                  ("'00:00:00'", 0)]),
    Case("time(3)", [("'-00:00:00.001'", -1000), ("'-12:34:56.789'", -45296789000), ("'12:00:00.5'", 43200500000)]),
    Case("time(6)", [("'-838:59:58.999999'", -(838 * HOUR + 3598 * SECOND + 999999)),
                  ("'-00:00:01.000001'", -1000001)]),
    Case("datetime", [("'1000-01-01 00:00:00'", -30610224000000), ("'9999-12-31 23:59:59'", 253402300799000)]),
    Case("datetime(2)", [("'2024-06-30 10:00:00.25'", 1719741600250)]),
    Case("datetime(3)", [("'2024-06-30 10:00:00.123'", 1719741600123)]),
    Case("datetime(6)", [("'2024-06-30 10:00:00.000001'", 1719741600000001), ("'1000-01-01 00:00:00.9'",
                         -30610223999100000)]),
    Case("timestamp", [("'2024-06-30 10:00:00'", "2024-06-30T10:00:00Z"), ("'1970-01-01 00:00:01'",
                       "1970-01-01T00:00:01Z"), ("'2038-01-19 03:14:07'", "2038-01-19T03:14:07Z")]),
    Case("timestamp(2)", [("'2024-06-30 10:00:00.10'", "2024-06-30T10:00:00.10Z")]),
    Case("timestamp(6)", [("'2024-06-30 10:00:00.000100'", "2024-06-30T10:00:00.000100Z")]),
]  # fmt: skip

GAPS = [
    Case("date", [("'0000-00-00'", None), ("'2024-00-10'", None), ("'2024-02-31'", None), ("'2023-02-29'", None)]),
    Case("datetime(3)", [("'0000-00-00 00:00:00'", None), ("'2024-01-00 01:02:03'", None)]),
    Case("datetime(6)", [("'0000-00-00 00:00:00'", None)]),
    Case("timestamp", [("'0000-00-00 00:00:00'", None)]),
    Case("timestamp(6)", [("'0000-00-00 00:00:00'", None)]),
]

POINT_OCTETS = bytes.fromhex("0101000000000000000000f03f000000000000f0bf")
TEXTS = [
    Case("char(5)", [("'ab  '", "ab"), ("''", ""), ("'žluť'", "žluť")]),
    Case("char(255)", [("repeat('ž', 255)", "ž" * 255)]),
    Case("varchar(300)", [("'ab  '", "ab  "), ("repeat('x', 300)", "x" * 300), ("'😀'", "😀")]),
    Case("varchar(20) character set latin1", [("'é€'", "é€"), ("_latin1 x'818d8f909d'", "\x81\x8d\x8f\x90\x9d")]),
    Case("char(20) character set utf16", [("'aé😀'", "aé😀")]),
    Case("varchar(20) character set utf16le", [("'aé😀'", "aé😀")]),
    Case("varchar(20) character set utf32", [("'aé😀'", "aé😀")]),
    Case("varchar(20) character set ucs2", [("'aé'", "aé")]),
    Case("varchar(20) character set sjis", [("'日本ｱ'", "日本ｱ")]),
    Case("varchar(20) character set ujis", [("'日本ｱ'", "日本ｱ")]),
    Case("varchar(20) character set cp932", [("'①日本'", "①日本")]),
    Case("varchar(20) character set eucjpms", [("'①\uff5e日本ｱ'", "①\uff5e日本ｱ")]),
    Case("varchar(20) character set big5", [("'碁漢'", "碁漢")]),
    Case("varchar(20) character set gbk", [("'漢字'", "漢字")]),
    Case("varchar(20) character set gb18030", [("'漢字😀'", "漢字😀")], ("mysql",)),
    Case("varchar(20) character set euckr", [("'한국갂'", "한국갂")]),
    Case("varchar(20) character set tis620", [("'ไทย'", "ไทย")]),
    Case("varchar(20) character set koi8r", [("'мир'", "мир")]),
    Case("varchar(20) character set cp1251", [("'мир'", "мир")]),
    Case("varchar(20) character set cp866", [("'мир'", "мир")]),
    Case("varchar(20) character set greek", [("'ελ'", "ελ")]),
    Case("varchar(20) character set hebrew", [("'שלום'", "שלום")]),
    Case("varchar(20) character set armscii8", [("'Ալ'", "Ալ")]),
    Case("varchar(20) character set geostd8", [("'აბ'", "აბ")]),
    Case("varchar(20) character set keybcs2", [("'čž'", "čž")]),
    Case("varchar(20) character set dec8", [("'éÿ'", "éÿ")]),
    Case("varchar(20) character set swe7", [("'åäö'", "åäö")]),
    Case("varchar(20) character set hp8", [("'éà'", "éà")]),
    Case("varchar(20) character set macroman", [("'é∞'", "é∞")]),
    Case("tinytext", [("'x'", "x")]),
    Case("text character set cp1250", [("'žluť'", "žluť")]),
    Case("mediumtext", [("repeat('é', 70000)", "é" * 70000)]),
    Case("longtext", [("'x'", "x")]),
    Case("binary(4)", [("x'0100'", b"\x01\0\0\0"), ("x'00000000'", b"\0\0\0\0"), ("'a  '", b"a  \0")]),
    Case("varbinary(300)", [("x'ff00'", b"\xff\0"), ("''", b"")]),
    Case("tinyblob", [("x'00ff'", b"\0\xff")]),
    Case("blob", [("x'00ff'", b"\0\xff")]),
    Case("longblob", [("repeat(x'ff', 70000)", b"\xff" * 70000)]),
    Case("enum('a','b,c','é')", [("'a'", "a"), ("'é'", "é"), ("2", "b,c")]),
    Case("enum('ж','ю') character set cp1251", [("'ю'", "ю")]),
    Case("set('a','b','é')", [("'a,é'", "a,é"), ("''", ""), ("'b'", "b")]),
    Case("set('1','2','3','4','5','6','7','8','9')", [("'9,1'", "1,9")]),
    Case("geometry", [("ST_GeomFromText('LINESTRING(0 0, 1 1)')", {"wkb": bytes.fromhex(
        "01020000000200000000000000000000000000000000000000000000000000f03f000000000000f03f"), "srid": None}),
        ("ST_GeomFromText('POINT(1 -1)', 4326)", {"wkb": POINT_OCTETS, "srid": 4326})], ("mariadb",)),
    Case("point", [("ST_GeomFromText('POINT(1 -1)')", {"x": 1.0, "y": -1.0, "wkb": POINT_OCTETS, "srid": None})]),
    Case("vector(3)", [("string_to_vector('[1,-0.5,0.1]')", [1.0, -0.5, 0.10000000149011612])], ("mysql",)),
    Case("uuid", [("'123e4567-e89b-12d3-a456-426655440000'", "123e4567-e89b-12d3-a456-426655440000"),
                  ("'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"),
                  ("'ffffffff-ffff-ffff-ffff-ffffffffffff'", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
                  ("'017f22e2-79b0-7cc3-98c4-dc0c0c07398f'", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"),
                  ("'123e4567-e89b-12d3-0456-426655440000'", "123e4567-e89b-12d3-0456-426655440000"),
                  ("'6ccd780c-baba-1026-9564-5b8c656024db'", "6ccd780c-baba-1026-9564-5b8c656024db")],
         ("mariadb",), "uuid"),
    Case("inet6", [("'2001:db8::ff00:42:8329'", "2001:db8::ff00:42:8329"), ("'::'", "::"),
                   ("'::ffff:192.0.2.128'", "::ffff:192.0.2.128"), ("'::192.0.2.128'", "::192.0.2.128"),
                   ("'1::'", "1::"), ("'1:0:0:2::3'", "1:0:0:2::3"), ("'1:0:2:3:4:5:6:7'", "1::2:3:4:5:6:7"),
                   ("'::1'", "::1"), ("'::1:2'", "::0.1.0.2")], ("mariadb",), "inet6"),
    Case("inet4", [("'192.0.2.0'", "192.0.2.0"), ("'0.0.0.0'", "0.0.0.0")], ("mariadb",), "inet4"),
    Case("varchar(1000) compressed", [("repeat('é', 500)", "é" * 500), ("'x'", "x"), ("''", "")], ("mariadb",)),
    Case("longblob compressed", [("repeat(x'ff', 70000)", b"\xff" * 70000), ("x'00'", b"\0")], ("mariadb",)),
]  # fmt: skip


GROUPS = {"numbers": NUMBERS, "times": TIMES, "gaps": GAPS, "texts": TEXTS}

Values = list[Value]


def shape_with(shape: TableShape, cases: Sequence[Case]) -> TableShape:
    """Return the shape with what only the declarations tell."""
    columns = (shape.columns[0], *(replace(c, declared=case.declared or c.declared)
                                   for c, case in zip(shape.columns[1:], cases, strict=True)))  # fmt: skip
    return replace(shape, columns=columns)


def both(database: MysqlDatabase, cases: Sequence[Case], made: Tables) -> tuple[list[Values], list[Values]]:
    """Return what the binlog and a result set have of each case's values; a case is a column, a value a row of it."""
    columns = ", ".join(f"c{number} {case.type} NULL" for number, case in enumerate(cases))
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, {columns})")
    place = end_of_binlog(database.server)
    rows = max(len(case.values) for case in cases)
    inserts = [f"INSERT INTO t VALUES ({', '.join(['NULL', *(_literal(case, at) for case in cases)])})"
               for at in range(rows)]  # fmt: skip
    database.execute("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'", *inserts)
    found = changes_since(database.server, place)
    shape = shape_with(shape_of(found[0].map), cases)
    streamed = [row(made.of_binlog(shape), change.images[1]) for change in found]
    statement = f"SELECT {', '.join(made.selected(shape))} FROM t ORDER BY id"
    read = [row(made.of_text(shape), wire) for wire in text_rows(database, statement)]
    return _by_column(streamed, cases), _by_column(read, cases)


def _literal(case: Case, at: int) -> str:
    return case.values[at][0] if at < len(case.values) else "NULL"


def _by_column(rows: Sequence[Values], cases: Sequence[Case]) -> list[Values]:
    for number, case in enumerate(cases, 1):
        assert all(row[number] is None for row in rows[len(case.values) :])
    return [[row[number] for row in rows[: len(case.values)]] for number, case in enumerate(cases, 1)]


def row(table: Table, wire: bytes | None) -> Values:
    assert wire is not None
    cells = table.format.cells(wire)
    return [c.decode(cell) if isinstance(cell, bytes) else None
            for c, cell in zip(table.columns, cells, strict=True)]  # fmt: skip


def shown(cases: Sequence[Case], values: Sequence[Values]) -> dict[str, list[str]]:
    """Return values so that 0.0 and -0.0, 1 and True, a decimal and an integer differ."""
    return {f"{number} {case.type}": list(map(repr, column))
            for number, (case, column) in enumerate(zip(cases, values, strict=True))}  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_both_paths_give_the_value(binlog_database: MysqlDatabase, group: str) -> None:
    cases = [case for case in GROUPS[group] if binlog_database.flavour in case.flavours]
    streamed, read = both(binlog_database, cases, tables())
    assert shown(cases, streamed) == shown(cases, [[value for _, value in case.values] for case in cases])
    assert shown(cases, read) == shown(cases, streamed)


def test_unsigned_numbers_beyond_a_long_are_exact_or_refused(binlog_database: MysqlDatabase) -> None:
    cases = [Case("bigint unsigned", [(str(2**63), D(2**63)), (str(2**64 - 1), D(2**64 - 1))])]
    streamed, read = both(binlog_database, cases, tables(bigint_unsigned="precise"))
    assert streamed == read == [[D(2**63), D(2**64 - 1)]]
    binlog_database.execute("DROP TABLE t")
    with pytest.raises(BadRecord, match="set bigint_unsigned to precise"):
        both(binlog_database, cases, tables())


def test_dates_that_no_calendar_has_can_be_the_epoch_or_refused(binlog_database: MysqlDatabase) -> None:
    streamed, read = both(binlog_database, GAPS, tables(invalid_dates="epoch"))
    epochs = {0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"}
    assert all(value in epochs for column in streamed for value in column)
    assert read == streamed
    binlog_database.execute("DROP TABLE t")
    with pytest.raises(BadRecord, match="no calendar has"):
        both(binlog_database, GAPS, tables(invalid_dates="fail"))
