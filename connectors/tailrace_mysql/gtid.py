"""Which transactions have happened: GTID sets of MySQL and positions of MariaDB. They do no I/O and never change.

    MySQL     set       uuid[:tag]:first-last[:first-last]*[:tag:first-last …]*, …      tags since 8.3
    MariaDB   position  domain-server-number, …         the last transaction of each domain stands for all before it

A MySQL set as the server wants it in COM_BINLOG_DUMP_GTID, numbers little-endian:

    Set       Format u64 · Source*           Format = number of sources; with tags: 1 << 56 | number << 8 | 1
    Source    uuid, 16 octets · [with tags: length u8, doubled · tag] · number of ranges u64 · Range*
    Range     first u64 · behind the last u64

Sources: MySQL manual, "GTID Format and Storage"; its replication protocol, `Gtid_set::encode`; MariaDB Knowledge Base,
"Global Transaction ID".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import TypeAlias
from uuid import UUID

from tailrace.errors import Fatal
from tailrace_mysql.body import Body

Source: TypeAlias = tuple[str, str]
"""Uuid and tag, "" for none."""
Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""First and last number of each run, ascending, with gaps between them."""

_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_DOMAIN_GTID = re.compile(r"([0-9]+)-([0-9]+)-([0-9]+)")
_U64 = Struct("<Q")
_TAGGED = 1


