"""The messages of pgoutput, protocol version 1, text format: bytes in, values out.

It does not know what a table's columns are, nor which transaction it is in; rows stay `TupleData` bytes (`row.py`
cuts them). Source: Postgres manual, "Logical Replication Message Formats". Everything is big-endian:

    Begin     B  final lsn u64 · commit time i64, microseconds since 2000 · xid u32
    Commit    C  flags u8 = 0 · commit lsn u64 · end lsn u64 · commit time i64
    Origin    O  commit lsn on the origin u64 · name cstring
    Relation  R  oid u32 · schema cstring ("" is pg_catalog) · name cstring · replica identity u8 (d f i n) ·
                 columns u16 x (flags u8, 1: part of the identity · name cstring · type oid u32 · type modifier i32)
    Type      Y  oid u32 · schema cstring · name cstring
    Insert    I  relation oid u32 · N TupleData
    Update    U  relation oid u32 · [K TupleData | O TupleData] · N TupleData
    Delete    D  relation oid u32 · (K TupleData | O TupleData)
    Truncate  T  relations u32 · options u8 (1 cascade, 2 restart identity) · relation oid u32 x relations
    Message   M  flags u8 (1: transactional) · lsn u64 · prefix cstring · length u32 · content

    TupleData    columns u16 x (n: null | u: unchanged TOAST value, not sent | t, b: length u32 · bytes)

K is the old row with the columns of its replica identity only (the others are sent as null), O the whole old row.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from struct import error as struct_error
from typing import NamedTuple, TypeAlias

from tailrace.errors import Fatal
from tailrace_postgres.lsn import format_lsn

_BEGIN = Struct(">QqI")
_COMMIT = Struct(">BQQq")
_ORIGIN = Struct(">Q")
_OID = Struct(">I")
_COUNT = Struct(">H")
_COLUMN_TYPE = Struct(">Ii")
_TRUNCATE = Struct(">IB")
_MESSAGE = Struct(">BQ")

_NEW, _KEY, _OLD = b"NKO"
_NULL, _UNCHANGED, _TEXT, _BINARY = b"nutb"


class MalformedMessage(Fatal):
    """The server sent bytes that are not pgoutput's, or ones that this version of Tailrace does not know."""


# Named tuples, not frozen dataclasses: one is made for every row, and they take a third of the time.


class Begin(NamedTuple):
    """A transaction begins; all of it follows, up to its commit. `time` is microseconds since 2000."""

    lsn: int
    time: int
    xid: int


class Commit(NamedTuple):
    """The transaction ends. `lsn` is its commit record's, `end` the byte after that."""

    lsn: int
    end: int
    time: int


class Origin(NamedTuple):
    """The transaction was replicated into this server from `name`."""

    lsn: int
    name: str


class RelationColumn(NamedTuple):
    """A column as of the changes that follow."""

    identity: bool
    name: str
    type_oid: int
    typmod: int


class Relation(NamedTuple):
    """The shape of a table as of the changes that follow."""

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[RelationColumn, ...]


class Type(NamedTuple):
    """A type that is not built in, used by the relation that follows."""

    oid: int
    schema: str
    name: str


class Insert(NamedTuple):
    """A new row."""

    relation: int
    new: bytes


class Update(NamedTuple):
    """A changed row. `whole` says that `old` has all columns rather than those of the identity."""

    relation: int
    old: bytes | None
    whole: bool
    new: bytes


class Delete(NamedTuple):
    """A row that is gone. `whole` as for updates."""

    relation: int
    old: bytes
    whole: bool


class Truncate(NamedTuple):
    """Tables that were emptied by one statement."""

    relations: tuple[int, ...]


class Message(NamedTuple):
    """What somebody wrote with `pg_logical_emit_message`."""

    transactional: bool
    lsn: int
    prefix: str
    content: bytes


LogicalMessage: TypeAlias = (
    Begin | Commit | Origin | Relation | Type | Insert | Update | Delete | Truncate | Message
)  # fmt: skip


def decode(data: bytes, lsn: int) -> LogicalMessage:
    """Return the message that `data` is; `lsn`, where the server sent it from, is for the error alone.

    Raises `MalformedMessage` for what is unknown, too short or too long.
    """
    try:
        decoder = _DECODERS[data[0]]
    except (IndexError, KeyError):
        raise _malformed(data, lsn, "the type is unknown") from None
    try:
        return decoder(data)
    except (struct_error, IndexError, ValueError) as error:
        raise _malformed(data, lsn, str(error)) from error


def _malformed(data: bytes, lsn: int, reason: str) -> MalformedMessage:
    kind = repr(chr(data[0])) if data else "an empty message"
    return MalformedMessage(
        f"pgoutput message {kind} at {format_lsn(lsn)}, {len(data)} bytes: {reason}",
        hint="the server speaks another version of the protocol, or the connection is damaged; please report it",
    )


