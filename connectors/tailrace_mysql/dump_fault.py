"""What it means when the server ends a dump with an error: nearly always its text tells, since the number is 1236.

The texts are those of MySQL 8.0 to 9.7 and of MariaDB 10.5 to 11.
"""

from __future__ import annotations

import re

from tailrace.errors import Fatal
from tailrace_mysql.control import Incident
from tailrace_mysql.fault import RESET, PassingServerFault, ServerFault, TailraceFault, server_fault

_GONE = "what is missing cannot be had from this server any more: "
_CHOICES = f"{RESET}; `tailrace offsets set` to a position that is still there goes on and leaves the gap"


class Purged(Fatal):
    """What follows the position is gone from the server's binlog."""


class Diverged(Fatal):
    """The server's binlog never had what the position names: it is another server, or one that lost transactions."""


_MEANINGS: tuple[tuple[re.Pattern[str], type[Fatal], str], ...] = (
    (
        re.compile(
            r"has more GTIDs than|diverged|extra erroneous|position > file size|impossible position|bogus data|"
            r"is not in the master"
        ),
        Diverged,
        "the server has lost transactions, or the url leads to another one: let it lead to the right server, or "
        + _CHOICES,
    ),
    (
        re.compile(
            r"purged|could not find (?:first|next) log|not find GTID state|could not open log file", re.IGNORECASE
        ),
        Purged,
        _GONE + _CHOICES,
    ),
    (
        re.compile(r"same server_uuid/server_id", re.IGNORECASE),
        Fatal,
        "another replica has our number: a second worker with this connector's name, or a server; set `server_id`",
    ),
    (re.compile(r"Binary log is not open", re.IGNORECASE), Fatal, "set log-bin in my.cnf and restart the server"),
    (
        re.compile(r"max_allowed_packet", re.IGNORECASE),
        Fatal,
        "raise max_allowed_packet (MariaDB: slave_max_allowed_packet) of the server",
    ),
)


def incident_fault(incident: Incident, place: str) -> Fatal:
    """Return what it means that the server says it left something out of its binlog."""
    return Fatal(
        f"{place}: the server left something out, {incident.kind} {incident.message}",
        hint="what it was cannot be told: start the snapshot anew with `tailrace offsets reset`",
    )


_FATAL_READ_ERROR = 1236
_NO_SUCH_GTID = {1945, 1955}
_SKIPPED_GTID = 1962


def dump_fault(number: int, message: str) -> TailraceFault:
    """Return what the error that ends a dump means."""
    text = " ".join(message.split())
    if number in _NO_SUCH_GTID or number == _SKIPPED_GTID:
        return Purged(f"the server says: {text} ({number})", hint=_GONE + _CHOICES)
    for pattern, kind, hint in _MEANINGS:
        if pattern.search(text):
            return kind(f"the server says: {text} ({number})", hint=hint)
    if number != _FATAL_READ_ERROR:
        return server_fault(number, message)
    if "error reading" in text.lower() or "truncated in the middle" in text.lower():
        return PassingServerFault(number, f"the server says: {text} ({number})", hint="look at the server's disk")
    return ServerFault(number, f"the server says: {text} ({number})", hint=_CHOICES)
