"""Log sequence numbers: byte positions in the write-ahead log, 64 bit, written as two hexadecimal halves."""

from __future__ import annotations

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970: where the timestamps of the replication protocol begin."""


def parse_lsn(text: str) -> int:
    """Return the number that `16/B374D848` names."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)


def format_lsn(lsn: int) -> str:
    """Return `lsn` as Postgres writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
