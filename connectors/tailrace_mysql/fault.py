"""What errors of the server and of the connection mean: wait and retry, or stop and say what to do.

Numbers are those of "Server Error Message Reference" in MySQL's manual and of "MariaDB Error Code Reference".
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from typing import TypeAlias

from pymysql.err import MySQLError

from tailrace.errors import Fatal, Retriable

RESET = "`tailrace offsets reset CONFIG --connector NAME` takes a new snapshot"

_GRANTS = "grant the connector's user what is missing; `tailrace check` lists it"
_LOGIN = "check user, password, the hosts that the account may come from, and whether it must use TLS"

_FATAL: Mapping[int, str] = {
    1044: _GRANTS,
    1045: _GRANTS,  # what it means while logging in is in `_NO_LOGIN`
    1049: "check the database's name in the url",
    1130: "let the account come from this machine: CREATE USER '…'@'…'",
    1142: _GRANTS,
    1143: _GRANTS,
    1227: _GRANTS,
    1251: "the account's authentication is too old: give it caching_sha2_password",
    1698: _LOGIN,
    1820: "set a new password for the account",
    1862: "the password has expired: set a new one for the account",
    2026: "check ssl-mode and certificates in the url",
    2059: "the account authenticates in a way that is not supported: give it caching_sha2_password",
    3118: "unlock the account: ALTER USER … ACCOUNT UNLOCK",
    3159: "the server wants TLS: set ssl-mode=REQUIRED in the url",
    4151: "unlock the account: ALTER USER … ACCOUNT UNLOCK",
}

_NO_LOGIN = 1045

_PATIENT: Mapping[int, str] = {
    1021: "the server's disk is full; it is tried again until there is room",
    1040: "the server is out of connections; it is tried again until there is one",
    1053: "the server is shutting down",
    1129: "the server blocks this machine after many failed connections: FLUSH HOSTS, or mysqladmin flush-hosts",
    1203: "the account is out of connections; it is tried again until there is one",
    1226: "the account has used up what it may have; it is tried again",
    3032: "the server is in offline mode",
}

_RETRIABLE = frozenset(
    {
        1037, 1038, 1041,  # out of memory
        1152, 1153, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184,  # the network
        1205, 1213, 1317, 1969, 3024,  # a lock, a deadlock, an interrupted query, too long a one
        1412,  # the table was changed after the snapshot of the transaction was taken
        1927, 1077, 2002, 2003, 2006, 2013, 4031,  # killed, stopped, gone
    }
)  # fmt: skip

_CLIENT_ERRORS = range(2000, 2100)
"""What PyMySQL says, not the server."""

_AWAY = re.compile(
    r"refused|unreachable|no route|timed out|no such file|name or service|temporary failure", re.IGNORECASE
)


TailraceFault: TypeAlias = Fatal | Retriable


class ServerFault(Fatal):
    """The server refuses a statement, and would again; `number` is its error number."""

    def __init__(self, number: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.number = number


class PassingServerFault(Retriable):
    """The server cannot do something now; `number` is its error number."""

    def __init__(self, number: int, message: str, *, hint: str = "", patient: bool = False) -> None:
        super().__init__(message, hint=hint, retry_after=1.0, patient=patient)
        self.number = number


class LostConnection(Retriable):
    """A connection broke, or was given up."""


class NoAnswer(LostConnection):
    """The server did not answer in time."""


class DamagedEvent(LostConnection):
    """An event did not come as it was written. `after` is the place behind which it stands, as far as that is known."""

    def __init__(self, kind: int, size: int, *, after: str = "") -> None:
        self.kind, self.size = kind, size
        super().__init__(
            f"binlog event of type {kind}, {size} octets, {after and f'behind {after}, '}is damaged: its checksum does "
            "not fit",
            hint="where it comes again it was not damaged on its way but lies so in the server's file: see whether "
            "`mysqlbinlog --verify-binlog-checksum` can read it, or connect to another host that has it",
        )


def server_fault(number: int, message: str) -> ServerFault | PassingServerFault:
    """Return what an error packet means."""
    text = f"the server says: {_one_line(message)} ({number})"
    if number in _PATIENT:
        return PassingServerFault(number, text, hint=_PATIENT[number], patient=True)
    if number in _RETRIABLE:
        return PassingServerFault(number, text)
    return ServerFault(number, text, hint=_FATAL.get(number, ""))


def connection_fault(host: str, error: Exception) -> Fatal | Retriable:
    """Return what it means that no connection to `host` came about."""
    cause = getattr(error, "original_exception", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Fatal(
            f"cannot connect to {host}: the server's certificate is not believed: {cause.verify_message}",
            hint="set ssl-ca to the authority that signed it; with VERIFY_IDENTITY it must name the host of the url",
        )
    if isinstance(cause, ssl.SSLError):
        return Fatal(
            f"cannot connect to {host}: TLS fails: {_one_line(cause.reason or str(cause))}",
            hint="check ssl-mode and certificates in the url",
        )
    if isinstance(cause, (OSError, socket.gaierror)):
        text = _one_line(str(cause)) or type(cause).__name__
        away = isinstance(cause, (socket.gaierror, TimeoutError, ConnectionError)) or bool(_AWAY.search(text))
        return Retriable(
            f"cannot connect to {host}: {text}", hint="is the server up, and the address right?", patient=away
        )
    if isinstance(cause, MySQLError) and len(cause.args) >= 2 and isinstance(cause.args[0], int):
        number, message = cause.args[0], _one_line(str(cause.args[1]))
        if number in _CLIENT_ERRORS:
            hint = _FATAL.get(number, "is the server up, and the address right?")
            text = f"cannot connect to {host}: {message}"
            return Fatal(text, hint=hint) if number in _FATAL else Retriable(text, hint=hint, patient=True)
        fault = server_fault(number, message)
        if number == _NO_LOGIN:
            fault.hint = _LOGIN
        fault.message = f"cannot connect to {host}: {fault.message}"
        return fault
    return Fatal(f"cannot connect to {host}: {_one_line(str(cause))}", hint=_FATAL[2059])


def lost_connection(message: str) -> LostConnection:
    """Return what it means that a connection broke."""
    return LostConnection(f"the connection to the server is lost: {_one_line(message)}")


def _one_line(message: str) -> str:
    return " ".join(message.split())
