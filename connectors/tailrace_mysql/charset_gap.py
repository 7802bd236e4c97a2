"""Characters of several octets that the servers have and Python's codecs lack, or read as others.

    ujis, eucjpms    f5a1 … fefe      private use, from U+E000 on, 94 in a row; 8ff5a1 … 8ffefe after them
    eucjpms          ada1 … adfe      NEC's special characters; 8ff3f3 … 8ff4fe IBM's
    big5             f9d6 … f9dc      seven characters of ETEN's

Source: `CONVERT(… USING …)` of MySQL 9.7 and MariaDB 10.11 over all sequences of octets.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping

_PRIVATE, _ROW, _FIRST = 0xE000, 94, 0xA1
_RUNS: Mapping[str, Mapping[int, str]] = {
    "eucjpms": {
        0xADA1: "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ",
        0xADC0: "㍉㌔㌢㍍㌘㌧㌃㌶㍑㍗㌍㌦㌣㌫㍊㌻㎜㎝㎞㎎㎏㏄㎡",
        0xADDF: "㍻\u301d\u301f№㏍℡㊤㊥㊦㊧㊨㈱㈲㈹㍾㍽㍼≒≡∫∮\u2211√⊥∠∟⊿∵∩\u222a",
        0x8FF3F3: "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡ",
        0x8FF4A1: (
            "ⅢⅣⅤⅥⅦⅧⅨⅩ\uff07\uff02㈱№℡炻仼僴凬匇匤\ufa0e咊坙\ufa0f塚增寬峵嵓\ufa11德悅愠敎昻晥晴朗栁\ufa13\ufa14橫櫢淸淲瀨"
            "凞猪甁皂皞益礰礼神祥福竧靖精綠緖羽荢\ufa1f薰蘒\ufa21蠇諸譿賴赶\ufa23\ufa24逸郞都鄕\ufa27\ufa28閒隆\ufa29霻"
            "靍靑飯飼館馞髙魲鶴黑"
        ),
    },
    "big5": {0xF9D6: "碁銹裏墻恒粧嫺"},
}
_OTHERS: Mapping[str, Mapping[str, str]] = {
    "eucjpms": {
        "\u301c": "\uff5e", "\u2016": "\u2225", "\u2212": "\uff0d", "\xa2": "\uffe0", "\xa3": "\uffe1",
        "\xac": "\uffe2", "\xa6": "\uffe4",
    },
}  # fmt: skip
"""What the codec says, and what the servers do."""

GAPS = frozenset({"ujis", "eucjpms", "big5"})
"""The character sets with such characters."""


def _characters(charset: str) -> Iterator[tuple[bytes, str]]:
    for first, run in _RUNS.get(charset, {}).items():
        size = (first.bit_length() + 7) // 8
        yield from ((number.to_bytes(size, "big"), character) for number, character in enumerate(run, first))
    if charset != "big5":
        for number in range(20 * _ROW):
            row, column = divmod(number, _ROW)
            lead = b"" if row < 10 else b"\x8f"
            yield lead + bytes((0xF5 + row % 10, _FIRST + column)), chr(_PRIVATE + number)


def register(charset: str) -> str:
    """Return the name of an error handler for the codec: it knows what `charset` has, and refuses the rest."""
    known = dict(_characters(charset))

    def fill(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        for size in (2, 3):
            character = known.get(error.object[error.start : error.start + size])
            if character is not None:
                return character, error.start + size
        raise error

    name = f"tailrace_{charset}"
    codecs.register_error(name, fill)
    return name


def others(charset: str) -> dict[int, str]:
    """Return the characters that the servers read otherwise than the codec, for `str.translate`."""
    return {ord(theirs): ours for theirs, ours in _OTHERS.get(charset, {}).items()}
