from __future__ import annotations

import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import Fatal
from tailrace_mysql import event as events
from tailrace_mysql.event import decode
from tailrace_mysql.fragment import Assembly
from tailrace_mysql.header import MalformedEvent, UnsupportedEvent
from unit.mysql.binlog import event, rows_body

UUID_OCTETS = bytes(range(16))
UUID_TEXT = "00010203-0405-0607-0809-0a0b0c0d0e0f"


def test_a_rotation_names_the_next_file() -> None:
    found = decode(event(4, struct.pack("<Q", 4) + b"binlog.000002", flags=0x20))
    assert isinstance(found, events.Rotate)
    assert (found.file, found.position, found.header.artificial) == ("binlog.000002", 4, True)


@pytest.mark.parametrize(("version", "mariadb"), [(b"9.7.4", False), (b"10.11.18-MariaDB-log", True)])
def test_a_format_description_tells_the_server(version: bytes, mariadb: bool) -> None:
    sizes = bytearray(42)
    sizes[18], sizes[22], sizes[23], sizes[24], sizes[29], sizes[30], sizes[31], sizes[38] = 8, 8, 8, 8, 10, 10, 10, 10
    body = struct.pack("<H50sIB", 4, version, 5, 19) + bytes(sizes) + b"\x01"
    found = decode(event(15, body))
    assert isinstance(found, events.FormatDescription)
    assert (found.server_version, found.created, found.checksum, found.mariadb) == (version.decode(), 5, True, mariadb)


def test_a_format_of_other_sizes_is_refused() -> None:
    sizes = bytearray(42)
    sizes[18] = 6
    with pytest.raises(MalformedEvent, match="events of type 19 has 6 octets instead of 8"):
        decode(event(15, struct.pack("<H50sIB", 4, b"5.1.3", 5, 19) + bytes(sizes) + b"\x01"))


@pytest.mark.parametrize(
    ("flags_and_time", "committed", "original"),
    [
        (struct.pack("<Q", 111)[:7], 111, 111),
        (struct.pack("<Q", 111 | 1 << 55)[:7] + struct.pack("<Q", 99)[:7], 111, 99),
    ],
)
def test_gtids_have_times(flags_and_time: bytes, committed: int, original: int) -> None:
    body = b"\x00" + UUID_OCTETS + struct.pack("<qBqq", 5, 2, 8, 9) + flags_and_time + b"\xfc\x00\x02" + bytes(4)
    found = decode(event(33, body))
    assert isinstance(found, events.Gtid)
    assert str(found) == f"{UUID_TEXT}:5"
    assert (found.committed, found.originally_committed, found.length) == (committed, original, 512)


def test_anonymous_transactions_have_no_gtid() -> None:
    found = decode(event(34, b"\x00" + bytes(16) + struct.pack("<qBqq", 0, 2, 8, 9)))
    assert isinstance(found, events.Gtid)
    assert found.anonymous
    assert not str(found)