def tuple_end(data: bytes, begin: int) -> int:
    """Return where the `TupleData` that begins at `begin` ends; raises `ValueError` when it is cut or unknown."""
    (columns,) = _COUNT.unpack_from(data, begin)
    at = begin + 2
    for _ in range(columns):
        kind = data[at]
        if kind in {_TEXT, _BINARY}:
            at += 5 + _OID.unpack_from(data, at + 1)[0]
        elif kind in {_NULL, _UNCHANGED}:
            at += 1
        else:
            raise ValueError(f"column kind {kind} is unknown")
    if at > len(data):
        raise ValueError("a row is cut short")
    return at


def _whole(data: bytes, end: int) -> None:
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes are left over" if end < len(data) else "it is cut short")


def _text(data: bytes, begin: int) -> tuple[str, int]:
    end = data.index(0, begin)
    return data[begin:end].decode(), end + 1


def _begin(data: bytes) -> Begin:
    _whole(data, 21)
    return Begin(*_BEGIN.unpack_from(data, 1))


def _commit(data: bytes) -> Commit:
    _whole(data, 26)
    flags, lsn, end, time = _COMMIT.unpack_from(data, 1)
    if flags:
        raise ValueError(f"flags {flags} are unknown")
    return Commit(lsn, end, time)


def _origin(data: bytes) -> Origin:
    name, end = _text(data, 9)
    _whole(data, end)
    return Origin(_ORIGIN.unpack_from(data, 1)[0], name)


def _relation(data: bytes) -> Relation:
    (oid,) = _OID.unpack_from(data, 1)
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    identity = chr(data[at])
    if identity not in "dfin":
        raise ValueError(f"replica identity {identity!r} is unknown")
    (count,) = _COUNT.unpack_from(data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        flags = data[at]
        if flags not in {0, 1}:
            raise ValueError(f"column flags {flags} are unknown")
        column, at = _text(data, at + 1)
        columns.append(RelationColumn(flags == 1, column, *_COLUMN_TYPE.unpack_from(data, at)))
        at += 8
    _whole(data, at)
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns))


def _type(data: bytes) -> Type:
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    _whole(data, at)
    return Type(_OID.unpack_from(data, 1)[0], schema or "pg_catalog", name)


def _insert(data: bytes) -> Insert:
    (relation,) = _OID.unpack_from(data, 1)
    _expect_new(data, 5)
    return Insert(relation, data[6:])


def _update(data: bytes) -> Update:
    (relation,) = _OID.unpack_from(data, 1)
    kind = data[5]
    if kind == _NEW:
        _expect_new(data, 5)
        return Update(relation, None, False, data[6:])  # noqa: FBT003 - a named tuple, on the hot path
    if kind not in {_KEY, _OLD}:
        raise ValueError(f"row kind {kind} is unknown")
    end = tuple_end(data, 6)
    _expect_new(data, end)
    return Update(relation, data[6:end], kind == _OLD, data[end + 1 :])


def _delete(data: bytes) -> Delete:
    (relation,) = _OID.unpack_from(data, 1)
    kind = data[5]
    if kind not in {_KEY, _OLD}:
        raise ValueError(f"row kind {kind} is unknown")
    _whole(data, tuple_end(data, 6))
    return Delete(relation, data[6:], kind == _OLD)


def _expect_new(data: bytes, at: int) -> None:
    if data[at] != _NEW:
        raise ValueError(f"row kind {data[at]} is unknown")
    _whole(data, tuple_end(data, at + 1))


def _truncate(data: bytes) -> Truncate:
    count, options = _TRUNCATE.unpack_from(data, 1)
    if options > 3:
        raise ValueError(f"options {options} are unknown")
    _whole(data, 6 + 4 * count)
    return Truncate(tuple(_OID.unpack_from(data, at)[0] for at in range(6, len(data), 4)))


def _message(data: bytes) -> Message:
    flags, lsn = _MESSAGE.unpack_from(data, 1)
    if flags > 1:
        raise ValueError(f"flags {flags} are unknown")
    prefix, at = _text(data, 10)
    (length,) = _OID.unpack_from(data, at)
    _whole(data, at + 4 + length)
    return Message(flags == 1, lsn, prefix, data[at + 4 :])


_DECODERS: dict[int, Callable[[bytes], LogicalMessage]] = {
    ord("B"): _begin,
    ord("C"): _commit,
    ord("O"): _origin,
    ord("R"): _relation,
    ord("Y"): _type,
    ord("I"): _insert,
    ord("U"): _update,
    ord("D"): _delete,
    ord("T"): _truncate,
    ord("M"): _message,
}
