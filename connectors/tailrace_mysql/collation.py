"""Character sets of MySQL and MariaDB, as far as declarations need them: whose a collation is, how long characters get.

How their octets are decoded is not here.
"""

from __future__ import annotations

from collections.abc import Mapping

LONGEST: Mapping[str, int] = {
    "utf8mb4": 4,
    "utf8mb3": 3,
    "utf16": 4,
    "utf16le": 4,
    "utf32": 4,
    "ucs2": 2,
    "big5": 2,
    "cp932": 2,
    "euckr": 2,
    "gb2312": 2,
    "gbk": 2,
    "sjis": 2,
    "ujis": 3,
    "eucjpms": 3,
    "gb18030": 4,
}
"""Octets of the longest character; 1 in all that are not listed."""


def longest(charset: str) -> int:
    """Return the octets of the longest character of `charset`."""
    return LONGEST.get(charset, 1)


def charset_name(name: str) -> str:
    """Return a character set's own name: `utf8` is what `utf8mb3` was called."""
    lowered = name.lower()
    return "utf8mb3" if lowered == "utf8" else lowered


def charset_of_collation(collation: str) -> str | None:
    """Return whose a collation is; None for one of MariaDB's that belong to several (`uca1400_ai_ci`)."""
    lowered = collation.lower()
    if lowered.startswith("uca1400"):
        return None
    return charset_name(lowered.partition("_")[0])
