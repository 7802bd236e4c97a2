"""The decoder, on bytes that real servers sent, whole, cut short and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import TailraceError
from tailrace_postgres.pgoutput import MalformedMessage, decode

GOLDEN = sorted((Path(__file__).parent / "golden").glob("pgoutput-*.txt"))


def recorded(path: Path) -> list[tuple[bytes, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(bytes.fromhex(data), text.strip()) for data, text in zip(lines[::2], lines[1::2], strict=True)]


MESSAGES = {data: text for path in GOLDEN for data, text in recorded(path)}
SMALL = sorted((data for data in MESSAGES if len(data) < 400), key=len)


def test_every_type_of_message_was_recorded() -> None:
    assert {chr(data[0]) for data in MESSAGES} == set("BCORYIUDTM")
    assert len(GOLDEN) == 2


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_recorded_messages(path: Path) -> None:
    for data, text in recorded(path):
        assert repr(decode(data, 0)) == text


def test_every_truncation_is_found() -> None:
    for data in SMALL:
        for length in range(len(data)):
            with pytest.raises(MalformedMessage) as error:
                decode(data[:length], 0x16_B374D848)
            assert "at 16/B374D848" in error.value.message
            assert (f"message {chr(data[0])!r}" if length else "an empty message") in error.value.message


def test_every_byte_too_many_is_found() -> None:
    for data in SMALL:
        with pytest.raises(MalformedMessage):
            decode(data + b"\0", 0)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SMALL), st.data())
def test_damaged_messages_decode_or_say_so(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        decode(bytes(damaged), 0)
    except TailraceError:
        return


@pytest.mark.parametrize(
    "data",
    [b"X", b"S\0\0\0\1\0", b"b" + bytes(20), b"C\1" + bytes(24), b"T\0\0\0\0\7", b"I\0\0\0\1K\0\0", b"D\0\0\0\1N\0\0"],
)
def test_what_is_not_known_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match="unknown"):
        decode(data, 0)
