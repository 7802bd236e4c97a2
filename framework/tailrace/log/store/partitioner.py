"""Which partition a record goes to: Kafka's default partitioner, except for records without a key.

Keyless records all go to partition 0, where Kafka would spread them: a table without a key has no other order than
that of its log, and order matters more than balance.
"""

from __future__ import annotations

_M = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit murmur2 hash, with Kafka's seed. Source: Kafka's `Utils.murmur2`."""
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes | None, count: int) -> int:
    """Return the partition of a key among `count`: `toPositive(murmur2(key)) % count`."""
    if count == 1 or key is None:
        return 0
    return (murmur2(key) & 0x7FFFFFFF) % count
