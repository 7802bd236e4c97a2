"""What errors of the server and of the connection mean: wait and retry, or stop and say what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from psycopg import pq

from tailrace.errors import Fatal, Retriable, TailraceError

_FATAL_STATES: Mapping[str, str] = {
    "28": "check user, password and pg_hba.conf",
    "3D": "check the database's name in the url",
    "42501": "grant the connector's user what is missing; `tailrace check` lists it",
}

_PATIENT_STATES = ("57P01", "57P02", "57P03", "57P05", "53")  # shutting down, starting up, full

_RETRIABLE_STATES = ("08", "40", "55006", "55P03", "57014", "25006")

_HINTS: Mapping[str, str] = {
    "55006": "another process streams from the slot; if it is a dead one of ours, the server notices shortly",
    "25006": "the server is a standby; the url must lead to the primary",
    "53": "the server is out of connections, memory or disk; it is tried again until there is room",
}

_NEVER = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|not permitted to log in|no password supplied|"
    r"permission denied|certificate|sslmode|SSL is not enabled|does not support SSL|invalid (?:port|connection)|"
    r"password must|must be (?:superuser|owner)|replication role",
    re.IGNORECASE,
)
"""libpq gives no SQLSTATE for a connection that fails, so its words must do; in another language they fail to match,
and a wrong password is then tried again a few times before the task gives up."""

_NO_SOCKET = re.compile(r"No such file or directory", re.IGNORECASE)

_AWAY = re.compile(
    r"refused|timeout|timed out|No such file|could not translate host name|unreachable|No route|starting up|"
    r"shutting down|recovery mode|not yet accepting|too many (?:clients|connections)|remaining connection slots|"
    r"terminated abnormally|reset by peer|closed the connection unexpectedly|administrator command",
    re.IGNORECASE,
)


def server_fault(result: pq.abc.PGresult) -> TailraceError:
    """Return what a result that is an error means, by its SQLSTATE."""
    state = field(result, pq.DiagnosticField.SQLSTATE)
    message = field(result, pq.DiagnosticField.MESSAGE_PRIMARY) or result.get_error_message()
    hint = field(result, pq.DiagnosticField.MESSAGE_HINT)
    if not state:
        return lost_connection(result.get_error_message())
    text = f"postgres says: {message} ({state})"
    for prefix, mend in _FATAL_STATES.items():
        if state.startswith(prefix):
            return Fatal(text, hint=mend)
    mend = next((words for prefix, words in _HINTS.items() if state.startswith(prefix)), hint)
    if state.startswith(_PATIENT_STATES):
        return Retriable(text, hint=mend, retry_after=1.0, patient=True)
    if state.startswith(_RETRIABLE_STATES):
        return Retriable(text, hint=mend, retry_after=1.0)
    return Fatal(text, hint=mend)


def sqlstate(result: pq.abc.PGresult) -> str:
    """Return the SQLSTATE of a result, "" where it has none."""
    return field(result, pq.DiagnosticField.SQLSTATE)


def connection_fault(message: str) -> TailraceError:
    """Return what it means that no connection came about."""
    text = f"cannot connect: {_one_line(message)}"
    if _NEVER.search(message) and not _NO_SOCKET.search(message):
        return Fatal(text, hint="check user, password, database and TLS settings in the url, and pg_hba.conf")
    if _AWAY.search(message):
        return Retriable(text, hint="is the server up, and the address right?", patient=True)
    return Retriable(text)


def lost_connection(message: str) -> Retriable:
    """Return what it means that a connection broke."""
    return Retriable(f"the connection to postgres is lost: {_one_line(message)}")


def field(result: pq.abc.PGresult, name: pq.DiagnosticField) -> str:
    """Return a field of an error, "" where it has none."""
    value = result.error_field(name)
    return "" if value is None else bytes(value).decode(errors="replace")


def _one_line(message: str) -> str:
    return " ".join(message.split())
