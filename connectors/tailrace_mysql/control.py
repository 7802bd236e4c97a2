"""Events about the binlog itself: which file, which server, still there.

    Rotate              position u64 · file name, to the end
    Format description  binlog version u16 = 4 · server version, 50 octets, zero-padded · created u32 ·
                        header size u8 = 19 · size of the fixed part of each event u8 x (types) ·
                        checksum algorithm u8 (0 none, 1 CRC-32)
    Heartbeat           file name, to the end; the position is the header's
    Heartbeat, new      (field lenenc · length lenenc · value)* · 0      fields: 1 file name, 2 position lenenc
    Previous GTIDs      the set, as `gtid.py` has it
    Incident            kind u16 · length u8 · message
    MariaDB GTID list   count u32, its upper four bits flags · (domain u32 · server id u32 · number u64) x count

Source: MySQL manual of the protocol, "Binlog Event"; MariaDB Knowledge Base, "Replication Protocol".
"""

from __future__ import annotations

from dataclasses import dataclass

from tailrace_mysql.body import Body
from tailrace_mysql.gtid import GtidSet
from tailrace_mysql.header import HEADER_SIZE, Header

TABLE_MAP, ROWS_V1, ROWS_V2, PARTIAL_UPDATE = 19, (23, 24, 25), (30, 31, 32), 39
_FIXED_PARTS = {TABLE_MAP: 8, **dict.fromkeys(ROWS_V1, 8), **dict.fromkeys((*ROWS_V2, PARTIAL_UPDATE), 10)}
"""The sizes that our decoders rely on. Servers before 5.1.4 had others."""

_GTID_COUNT = 0x0FFFFFFF
_MARIADB_TYPES = 160
"""MariaDB's own types begin here; its server alone lists that many."""


@dataclass(frozen=True, slots=True)
class Rotate:
    """The events that follow are in `file`, from `position` on."""

    header: Header
    file: str
    position: int


@dataclass(frozen=True, slots=True)
class FormatDescription:
    """How the events of this file are written, and by which server. `checksum` says that each ends with a CRC-32."""

    header: Header
    server_version: str
    created: int
    checksum: bool

    @property
    def mariadb(self) -> bool:
        """Whether MariaDB wrote the file."""
        return "MariaDB" in self.server_version


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing new; the end of what the server has sent is `position` in `file`."""

    header: Header
    file: str
    position: int


@dataclass(frozen=True, slots=True)
class Incident:
    """The server had to leave something out of the binlog: from here on it is not whole."""

    header: Header
    kind: int
    message: str


@dataclass(frozen=True, slots=True)
class PreviousGtids:
    """MySQL: the transactions of all files before this one, purged ones included."""

    header: Header
    gtids: GtidSet


@dataclass(frozen=True, slots=True)
class GtidList:
    """MariaDB: the last (domain, server id, number) of each domain and server before this file."""

    header: Header
    gtids: tuple[tuple[int, int, int], ...]


def rotate(header: Header, body: Body) -> Rotate:
    """Read the body of a rotate event."""
    position = body.u(8)
    return Rotate(header, body.rest().decode(), position)


def format_description(header: Header, body: Body) -> FormatDescription:
    """Read the body of a format description; refuses fixed parts of other sizes than are read here."""
    version = body.u(2)
    if version != 4:
        raise ValueError(f"binlog version {version} is not 4")
    server = body.take(50).rstrip(b"\0").decode("ascii")
    created, header_size = body.u(4), body.u(1)
    if header_size != HEADER_SIZE:
        raise ValueError(f"header size {header_size} is not {HEADER_SIZE}")
    sizes = body.rest()
    # The algorithm stands after the list. With a checksum, which was cut off, its octet is the last one all the same.
    for kind, size in _FIXED_PARTS.items():
        if kind < len(sizes) and sizes[kind - 1] not in {size, 0}:
            raise ValueError(f"the fixed part of events of type {kind} has {sizes[kind - 1]} octets instead of {size}")
    return FormatDescription(header, server, created, checksum=bool(sizes) and sizes[-1] == 1)


def heartbeat(header: Header, body: Body) -> Heartbeat:
    """Read the body of a heartbeat."""
    return Heartbeat(header, body.rest().decode(), header.end_pos)


def heartbeat_v2(header: Header, body: Body) -> Heartbeat:
    """Read the body of a heartbeat as servers from 8.0.26 on may send it: positions beyond 4 GB fit."""
    file, position = "", header.end_pos
    while field := body.lenenc():
        value = Body(body.lenenc_bytes())
        if field == 1:
            file = value.rest().decode()
        elif field == 2:
            position = value.lenenc()
    return Heartbeat(header, file, position)


def incident(header: Header, body: Body) -> Incident:
    """Read the body of an incident."""
    kind = body.u(2)
    return Incident(header, kind, body.take(body.u(1)).decode("utf-8", "replace") if body.left else "")


def previous_gtids(header: Header, body: Body) -> PreviousGtids:
    """Read the body of MySQL's set."""
    return PreviousGtids(header, GtidSet.decode(body))


def gtid_list(header: Header, body: Body) -> GtidList:
    """Read the body of MariaDB's list."""
    count = body.u(4) & _GTID_COUNT
    return GtidList(header, tuple((body.u(4), body.u(4), body.u(8)) for _ in range(count)))
