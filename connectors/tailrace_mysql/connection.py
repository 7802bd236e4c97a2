"""One connection to a server: made, asked, and waited for without ever blocking in a read or write.

PyMySQL connects, encrypts and logs in; from then on the socket is ours, since PyMySQL can neither wait for several
connections at once nor give rows as they came. Every connection of a source has the same session settings, so that the
text of a value is the same wherever it comes from. It does not speak the replication protocol; `dump.py` does.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, TypeAlias

import pymysql
from pymysql.constants import CLIENT
from pymysql.err import MySQLError

from tailrace.errors import Fatal, Retriable
from tailrace_mysql.address import Address, Host, parse_url
from tailrace_mysql.channel import Channel
from tailrace_mysql.config import BinlogConfig
from tailrace_mysql.fault import LostConnection, connection_fault
from tailrace_mysql.packet import cells
from tailrace_mysql.result import Answer, Result
from tailrace_mysql.tls import context

Row: TypeAlias = tuple[str | None, ...]
Driver: TypeAlias = Any
"""PyMySQL's connection; its types leave out what we need of it."""
Purpose: TypeAlias = Literal["control", "dump", "snapshot"]

_QUIT, _QUERY = b"\x01", b"\x03"
_MANY = 1 << 30
_ONE_RECEIVE = 1 << 20

SESSION = (
    "time_zone = '+00:00'",
    "sql_mode = ''",
    "autocommit = 1",
    "sql_select_limit = 18446744073709551615",
    "sql_safe_updates = 0",
    "wait_timeout = 604800",  # a connection that waits for the log is not idle
    "net_read_timeout = 3600",
    "net_write_timeout = 3600",  # nor is a log that takes long a broken network
)
"""What decides how values are written, and what could end a connection of ours."""
_NO_LIMIT = {False: "max_execution_time = 0", True: "max_statement_time = 0"}
_RAW_TEXT = "character_set_results = NULL"
"""The snapshot gets each text in its column's own character set, as the binlog has it."""


