"""Packets and answers of the client/server protocol, cut at any octet."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace_mysql.fault import LostConnection, PassingServerFault, ServerFault
from tailrace_mysql.packet import LONGEST, Packets, cells, framed, lenenc
from tailrace_mysql.result import Answer

END = b"\xfe\0\0\2\0"
MORE = b"\xfe\0\0\x0a\0"


def lenenc_bytes(data: bytes) -> bytes:
    if len(data) < 251:
        return bytes([len(data)]) + data
    if len(data) < 1 << 16:
        return b"\xfc" + len(data).to_bytes(2, "little") + data
    return b"\xfd" + len(data).to_bytes(3, "little") + data


def column(name: str) -> bytes:
    names = b"".join(lenenc_bytes(text) for text in (b"def", b"s", b"t", b"t", name.encode(), b"o"))
    return names + b"\x0c\x3f\0\x0a\0\0\0\x03\x01\x80\x02\0\0"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40)), st.integers(1, 20), st.integers(1, 5))
def test_payloads_come_out_as_they_went_in_however_they_are_cut(payloads: list[bytes], step: int, most: int) -> None:
    stream = b"".join(framed(payload, number) for number, payload in enumerate(payloads))
    packets = Packets()
    taken: list[bytes] = []
    for begin in range(0, len(stream), step):
        packets.feed(stream[begin : begin + step])
        while packets.ready:
            got = packets.take(most, 1 << 30)
            assert 0 < len(got) <= most
            taken += got
    assert taken == payloads
    assert packets.size == 0
    assert packets.sequence == len(payloads) % 256


@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, 2 * LONGEST])
def test_payloads_of_more_than_one_packet_are_joined(size: int) -> None:
    payload = b"x" * size
    packets = Packets()
    stream = framed(payload, 250) + framed(b"next", 251 + size // LONGEST)
    packets.sequence = 250
    packets.feed(stream[: size // 2])
    assert packets.take(10, 1 << 30) == []
    packets.feed(stream[size // 2 :])
    assert packets.ready
    assert [len(taken) for taken in packets.take(10, 1 << 30)] == [size, 4]


def test_bytes_bound_what_is_taken_at_once() -> None:
    packets = Packets()
    packets.feed(b"".join(framed(b"x" * 10, number) for number in range(5)))
    assert [len(packets.take(10, 15)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_broken_sequence_is_noticed_but_an_error_out_of_it_is_heard() -> None:
    packets = Packets()
    packets.feed(framed(b"a", 0) + framed(b"b", 2))
    with pytest.raises(LostConnection, match="packet 2 came instead of packet 1"):
        packets.take(10, 100)
    packets = Packets()
    packets.feed(framed(b"a", 0) + framed(b"\xff\x1d\x04#08S01Server shutdown in progress", 0))
    with pytest.raises(PassingServerFault, match=r"shutdown in progress \(1053\)") as fault:
        Answer().feed(packets.take(10, 100)[1:])
    assert fault.value.patient


def test_a_row_is_cut_into_values() -> None:
    long = b"l" * 70_000
    row = lenenc_bytes(b"1") + b"\xfb" + lenenc_bytes(b"") + lenenc_bytes(b"m" * 300) + lenenc_bytes(long)
    assert cells(row) == [b"1", None, b"", b"m" * 300, long]
    for cut in (1, 5, 100):
        with pytest.raises(LostConnection):
            cells(row[:-cut])
    with pytest.raises(LostConnection):
        lenenc(b"\xff", 0)
    with pytest.raises(LostConnection):
        lenenc(b"\xfc\x01", 0)


def test_an_answer_of_several_results_is_read_as_it_comes() -> None:
    payloads = [
        b"\0\x03\0\x0a\0\0\0",
        b"\x02", column("a"), column("b"), END, b"\x011\xfb", b"\x012\x01x", MORE,
        b"\x01", column("c"), END, b"\x013", END,
    ]  # fmt: skip
    answer = Answer()
    for number, payload in enumerate(payloads):
        assert not answer.done
        answer.feed([payload])
        if number == 5:
            assert answer.results[-1].take_rows() == [b"\x011\xfb"]
            assert not answer.results[-1].done
    assert answer.done
    first, second, third = answer.results
    assert (first.affected, second.rows, third.rows) == (3, [b"\x012\x01x"], [b"\x013"])
    assert [(found.name, found.collation, found.type, found.flags) for found in second.columns] == [
        ("a", 63, 3, 0x8001), ("b", 63, 3, 0x8001)
    ]  # fmt: skip
    with pytest.raises(LostConnection):
        answer.feed([END])


def test_an_error_ends_an_answer_and_says_what_to_do() -> None:
    answer = Answer()
    with pytest.raises(ServerFault, match=r"denied\. \(1142\); grant the connector's user") as fault:
        answer.feed([b"\xff\x76\x04#42000SELECT command denied."])
    assert answer.done
    assert fault.value.number == 1142