def varlen(number: int) -> bytes:
    octets = max(1, -(-number.bit_length() // 7))
    if octets > 8:
        return b"\xff" + number.to_bytes(8, "little")
    return (number << octets | (1 << octets - 1) - 1).to_bytes(octets, "little")


def tagged(fields: bytes) -> bytes:
    rest = varlen(0) + fields
    size = 1 + len(rest) + len(varlen(len(rest) + 3))
    return varlen(1) + varlen(size) + rest


def test_gtids_have_tags() -> None:
    uuid = b"".join(map(varlen, UUID_OCTETS))
    fields = b"".join((
        varlen(0) + varlen(1), varlen(1) + uuid, varlen(2) + varlen(70 << 1), varlen(3) + varlen(3) + b"tag",
        varlen(4) + varlen(1), varlen(5) + varlen(4), varlen(6) + varlen(1_700_000_000_000_000),
        varlen(8) + varlen(1 << 60),
        varlen(9) + varlen(90704),
    ))  # fmt: skip
    found = decode(event(42, tagged(fields)))
    assert isinstance(found, events.Gtid)
    assert str(found) == f"{UUID_TEXT}:tag:70"
    assert (found.committed, found.originally_committed, found.length) == (1_700_000_000_000_000,) * 2 + (1 << 60,)


@given(st.integers(0, 2**64 - 1))
def test_numbers_of_any_length_are_read(number: int) -> None:
    from tailrace_mysql.body import Body

    body = Body(varlen(number))
    assert body.varlen() == number
    assert not body.left


def test_mariadb_transactions_have_flags_and_branches() -> None:
    plain = decode(event(162, struct.pack("<QIB", 9, 3, 1 | 32) + bytes(6)))
    assert isinstance(plain, events.MariadbGtid)
    assert (str(plain), plain.standalone, plain.prepared) == ("3-7-9", True, False)
    branch = struct.pack("<iBB", 1, 2, 1) + b"abc"
    prepared = decode(event(162, struct.pack("<QIBQ", 9, 0, 2 | 4 | 64, 77) + branch))
    assert isinstance(prepared, events.MariadbGtid)
    assert (prepared.prepared, str(prepared.branch)) == (True, "X'6162',X'63',1")


def test_xa_prepare_names_its_branch() -> None:
    found = decode(event(38, struct.pack("<BiII", 0, 1, 2, 1) + b"abc"))
    assert isinstance(found, events.XaPrepare)
    assert (found.one_phase, found.branch) == (False, events.BranchId(1, b"ab", b"c"))


def test_statements_know_their_database_and_character_set() -> None:
    variables = b"\x00" + bytes(4) + b"\x01" + struct.pack("<Q", 4) + b"\x06\x03std\x04" + struct.pack("<HHH", 8, 8, 33)
    text = "ALTER TABLE café ADD x int".encode("latin-1")
    body = struct.pack("<IIBHH", 12, 0, 4, 0, len(variables)) + variables + b"shop\0" + text
    found = decode(event(2, body))
    assert isinstance(found, events.Query)
    assert (found.thread, found.database, found.text) == (12, "shop", "ALTER TABLE café ADD x int")
    assert (found.sql_mode, found.collation, found.server_collation) == (4, 8, 33)


def test_compressed_statements_are_inflated() -> None:
    import zlib

    deflated = b"\x82" + (17).to_bytes(2, "big") + zlib.compress(b"TRUNCATE shop.x -")
    found = decode(event(165, struct.pack("<IIBHH", 12, 0, 4, 0, 0) + b"shop\0" + deflated))
    assert isinstance(found, events.Query)
    assert found.text == "TRUNCATE shop.x -"


def test_heartbeats_of_both_kinds() -> None:
    old = decode(event(27, b"binlog.000003", end_pos=77))
    file, position = b"\x01\x0dbinlog.000003", b"\x02\x09\xfe" + struct.pack("<Q", 1 << 33)
    new = decode(event(41, file + position + b"\0"))
    assert isinstance(old, events.Heartbeat)
    assert isinstance(new, events.Heartbeat)
    assert (old.file, old.position, new.file, new.position) == ("binlog.000003", 77, "binlog.000003", 1 << 33)


def payload(*inner: bytes, algorithm: int = 0) -> bytes:
    plain = b"".join(inner)
    octets = zstandard.compress(plain) if algorithm == 0 else plain
    return bytes((1, 1, len(octets), 2, 1 if algorithm < 251 else 3)) + (
        bytes((algorithm,)) if algorithm < 251 else b"\xfc" + struct.pack("<H", algorithm)
    ) + b"\0" + octets  # fmt: skip


@pytest.mark.parametrize("algorithm", [0, 255])
def test_compressed_transactions_yield_their_events(algorithm: int) -> None:
    inner = [event(16, struct.pack("<Q", number)) for number in range(3)]
    found = decode(event(40, payload(*inner, algorithm=algorithm)))
    assert isinstance(found, events.TransactionPayload)
    assert [event for block in found.events() for event in block] == inner


def test_a_damaged_transaction_is_refused() -> None:
    octets = payload(event(16, bytes(8)))
    found = decode(event(40, octets[:9] + bytes(5) + octets[14:]))
    assert isinstance(found, events.TransactionPayload)
    with pytest.raises(MalformedEvent, match=r"compressed transaction in binlog\.000001 at"):
        list(found.events("binlog.000001"))


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(MalformedEvent, match="compression algorithm 7 is unknown"):
        decode(event(40, payload(b"x", algorithm=7)[:7] + b"\0x"))


def test_an_unknown_kind_stops_with_its_place_and_the_mend() -> None:
    with pytest.raises(Fatal) as caught:
        decode(event(199, b"whatever", end_pos=5000), "binlog.000004")
    assert caught.value.message == "binlog event of the unknown type 199 in binlog.000004 at 4973"
    assert "upgrade Tailrace" in caught.value.hint


def test_statements_that_stand_for_rows_are_refused() -> None:
    with pytest.raises(UnsupportedEvent, match="binlog_format = ROW"):
        decode(event(18, b""), "binlog.000004")


@pytest.mark.parametrize("kind", sorted(events.SKIPPED))
def test_what_is_left_out_says_why(kind: int) -> None:
    found = decode(event(kind, b"anything"))
    assert isinstance(found, events.Skipped)
    assert found.reason


@given(st.sampled_from(sorted(events._DECODERS)), st.binary(max_size=80))
def test_damaged_events_raise_our_error_and_no_other(kind: int, body: bytes) -> None:
    try:
        decode(event(kind, body))
    except MalformedEvent as error:
        assert f"type {kind}" in error.message


def test_pieces_of_rows_are_put_together() -> None:
    whole = event(23, rows_body(1, b"\x00\x05", present=b"\x01", v2=False))
    first = struct.pack("<IIBQ", 2, 1, 1, len(whole)) + whole[:20]
    second = struct.pack("<IIB", 2, 2, 0) + whole[20:]
    assembly = Assembly()
    pieces = [decode(event(172, body)) for body in (first, second)]
    assert all(isinstance(piece, events.RowsFragment) for piece in pieces)
    assert [assembly.add(piece) for piece in pieces if isinstance(piece, events.RowsFragment)] == [None, whole]


def test_a_missing_piece_is_refused() -> None:
    found = decode(event(172, struct.pack("<IIB", 2, 2, 0) + b"rest"))
    assert isinstance(found, events.RowsFragment)
    with pytest.raises(MalformedEvent, match="number 2 follows 0"):
        Assembly().add(found)