class Connection:
    """An open connection. `channel` is its socket, for whoever waits for it beside others."""

    def __init__(self, driver: Driver, host: Host, query_timeout: float) -> None:
        self.host = host
        self.channel = Channel(driver._sock)  # noqa: SLF001 - it has no name for it
        # MariaDB says it is 5.5.5 first, since replicas of old knew no version above 9.
        self.version = str(driver.server_version).removeprefix("5.5.5-")
        self.id = int(driver.server_thread_id[0])
        self._driver = driver  # it closes the socket when it goes
        self._query_timeout = query_timeout
        self._answer: Answer | None = None
        self._silent = False  # whether a parting word would disturb

    @classmethod
    def open(cls, config: BinlogConfig, connector: str, purpose: Purpose, host: Host | None = None) -> Connection:
        """Connect to `host`, or to the first of the url's that answers.

        Raises `Fatal` where that cannot succeed (a wrong password), else `Retriable`.
        """
        address = parse_url(config.url.get_secret_value())
        faults: list[Fatal | Retriable] = []
        for candidate in (host,) if host is not None else address.hosts:
            try:
                return cls._open(config, address, f"tailrace {connector} {purpose}", purpose, candidate)
            except (Fatal, Retriable) as fault:
                faults.append(fault)
        # A host that is away may be the one that lets us in.
        raise next((fault for fault in faults if isinstance(fault, Retriable)), faults[0])

    @classmethod
    def _open(cls, config: BinlogConfig, address: Address, program: str, purpose: Purpose, host: Host) -> Connection:
        driver = _connected(address, host, config.connect_timeout, program)
        try:
            connection = cls(driver, host, config.query_timeout)
            settings = (*SESSION, _NO_LIMIT[connection.mariadb], *([_RAW_TEXT] if purpose == "snapshot" else []))
            connection.query(f"SET {', '.join(settings)}")
            connection.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        except BaseException:
            _hang_up(driver)
            raise
        return connection

    @property
    def mariadb(self) -> bool:
        """Whether the server is MariaDB."""
        return "MariaDB" in self.version

    @property
    def socket(self) -> socket.socket:
        """For `select`; what it does not tell, `pending` does."""
        return self.channel.socket

    @property
    def pending(self) -> bool:
        """Whether there is something to receive that the socket does not show."""
        return self.channel.pending

    @property
    def busy(self) -> bool:
        """Whether the answer to `post` has not come yet, or not whole."""
        return self._answer is not None

    def post(self, sql: str) -> None:
        """Send statements, separated by semicolons, and do not wait; `receive` or `collect` gets the answer."""
        self._settle()
        self.channel.send(_QUERY + sql.encode(), self._deadline())
        self._answer = Answer()

    def receive(self, most_bytes: int = _ONE_RECEIVE) -> Sequence[Result]:
        """Return the results of what was posted as far as they have come, the last one perhaps with rows to come.

        Never waits; reads about `most_bytes`. Take the rows out with `Result.take_rows`. Once `busy` is false all is
        there, and the results are not told again. Raises what `fault.py` makes of an error.
        """
        answer = self._answer
        if answer is None:
            return ()
        try:
            answer.feed(self.channel.receive(_MANY, most_bytes))
        finally:
            if answer.done:
                self._answer = None
        return answer.results

    def collect(self) -> Sequence[Result] | None:
        """Return the results of what was posted, all of them whole; None: they are not there yet."""
        results = self.receive()
        return None if self.busy else results

    def query(self, sql: str) -> list[Row]:
        """Run statements and return the rows of the last one as text; raises what `fault.py` makes of an error."""
        self.post(sql)
        results = self._wait()
        return [_text(row) for row in results[-1].rows] if results else []

    def command(self, payload: bytes) -> None:
        """Send a command that is no query, and wait for the server's OK; raises what `fault.py` makes of an error."""
        self._settle()
        self.channel.send(payload, self._deadline())
        self._answer = Answer()
        self._wait()

    def hand_over(self) -> Channel:
        """Return the channel for good, to somebody who speaks another protocol on it; only `close` is left here."""
        self._settle()
        self._silent = True
        return self.channel

    def one(self, sql: str) -> Row:
        """Return the one row that a query gives."""
        return self.query(sql)[0]

    def close(self) -> None:
        """Hang up; safe to call twice."""
        if self._answer is None and not self._silent:
            with suppress(LostConnection):
                # Else the server's log tells of an aborted connection.
                self.channel.send(_QUIT, time.monotonic())
        self._silent = True
        _hang_up(self._driver)

    def _wait(self) -> Sequence[Result]:
        deadline = self._deadline()
        while True:
            results = self.receive()
            if not self.busy:
                return results
            if not self.pending:
                self.channel.wait(deadline)

    def _settle(self) -> None:
        """Throw the rest of an answer away: the next one comes behind it."""
        if self._answer is not None:
            self._wait()

    def _deadline(self) -> float:
        return time.monotonic() + self._query_timeout


def literal(text: str) -> str:
    """Return `text` as an SQL literal; our sessions have no sql_mode that would read it in another way."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def _connected(address: Address, host: Host, timeout: int, program: str) -> Driver:
    encrypted = context(address.tls)
    plain = address.tls.mode == "DISABLED" or (bool(host.socket) and encrypted is None)
    driver: Driver = pymysql.connect(
        host=host.name, port=host.port, user=address.user or None, password=address.password.encode(),
        database=address.database or None, charset="utf8mb4", ssl=encrypted, ssl_disabled=plain,
        connect_timeout=timeout, read_timeout=timeout, write_timeout=timeout, client_flag=CLIENT.MULTI_STATEMENTS,
        program_name=program, defer_connect=True,
    )  # fmt: skip
    connected = None
    try:
        # Not left to PyMySQL, which would not close a socket that nobody answers.
        connected = _socket(host, timeout)
        if host.socket:
            # The server takes a password as it is where nobody can listen, and no proof of it; PyMySQL knows that only
            # of sockets that it made.
            driver._secure = True  # noqa: SLF001 - it has no other name
        driver.connect(connected)
    except (OSError, MySQLError, RuntimeError) as error:
        if connected is not None:
            connected.close()
        raise connection_fault(str(host), error) from None  # the cause's frames hold the password
    return driver


def _socket(host: Host, timeout: float) -> socket.socket:
    if not host.socket:
        made = socket.create_connection((host.name, host.port), timeout)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(timeout)
        made.connect(host.socket)
    except BaseException:
        made.close()
        raise
    return made


def _hang_up(driver: Driver) -> None:
    driver._force_close()  # noqa: SLF001 - close() would speak on a socket that is ours


def _text(row: bytes) -> Row:
    return tuple(None if cell is None else cell.decode(errors="replace") for cell in cells(row))
