"""Events of the binlog: which kinds there are, and what becomes of each.

`decode` returns what an event says. The kinds that say nothing about rows, transactions or tables are listed with the
reason for leaving them out and come as `Skipped`; kinds that cannot be told as row changes, and kinds that are
unknown, are refused. Nothing is ever dropped. Rows are cut and read elsewhere (`rows.py`, `row.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import error as struct_error
from typing import TypeAlias

from tailrace_mysql import control, fragment, marker, query, rows, tablemap
from tailrace_mysql.body import Body
from tailrace_mysql.control import FormatDescription, GtidList, Heartbeat, Incident, PreviousGtids, Rotate
from tailrace_mysql.fragment import RowsFragment
from tailrace_mysql.header import HEADER_SIZE, Header, MalformedEvent, UnsupportedEvent, header_of, place
from tailrace_mysql.marker import BranchId, Gtid, MariadbGtid, XaPrepare, Xid
from tailrace_mysql.payload import TRANSACTION_PAYLOAD, TransactionPayload, transaction_payload
from tailrace_mysql.query import Query, Statement
from tailrace_mysql.rows import Images, RowOp, Rows
from tailrace_mysql.tablemap import TableMap, TableMapped

__all__ = [
    "BranchId", "Event", "FormatDescription", "Gtid", "GtidList", "Header", "Heartbeat", "Images", "Incident",
    "MalformedEvent", "MariadbGtid", "PreviousGtids", "Query", "Rotate", "RowOp", "Rows", "RowsFragment", "Skipped",
    "Statement",
    "TableMap", "TableMapped", "TransactionPayload", "UnsupportedEvent", "XaPrepare", "Xid", "decode",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event that says nothing about rows; `reason` says why that is so."""

    header: Header
    reason: str


Event: TypeAlias = (
    Rotate | FormatDescription | Heartbeat | Incident | GtidList | PreviousGtids | Gtid | MariadbGtid | Xid | XaPrepare
    | Query | Statement | TableMapped | Rows | RowsFragment | TransactionPayload | Skipped
)  # fmt: skip

_Decoder: TypeAlias = Callable[[Header, Body], Event]

_DECODERS: Mapping[int, _Decoder] = {
    2: query.query,
    4: control.rotate,
    15: control.format_description,
    16: marker.xid,
    19: tablemap.table_mapped,
    23: rows.rows,
    24: rows.rows,
    25: rows.rows,
    26: control.incident,
    27: control.heartbeat,
    29: query.rows_query,
    30: rows.rows,
    31: rows.rows,
    32: rows.rows,
    33: marker.gtid,
    34: marker.gtid,
    35: control.previous_gtids,
    38: marker.xa_prepare,
    39: rows.rows,
    TRANSACTION_PAYLOAD: transaction_payload,
    41: control.heartbeat_v2,
    42: marker.tagged_gtid,
    160: query.annotate,
    162: marker.mariadb_gtid,
    163: control.gtid_list,
    165: query.compressed_query,
    166: rows.rows,
    167: rows.rows,
    168: rows.rows,
    169: rows.rows,
    170: rows.rows,
    171: rows.rows,
    172: fragment.rows_fragment,
}

SKIPPED: Mapping[int, str] = {
    3: "the server stopped; the next file follows",
    5: "a value for a statement that was logged as text; its rows are not here, and the statement itself is refused",
    13: "a value for a statement that was logged as text",
    14: "a value for a statement that was logged as text",
    28: "the server itself says that it may be ignored",
    36: "for the certification of group replication",
    37: "group replication has other members",
    161: "which files MariaDB needs for its own recovery",
    164: "the file is encrypted at rest; the server sends it decrypted",
}
"""The kinds that are left out, and why."""

_STATEMENTS = "rows are only known from a binlog in row format: set binlog_format = ROW, also in every session"
UNSUPPORTED: Mapping[int, tuple[str, str]] = {
    17: ("a LOAD DATA in statement format begins", _STATEMENTS),
    18: ("a LOAD DATA in statement format", _STATEMENTS),
    9: ("a block of a LOAD DATA in statement format", _STATEMENTS),
    11: ("a LOAD DATA in statement format was given up", _STATEMENTS),
}
"""The kinds that cannot be told as row changes: what they are, and the mend."""

_UNKNOWN = (
    "this version of Tailrace does not know it, and going on could lose rows: upgrade Tailrace, or report the type and "
    "the server's version"
)


PLAIN = frozenset(bytes((kind,)) for kind in (19, 23, 24, 25, 30, 31, 32, 166, 167, 168, 169, 170, 171))
"""Table maps and rows, which the compiled core reads: the octet behind an event's time."""


def decode(event: bytes, file: str = "") -> Event:
    """Return what a whole event says: its header and its body, without a checksum. `file` is for errors alone.

    Raises `UnsupportedEvent` for kinds that cannot be told as row changes, `MalformedEvent` for kinds that are
    unknown and for bodies that are too short, too long or strange.
    """
    header = header_of(event, file)
    kind = header.type
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return _left_out(header, file)
    try:
        return decoder(header, Body(event, HEADER_SIZE))
    except (ValueError, IndexError, struct_error) as error:
        raise MalformedEvent(
            f"binlog event of type {kind} in {place(header, file)}, {header.size} octets: {error}",
            hint="the binlog or the connection is damaged, or the server writes another version of the format",
        ) from error


def _left_out(header: Header, file: str) -> Skipped:
    kind = header.type
    if kind in SKIPPED:
        return Skipped(header, SKIPPED[kind])
    if kind in UNSUPPORTED:
        what, mend = UNSUPPORTED[kind]
        raise UnsupportedEvent(f"binlog event of type {kind} in {place(header, file)}: {what}", hint=mend)
    raise MalformedEvent(f"binlog event of the unknown type {kind} in {place(header, file)}", hint=_UNKNOWN)
