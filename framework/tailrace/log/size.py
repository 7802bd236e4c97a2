"""How large a record may get in the log, before compression; never more than it is told here.

Source: Kafka's message format, version 2: 61 octets are the header of a batch, and a record has seven varints.
"""

from __future__ import annotations

from collections.abc import Sequence

BATCH_OVERHEAD, RECORD_OVERHEAD = 160, 40
"""Octets of a batch, and of each record in it, beside keys, values and headers, at most."""


def size_in_batch(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int:
    """Return the octets that a record adds to a batch; the name of a header in at most 4 octets a letter."""
    size = RECORD_OVERHEAD + len(key or b"") + len(value or b"")
    return size + sum(10 + 4 * len(name) + len(octets or b"") for name, octets in headers) if headers else size


def size_alone(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int:
    """Return the octets of a batch of this record alone."""
    return BATCH_OVERHEAD + size_in_batch(key, value, headers)
