"""Cells in their usual shapes are converted by the core itself; tests/properties/test_core_rows.py says how."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from struct import pack
from typing import NoReturn

import pytest

from tailrace.codec import compiled
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry_store import BundledRegistry
from tailrace.event import Change, Event, Layout
from tailrace.schema import UNAVAILABLE
from tailrace.source import SourceConfig
from unit.core.binary_cells import numeric
from unit.core.rows import WIRES, Spot, copy_line, table, tuple_data

USUAL = {
    "bool": [b"t", b"f"],
    "int2": [b"0", b"-32768", b"32767"],
    "int4": [b"7", b"-2147483648", b"2147483647"],
    "int8": [b"0", b"-999999999999999999", b"999999999999999999"],
    "float4": [b"0", b"-0", b"3.25", b"1e-30"],
    "float8": [b"0.1", b"-1.7976931348623157e+308", b"5e-324"],
    "bytea": [b"\\x", b"\\x00ff"],
    "text": [b"", b"text", "größer als \U0001f600".encode()],
    "json": [b'{"a": 1}'],
    "uuid": [b"b68a35a7-17ad-35b3-af2a-ae46edb4545a"],
    "numeric": [b"0", b"1.10", b"-123456789012345678901234567890.5", b"9" * 300],
    "numeric(12,2)": [b"0.00", b"-1234567890.12", b"5"],
    "date": [b"1970-01-01", b"2024-02-29", b"0001-01-01", b"9999-12-31"],
    "time": [b"00:00:00", b"23:59:59.999999"],
    "time(3)": [b"12:30:00.5"],
    "timestamp": [b"2024-02-29 12:30:00", b"1969-12-31 23:59:59.999999"],
    "timestamp(0)": [b"1969-12-31 23:59:59"],
    "timestamptz": [b"2024-02-29 12:30:00+00", b"2024-02-29 12:30:00.120001+00"],
    "timestamptz(3)": [b"2024-02-29 12:30:00.12+00"],
}
USUAL_BINARY = {
    "bool": [b"\0", b"\1"],
    "int2": [pack(">h", -32768)],
    "int4": [pack(">i", 2**31 - 1)],
    "int8": [pack(">q", -(2**63))],
    "oid": [pack(">I", 2**32 - 1)],
    "float4": [pack(">f", 0.1)],
    "float8": [pack(">d", -5e-324)],
    "bytea": [b"", b"\0\xff"],
    "text": [b"", "größer als \U0001f600".encode()],
    "jsonb": [b'\1{"a": 1}'],
    "uuid": [bytes(range(16))],
    "numeric": [numeric(text) for text in ("0", "0.00", "-1234567890.0001", "0.00000001", "9" * 290)],
    "numeric(12,2)": [numeric("-9999999999.99"), numeric("5.00")],
    "date": [pack(">i", 0), pack(">i", -700_000)],
    "time": [pack(">q", 86_400 * 10**6)],
    "time(3)": [pack(">q", 1000)],
    "timestamp": [pack(">q", -1)],
    "timestamp(0)": [pack(">q", -1_000_000)],
    "timestamptz": [pack(">q", 10**15 + 1)],
    "timestamptz(3)": [pack(">q", -(10**15) - 1000)],
}


def noting(asked: list[object], write: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return `write`, noting what it is asked to write."""

    def noted(value: object) -> bytes:
        asked.append(value)
        return write(value)

    return noted


def encoder_with_core(folder: Path) -> ChangeEncoder:
    config = SourceConfig(type="postgres")
    return ChangeEncoder(BundledRegistry(folder), config, clock=lambda: 10**18, partitions=lambda _: 1)


def left_over(event: object) -> NoReturn:
    raise AssertionError(f"left to Python: {event}")


