"""Events that begin and end transactions.

    GTID            flags u8 · uuid, 16 octets · number i64 · 2 u8 · last committed i64 · sequence number i64 ·
                    commit time u56, bit 55: the original one u56 follows · length of the transaction lenenc · …
    GTID, tagged    version varlen = 1 · size varlen · last field that must be known varlen · (field varlen · value)*
                    0 flags · 1 uuid, varlen x 16 · 2 number, signed · 3 tag, length varlen · 4 last committed, signed ·
                    5 sequence number, signed · 6 commit time · 7 original one · 8 length of the transaction ·
                    9, 10 server versions · 11 ticket
    GTID, MariaDB   number u64 · domain u32 · flags u8 · [2: group u64] · [64, 128: xid] · [more flags u8 ·
                    (1: engines u8) · (4, 8: number of the ALTER's start u64) · (16: thread u32)]
    xid             format i32 · length u8 · length u8 · octets
    XID             number u64
    XA PREPARE      one phase u8 · format i32 · length u32 · length u32 · octets

Commit times are microseconds since 1970. Source: MySQL's manual of the binlog events (`Gtid_event`, `XA_prepare_event`)
and of its serialization library; MariaDB Knowledge Base, "GTID_EVENT".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import NamedTuple
from uuid import UUID

from tailrace_mysql.body import Body
from tailrace_mysql.header import Header

_ORIGINAL_TIME = 1 << 55
_GTID = Struct("<x16sq")
_MARIADB_GTID = Struct("<QIB")
_LAST_KNOWN_FIELD = 11

STANDALONE, GROUP_COMMIT, TRANSACTIONAL, DDL, PREPARED_XA, COMPLETED_XA = 1, 2, 4, 32, 64, 128
"""MariaDB's flags of a transaction."""
_ENGINES, _COMMIT_ALTER, _ROLLBACK_ALTER, _THREAD = 1, 4, 8, 16


@dataclass(frozen=True, slots=True)
class BranchId:
    """The name of a branch of an XA transaction."""

    format: int
    transaction: bytes
    branch: bytes

    def __str__(self) -> str:
        return f"X'{self.transaction.hex()}',X'{self.branch.hex()}',{self.format}"


class Gtid(NamedTuple):
    """A transaction of MySQL begins. `number` is 0 where it has no GTID; times are microseconds since 1970.

    `length` is how many octets the transaction has in the binlog with this event, 0 where the server does not say.
    """

    header: Header
    uuid: str
    tag: str
    number: int
    committed: int = 0
    originally_committed: int = 0
    length: int = 0

    @property
    def anonymous(self) -> bool:
        """Whether the transaction has no GTID."""
        return not self.number

    def __str__(self) -> str:
        if not self.number:
            return ""
        return f"{self.uuid}:{self.tag}:{self.number}" if self.tag else f"{self.uuid}:{self.number}"


class MariadbGtid(NamedTuple):
    """A transaction of MariaDB begins, or is all in the one event that follows (`standalone`).

    `branch` is that of an XA transaction which is being prepared or completed.
    """

    header: Header
    domain: int
    number: int
    flags: int
    branch: BranchId | None = None
    thread: int | None = None

    @property
    def standalone(self) -> bool:
        """Whether no COMMIT follows: a DDL statement, say."""
        return bool(self.flags & STANDALONE)

    @property
    def prepared(self) -> bool:
        """Whether the rows that follow are those of an XA branch that is only being prepared."""
        return bool(self.flags & PREPARED_XA)

    @property
    def completed(self) -> bool:
        """Whether an XA branch is being committed or rolled back."""
        return bool(self.flags & COMPLETED_XA)

    def __str__(self) -> str:
        return f"{self.domain}-{self.header.server_id}-{self.number}"


class Xid(NamedTuple):
    """The transaction is committed."""

    header: Header
    number: int


@dataclass(frozen=True, slots=True)
class XaPrepare:
    """The branch is prepared, or committed at once where `one_phase`."""

    header: Header
    branch: BranchId
    one_phase: bool


def gtid(header: Header, body: Body) -> Gtid:
    """Read the body of a GTID, or of an anonymous one."""
    octets, number = body.unpack(_GTID)
    uuid = uuid_text(octets)
    if not body.left or body.u(1) != 2:
        return Gtid(header, uuid, "", number)
    body.take(16)
    committed = original = length = 0
    if body.left >= 7:
        committed = original = body.u(7)
        if committed & _ORIGINAL_TIME:
            committed, original = committed ^ _ORIGINAL_TIME, body.u(7)
    if body.left:
        length = body.lenenc()
    return Gtid(header, uuid, "", number, committed, original, length)


@lru_cache(maxsize=64)
def uuid_text(octets: bytes) -> str:
    """Return the name of a server, as it is written."""
    return str(UUID(bytes=octets))


def tagged_gtid(header: Header, body: Body) -> Gtid:
    """Read the body of a GTID that has a tag."""
    whole = body.left
    if (version := body.varlen()) != 1:
        raise ValueError(f"serialization version {version} is not 1")
    size, needed = body.varlen(), body.varlen()
    if size != whole or needed > _LAST_KNOWN_FIELD:
        raise ValueError(f"{size} octets with field {needed}: expected {whole} and {_LAST_KNOWN_FIELD}")
    uuid, tag, numbers = "", "", dict.fromkeys(range(_LAST_KNOWN_FIELD + 1), 0)
    while body.left:
        field = body.varlen()
        if field == 1:
            uuid = uuid_text(bytes([body.varlen() for _ in range(16)]))
        elif field == 3:
            tag = body.text(body.varlen())
        elif field in {2, 4, 5}:
            numbers[field] = body.varlen_signed()
        elif field <= _LAST_KNOWN_FIELD:
            numbers[field] = body.varlen()
        else:
            break  # the server calls them ignorable, and they stand in the order of their numbers
    return Gtid(header, uuid, tag, numbers[2], numbers[6], numbers[7] or numbers[6], numbers[8])


def mariadb_gtid(header: Header, body: Body) -> MariadbGtid:
    """Read the body of a GTID of MariaDB."""
    number, domain, flags = body.unpack(_MARIADB_GTID)
    branch, thread = None, None
    if flags & GROUP_COMMIT:
        body.u(8)
    if flags & (PREPARED_XA | COMPLETED_XA):
        form, first, second = body.i(4), body.u(1), body.u(1)
        branch = BranchId(form, body.take(first), body.take(second))
    more = body.u(1) if body.left else 0
    if more & _ENGINES:
        body.u(1)
    if more & (_COMMIT_ALTER | _ROLLBACK_ALTER):
        body.u(8)
    if more & _THREAD and body.left >= 4:
        thread = body.u(4)
    return MariadbGtid(header, domain, number, flags, branch, thread)


def xid(header: Header, body: Body) -> Xid:
    """Read the body of a commit."""
    return Xid(header, body.u(8))


def xa_prepare(header: Header, body: Body) -> XaPrepare:
    """Read the body of XA PREPARE."""
    one_phase, form, first, second = body.u(1), body.i(4), body.u(4), body.u(4)
    return XaPrepare(header, BranchId(form, body.take(first), body.take(second)), one_phase=bool(one_phase))
