"""Payloads that are too long for memory lie in a file, and are read as if they did not."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from zlib import crc32

import pytest
import zstandard

from tailrace.errors import Retriable
from tailrace_mysql.event import TransactionPayload, decode
from tailrace_mysql.header import MalformedEvent
from tailrace_mysql.packet import Packets, framed
from tailrace_mysql.spill import SPILLED, Spilled
from unit.mysql.binlog import event

INNER = [event(30, os.urandom(SPILLED // 20)) for _ in range(44)]


def long_event(algorithm: int) -> bytes:
    plain = b"".join(INNER)
    octets = zstandard.compress(plain) if algorithm == 0 else plain
    size = b"\xfe" + len(octets).to_bytes(8, "little")
    kind = b"\x01\x00" if algorithm == 0 else b"\x03\xfc\xff\x00"
    return event(40, b"\1" + bytes((len(size),)) + size + b"\2" + kind + b"\0" + octets)


def taken(payload: bytes) -> Spilled:
    packets = Packets()
    packets.spill()
    packets.feed(framed(payload) + framed(b"next", 1 + len(payload) // SPILLED))
    found, following = packets.take(10, 1 << 30)
    assert following == b"next"
    assert isinstance(found, Spilled)
    return found


@pytest.mark.parametrize("algorithm", [0, 255])
def test_a_long_transaction_is_read_out_of_a_file(algorithm: int) -> None:
    whole = long_event(algorithm)
    payload = taken(b"\0" + whole + b"sums")
    assert payload.size == len(whole) + 5
    assert len(payload) < 2000, "only its beginning is in memory"
    found = decode(payload.part(1, payload.size - 4))
    assert isinstance(found, TransactionPayload)
    for _ in range(2):
        assert [inner for block in found.events() for inner in block] == INNER


def test_a_long_transaction_that_is_cut_short_is_refused() -> None:
    payload = taken(b"\0" + long_event(0))
    with pytest.raises(MalformedEvent, match="octets are announced"):
        decode(payload.part(1, payload.size - 9))


def test_what_is_in_the_file_is_what_came() -> None:
    data = os.urandom(SPILLED + 12345)
    payload = taken(data)
    with payload.reader() as reader:
        assert reader.read() == data
    with payload.part(7, 99).reader() as reader:
        assert reader.read() == data[7:99]
    assert payload.checksum() == crc32(data)


def test_without_spilling_a_payload_stays_in_memory() -> None:
    packets = Packets()
    packets.feed(framed(bytes(SPILLED + 1)))
    (found,) = packets.take(10, 1 << 30)
    assert type(found) is bytes
    assert len(found) == SPILLED + 1


def test_a_folder_that_takes_nothing_is_named_with_the_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    monkeypatch.setattr(tempfile, "tempdir", str(gone))
    packets = Packets()
    packets.spill()
    packets.feed(framed(bytes(SPILLED + 1)))
    with pytest.raises(Retriable, match=f"keep a transaction of {SPILLED} octets and more in {gone}") as raised:
        packets.take(10, 1 << 30)
    assert "TMPDIR" in (raised.value.hint or "")
