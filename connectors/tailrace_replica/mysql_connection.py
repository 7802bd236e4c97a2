"""Connections to a MySQL or MariaDB destination, which notice when the other side is gone without a word.

A statement may take as long as it likes (an ALTER of a large table), so nothing that waits for one has a time limit.
The log-in has one; and a host that does not answer for about a minute is given up by the kernel's keep-alives.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from pymysql import Connection
    from pymysql.cursors import Cursor

_SETUP = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'"
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))
"""Seconds of silence, seconds between probes, probes; milliseconds that what was sent may go without an answer."""


def connected(url: str, timeout: int) -> Connection[Cursor]:
    """Return a connection that has logged in within `timeout` seconds for each answer; raises PyMySQL's errors."""
    import pymysql

    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    extra: dict[str, Any] = {}
    if "unix_socket" in options:
        extra["unix_socket"] = options["unix_socket"]
    if "ssl-ca" in options:
        extra["ssl"] = {"ca": options["ssl-ca"]}
    connection: Any = pymysql.connect(
        host=parts.hostname or "localhost",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        # As octets: of text PyMySQL would take Latin-1.
        password=cast("str", unquote(parts.password or "").encode()),
        database=unquote(parts.path.lstrip("/")) or None,
        charset="utf8mb4",
        init_command=_SETUP,
        connect_timeout=timeout,
        read_timeout=timeout,
        autocommit=False,
        defer_connect=True,
        **extra,
    )
    made = None if "unix_socket" in options else _socket(parts.hostname or "localhost", parts.port or 3306, timeout)
    try:
        connection.connect(made)
    except BaseException:
        if made is not None:
            made.close()
        raise
    connection._read_timeout = None  # noqa: SLF001 - it has no other name; statements may take their time
    return cast("Connection[Cursor]", connection)


def _socket(host: str, port: int, timeout: int) -> socket.socket:
    import pymysql

    try:
        made = socket.create_connection((host, port), timeout)
    except OSError as error:
        told = f"cannot connect to {host}:{port}: {error.strerror or error}"
        raise pymysql.err.OperationalError(2003, told) from error
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # not all systems have all of them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