@pytest.mark.parametrize(
    ("layout", "spelling", "cell"),
    [
        (layout, spelling, cell)
        for layout in WIRES
        for spelling, given in (USUAL_BINARY if layout.startswith("binary_") else USUAL).items()
        for cell in given
    ],
)
def test_a_usual_cell_is_not_left_to_python(
    layout: Layout, spelling: str, cell: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = table(((spelling, True), (spelling, False)), (0,), layout)
    row = WIRES[layout]([cell, cell])
    events: list[Event] = [Change(shape, "r", None, row, origin=Spot(), at=1)]
    asked: list[object] = []
    monkeypatch.setattr(compiled, "_refusing", partial(noting, asked))
    encoder = encoder_with_core(tmp_path)
    first = list(encoder.encode(events))  # a table that is new is done in Python
    monkeypatch.setattr(encoder, "_records", left_over)
    again = list(encoder.encode(events))
    assert [(one.key, one.value) for one in again] == [(one.key, one.value) for one in first]
    assert cell not in asked


def test_rows_before_and_after_and_values_not_sent_are_not_left_to_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = table((("int4", True), ("text", False), ("text", True)), (0,), "tuple")
    whole, keyed = tuple_data([b"1", b"a", b"b"]), tuple_data([b"1", None, None])
    events: list[Event] = [
        Change(shape, "c", None, whole, origin=Spot(), at=1),
        Change(shape, "u", whole, tuple_data([b"1", UNAVAILABLE, b"c"]), origin=Spot(), at=2),
        Change(shape, "u", None, tuple_data([b"1", b"x", UNAVAILABLE]), origin=Spot(), at=3),
        Change(shape, "d", keyed, None, origin=Spot(), at=4),
        Change(shape, "c", None, tuple_data([b"2", None, b""]), origin=Spot(), at=5),
    ]
    encoder = encoder_with_core(tmp_path)
    encoder.encode(events[:1])
    monkeypatch.setattr(encoder, "_records", left_over)
    records = list(encoder.encode(events))
    assert len(records) == len(events) + 1
    assert records[2].headers == [("__tailrace.unavailable", b'["c2_"]')]
    assert [record.value is None for record in records] == [False, False, False, False, True, False]


def test_escapes_in_the_row_before_and_in_the_row_after_do_not_mix(tmp_path: Path) -> None:
    shape = table((("int4", True), ("text", True), ("text", True)), (0,), "copy")
    before, after = copy_line([b"1", b"a\tb" * 200, b"c\\d"]), copy_line([b"1", b"\n" * 900, b"e\vf"])
    events: list[Event] = [Change(shape, "u", before, after, origin=Spot(), at=1)]
    encoder = encoder_with_core(tmp_path)
    by_twin, by_core = list(encoder.encode(events)), list(encoder.encode(events))
    assert by_core[0].value == by_twin[0].value


def test_columns_in_disguise_are_not_left_to_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (("int8", True), ("text", False), ("uuid", True), ("bytea", True), ("text", True), ("text", False))
    treated = ("", "mask", "mask", "exclude", "truncate", "truncate")
    shape = table(columns, (0,), "tuple", treated)
    secrets = [b"hidden", b"no uuid", b"no bytea"]
    row = tuple_data([b"7", *secrets, "größer".encode(), "\U0001f600\U0001f600".encode()])
    events: list[Event] = [
        Change(shape, "c", None, row, origin=Spot(), at=1),
        Change(shape, "u", row, tuple_data([b"7", UNAVAILABLE, b"x", UNAVAILABLE, b"ab", None]), origin=Spot(), at=2),
    ]
    asked: list[object] = []
    monkeypatch.setattr(compiled, "_refusing", partial(noting, asked))
    encoder = encoder_with_core(tmp_path)
    first = list(encoder.encode(events))
    asked.clear()
    monkeypatch.setattr(encoder, "_records", left_over)
    again = list(encoder.encode(events))
    assert [(one.key, one.value, one.headers) for one in again] == [(one.key, one.value, one.headers) for one in first]
    assert not [asking for asking in asked if isinstance(asking, bytes)]
    value = again[0].value or b""
    assert b"*****" in value
    assert "grö".encode() in value
    assert not [secret for secret in [*secrets, "größ".encode()] if secret in value]