@dataclass(frozen=True, slots=True)
class GtidSet:
    """A set of MySQL's transactions."""

    sources: Mapping[Source, Ranges] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """Read a set as the server writes it; raises `Fatal` for what is none."""
        found: dict[Source, list[tuple[int, int]]] = {}
        for entry in filter(None, "".join(text.split()).lower().split(",")):
            uuid, *parts = entry.split(":")
            if not _UUID.fullmatch(uuid) or not parts:
                raise _no_set(entry)
            uuid, tag = str(UUID(uuid)), ""
            for part in parts:
                if (run := _RANGE.fullmatch(part)) is not None:
                    found.setdefault((uuid, tag), []).append((int(run[1]), int(run[2] or run[1])))
                elif _TAG.fullmatch(part):
                    tag = part
                else:
                    raise _no_set(entry)
        return cls({source: ranges for source in sorted(found) if (ranges := _merged(found[source]))})

    @classmethod
    def decode(cls, body: Body) -> GtidSet:
        """Read a set as `encode` writes it; raises `ValueError` or `IndexError` for what is none."""
        head = body.u(8)
        tagged = head >> 56 == _TAGGED
        if tagged and head & 0xFF != _TAGGED:
            raise ValueError(f"a set of GTIDs in the format {head:#x}")
        sources: dict[Source, list[tuple[int, int]]] = {}
        for _ in range(head >> 8 & (1 << 48) - 1 if tagged else head):
            uuid = str(UUID(bytes=body.take(16)))
            tag = body.text(body.u(1) >> 1) if tagged else ""
            runs = sources.setdefault((uuid, tag), [])
            for _ in range(body.u(8)):
                first = body.u(8)
                runs.append((first, body.u(8) - 1))
        return cls({source: ranges for source in sorted(sources) if (ranges := _merged(sources[source]))})

    def with_gtid(self, uuid: str, number: int, tag: str = "", last: int = 0) -> GtidSet:
        """Return the set with one more transaction, or with all up to the number `last`."""
        source, last = (uuid, tag), last or number
        ranges = self.sources.get(source, ())
        if ranges and ranges[-1][1] == number - 1:  # as it nearly always is
            return GtidSet({**self.sources, source: (*ranges[:-1], (ranges[-1][0], last))})
        return GtidSet({**self.sources, source: _merged([*ranges, (number, last)])})

    def contains(self, uuid: str, number: int, tag: str = "") -> bool:
        """Whether one transaction is in the set."""
        return any(first <= number <= last for first, last in self.sources.get((uuid, tag), ()))

    def issuperset(self, other: GtidSet) -> bool:
        """Whether every transaction of `other` is in the set."""
        return not (other - self)

    def __or__(self, other: GtidSet) -> GtidSet:
        together = {source: [*ranges] for source, ranges in self.sources.items()}
        for source, ranges in other.sources.items():
            together.setdefault(source, []).extend(ranges)
        return GtidSet({source: _merged(together[source]) for source in sorted(together)})

    def __sub__(self, other: GtidSet) -> GtidSet:
        left = {}
        for source, ranges in self.sources.items():
            rest = _without(ranges, other.sources.get(source, ()))
            if rest:
                left[source] = rest
        return GtidSet(left)

    def __bool__(self) -> bool:
        return bool(self.sources)

    def __len__(self) -> int:
        return sum(last - first + 1 for ranges in self.sources.values() for first, last in ranges)

    def __str__(self) -> str:
        by_uuid: dict[str, list[str]] = {}
        for (uuid, tag), ranges in sorted(self.sources.items()):
            runs = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
            by_uuid.setdefault(uuid, [uuid]).extend([tag, *runs] if tag else runs)
        return ",".join(":".join(parts) for parts in by_uuid.values())

    def encode(self) -> bytes:
        """Return the set as COM_BINLOG_DUMP_GTID has it."""
        tagged = any(tag for _, tag in self.sources)
        count = len(self.sources)
        parts = [_U64.pack(_TAGGED << 56 | count << 8 | _TAGGED if tagged else count)]
        for (uuid, tag), ranges in sorted(self.sources.items()):
            parts.append(UUID(uuid).bytes)
            if tagged:
                parts.append(bytes([len(tag) << 1]) + tag.encode())
            parts.append(_U64.pack(len(ranges)))
            parts += (_U64.pack(first) + _U64.pack(last + 1) for first, last in ranges)
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class GtidPosition:
    """How far each replication domain of MariaDB has come: its last transaction's server and number."""

    domains: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> GtidPosition:
        """Read a position as the server writes it; raises `Fatal` for what is none."""
        domains: dict[int, tuple[int, int]] = {}
        for entry in filter(None, "".join(text.split()).split(",")):
            found = _DOMAIN_GTID.fullmatch(entry)
            if found is None or int(found[1]) in domains:
                raise Fatal(f'"{entry}" in "{text}" is no GTID of MariaDB', hint="domain-server-number, once a domain")
            domains[int(found[1])] = (int(found[2]), int(found[3]))
        return cls(dict(sorted(domains.items())))

    def with_gtid(self, domain: int, server: int, number: int) -> GtidPosition:
        """Return the position after one more transaction."""
        return GtidPosition({**self.domains, domain: (server, number)})

    def contains(self, domain: int, number: int) -> bool:
        """Whether a transaction lies at or before the position; numbers of a domain rise."""
        return domain in self.domains and number <= self.domains[domain][1]

    def issuperset(self, other: GtidPosition) -> bool:
        """Whether the position has come at least as far as `other`, in each of its domains."""
        return all(self.contains(domain, number) for domain, (_, number) in other.domains.items())

    def __bool__(self) -> bool:
        return bool(self.domains)

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self.domains.items()))


def _merged(ranges: list[tuple[int, int]]) -> Ranges:
    """Return ranges in order, those that touch made one, those that are empty or below 1 left out."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if last < first or first < 1:
            continue
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _without(ranges: Ranges, other: Ranges) -> Ranges:
    return tuple(part for first, last in ranges for part in _parts(first, last, other))


def _parts(first: int, last: int, holes: Ranges) -> Iterator[tuple[int, int]]:
    """Yield what is left of one range."""
    for begin, end in holes:
        if end < first or begin > last:
            continue
        if first < begin:
            yield first, begin - 1
        first = end + 1
    if first <= last:
        yield first, last


def _no_set(entry: str) -> Fatal:
    return Fatal(f'"{entry}" is no set of GTIDs', hint="uuid:1-5 or uuid:tag:1-5, separated by commas")
