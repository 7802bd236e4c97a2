r"""Character sets: which one a collation belongs to, and text from its octets.

Collations go by number in the binlog. MySQL's are below 400; MariaDB's begin at 512 (contributed), 1024 (another
one's twin without padding) and 2048 (UCA 14: 256 for each character set). Octets are decoded by Python's codecs,
mended where the servers read an octet otherwise (latin1 is Windows' 1252, its five holes being the control
characters), and by tables for sets that Python does not know. Octets that stand for no character raise `BadRecord`:
the server itself would print a question mark.

Source: `information_schema.collations` and `CONVERT(… USING …)` of MySQL 9.7 and MariaDB 10.11; MySQL manual, 12.10.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from tailrace.errors import BadRecord
from tailrace_mysql.charset_gap import GAPS, others, register
from tailrace_mysql.charset_table import TABLES

Decode = Callable[[bytes], str]

BINARY = 63
"""The collation of what is not text."""

_COLLATIONS: Mapping[str, str] = {
    "big5": "1 84",
    "latin2": "2 9 21 27 77",
    "dec8": "3 69",
    "cp850": "4 80",
    "latin1": "5 8 15 31 47-49 94",
    "hp8": "6 72",
    "koi8r": "7 74",
    "swe7": "10 82",
    "ascii": "11 65",
    "ujis": "12 91",
    "sjis": "13 88",
    "cp1251": "14 23 50-52",
    "hebrew": "16 71",
    "tis620": "18 89",
    "euckr": "19 85",
    "latin7": "20 41-42 79",
    "koi8u": "22 75",
    "gb2312": "24 86",
    "greek": "25 70",
    "cp1250": "26 34 44 66 99",
    "gbk": "28 87",
    "cp1257": "29 58-59",
    "latin5": "30 78",
    "armscii8": "32 64",
    "utf8mb3": "33 76 83 192-223 576-578 2048-2303",
    "ucs2": "35 90 128-159 640-642 2560-2815",
    "cp866": "36 68",
    "keybcs2": "37 73",
    "macce": "38 43",
    "macroman": "39 53",
    "cp852": "40 81",
    "utf8mb4": "45-46 224-247 255-399 608-610 2304-2559",
    "utf16": "54-55 101-124 672-674 2816-3071",
    "utf16le": "56 62",
    "cp1256": "57 67",
    "utf32": "60-61 160-183 736-738 3072-3327",
    "binary": "63",
    "geostd8": "92-93",
    "cp932": "95-96",
    "eucjpms": "97-98",
    "gb18030": "248-250",
}  # fmt: skip

_CODECS: Mapping[str, str] = {
    "big5": "big5",
    "latin2": "iso8859_2",
    "cp850": "cp850",
    "latin1": "cp1252",
    "hp8": "hp_roman8",
    "koi8r": "koi8_r",
    "ascii": "ascii",
    "ujis": "euc_jp",
    "sjis": "shift_jis",
    "cp1251": "cp1251",
    "hebrew": "iso8859_8",
    "tis620": "tis_620",
    "euckr": "cp949",
    "latin7": "iso8859_13",
    "koi8u": "koi8_u",
    "gb2312": "gb2312",
    "greek": "iso8859_7",
    "cp1250": "cp1250",
    "gbk": "gbk",
    "cp1257": "cp1257",
    "latin5": "iso8859_9",
    "utf8mb3": "utf_8",
    "ucs2": "utf_16_be",
    "cp866": "cp866",
    "macce": "mac_latin2",
    "macroman": "mac_roman",
    "cp852": "cp852",
    "utf8mb4": "utf_8",
    "utf16": "utf_16_be",
    "utf16le": "utf_16_le",
    "cp1256": "cp1256",
    "utf32": "utf_32_be",
    "cp932": "cp932",
    "eucjpms": "euc_jp",
    "gb18030": "gb18030",
}
_MENDED: Mapping[str, Mapping[int, str]] = {
    "latin1": {octet: chr(octet) for octet in b"\x81\x8d\x8f\x90\x9d"},
    "hebrew": {0xAF: "\u203e"},
    "koi8u": {0x95: "\u2022"},
    "greek": {0xA1: "\u02bd", 0xA2: "\u02bc"},
    "cp866": {0xFC: "\u207f", 0xFD: "\u00b2"},
}
_OCTETS: Mapping[str, int] = {
    **dict.fromkeys(("big5", "euckr", "gb2312", "gbk", "ucs2", "sjis", "cp932"), 2),
    **dict.fromkeys(("utf8mb3", "ujis", "eucjpms"), 3),
    **dict.fromkeys(("utf8mb4", "utf16", "utf16le", "utf32", "gb18030"), 4),
}


def _numbers(ranges: str) -> Iterator[int]:
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


_CHARSET_OF = {number: charset for charset, ranges in _COLLATIONS.items() for number in _numbers(ranges)}


def charset_of(collation: int) -> str:
    """Return the character set of a collation; empty where it is none that we know."""
    if 1024 <= collation < 2048:
        collation -= 1024
    return _CHARSET_OF.get(collation, "")


def octets_per_character(charset: str) -> int:
    """Return how many octets a character takes at most."""
    return _OCTETS.get(charset, 1)


@cache
def decoder(charset: str) -> Decode:
    """Return the function from octets of a character set to text; raises `BadRecord` for a set that is unknown."""
    if charset in {"utf8mb4", "utf8mb3", "ascii"}:
        return _strict(_CODECS[charset], charset)
    if charset in TABLES:
        return _by_table(TABLES[charset], charset)
    if charset in _MENDED:
        mended = {**_octets_of(_CODECS[charset]), **_MENDED[charset]}
        return _by_table("".join(mended.get(octet, "\ufffe") for octet in range(256)), charset)
    if charset in GAPS:
        return _filled(_CODECS[charset], charset)
    if charset in _CODECS:
        return _strict(_CODECS[charset], charset)
    raise BadRecord(f"cannot read text of the character set {charset or 'of a collation'}, which is unknown")


def _octets_of(codec: str) -> dict[int, str]:
    known = {octet: bytes((octet,)).decode(codec, "ignore") for octet in range(256)}
    return {octet: character for octet, character in known.items() if character}


def _strict(codec: str, charset: str) -> Decode:
    decode = codecs.getdecoder(codec)

    def text(octets: bytes) -> str:
        try:
            return decode(octets)[0]
        except UnicodeDecodeError:
            raise unreadable_text(charset) from None

    return text


def _filled(codec: str, charset: str) -> Decode:
    decode, errors, translated = codecs.getdecoder(codec), register(charset), others(charset)

    def text(octets: bytes) -> str:
        try:
            return decode(octets, errors)[0].translate(translated)
        except UnicodeDecodeError:
            raise unreadable_text(charset) from None

    return text


def _by_table(table: str, charset: str) -> Decode:
    def text(octets: bytes) -> str:
        try:
            return codecs.charmap_decode(octets, "strict", table)[0]
        except UnicodeDecodeError:
            raise unreadable_text(charset) from None

    return text


def unreadable_text(charset: str) -> BadRecord:
    """Return the error for octets that stand for no text."""
    return BadRecord(f"a value has octets that are no text in the character set {charset}")
