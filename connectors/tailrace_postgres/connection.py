"""One libpq connection: made, asked, and waited for without ever blocking in a read or write.

Every connection of a source has the same session settings, so that the text of a value is the same wherever it comes
from. It does not speak the replication protocol; `replication.py` does.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence
from typing import Literal

from psycopg import OperationalError, ProgrammingError, conninfo, pq

from tailrace.errors import ConfigError, Retriable
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.fault import connection_fault, lost_connection, server_fault

Row = tuple[str | None, ...]

SESSION: Mapping[str, str] = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "search_path": "pg_catalog",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "off",
    "synchronous_commit": "local",  # a commit of ours is there to make the log durable (`opening.make_durable`)
    "row_security": "off",  # a row that a policy hides must be an error, not a row less
}
"""What decides how values are written, and what could end a connection of ours."""

Purpose = Literal["control", "replication", "snapshot"]


class NoAnswer(Retriable):
    """The server did not answer in time."""


class Connection:
    """An open connection. `pgconn` is libpq's, in non-blocking mode, for whoever waits for it beside others."""

    def __init__(self, pgconn: pq.abc.PGconn, query_timeout: float) -> None:
        self.pgconn = pgconn
        self._query_timeout = query_timeout
        self._posted = False
        pgconn.nonblocking = 1

    @classmethod
    def open(cls, config: PostgresConfig, connector: str, purpose: Purpose) -> Connection:
        """Connect; raises `Fatal` where that cannot succeed (a wrong password), else `Retriable`."""
        # Not PQconnectdb: it can be interrupted by nothing, and lets no other thread run.
        pgconn = pq.PGconn.connect_start(connection_string(config, connector, purpose).encode())
        try:
            _connect(pgconn, time.monotonic() + config.connect_timeout)
        except BaseException:
            pgconn.finish()
            raise
        pgconn.notice_handler = None
        return cls(pgconn, config.query_timeout)

    @property
    def server_version(self) -> int:
        """As libpq writes it: 150018 is 15.18."""
        return self.pgconn.server_version

    @property
    def busy(self) -> bool:
        """Whether the answer to `post` has not come yet."""
        return self._posted

    def post(self, sql: str) -> None:
        """Send one statement and do not wait; `collect` gets the answer, and `query` throws it away."""
        self.send(sql)
        self._posted = True

    def send(self, sql: str) -> None:
        """Send one statement; `results` waits for the answer."""
        try:
            self.pgconn.send_query(sql.encode())
            self.pgconn.flush()
        except OperationalError as error:
            raise lost_connection(str(error)) from error

    def collect(self) -> list[pq.abc.PGresult] | None:
        """Return the results of what was posted, errors included; None: they are not there yet."""
        try:
            self.pgconn.flush()
            self.pgconn.consume_input()
            if self.pgconn.is_busy():
                return None
            results = []
            while (result := self.pgconn.get_result()) is not None:
                results.append(result)
        except OperationalError as error:
            raise lost_connection(str(error)) from error
        self._posted = False
        return results

    def query(self, sql: str, params: Sequence[str | None] = ()) -> list[Row]:
        """Run one statement, return its rows as text; raises what `fault.py` makes of an error."""
        try:
            self._settle()
            if params:
                self.pgconn.send_query_params(sql.encode(), [None if p is None else p.encode() for p in params])
            else:
                self.pgconn.send_query(sql.encode())
            results = self.results(time.monotonic() + self._query_timeout)
        except OperationalError as error:
            raise lost_connection(str(error)) from error
        return rows_of(results[-1]) if results else []

    def _settle(self) -> None:
        if self._posted:
            deadline = time.monotonic() + self._query_timeout
            while self.next_result(deadline) is not None:
                pass
            self._posted = False

    def results(self, deadline: float) -> list[pq.abc.PGresult]:
        """Wait for the results of what was sent, all of them good; raises `NoAnswer` at `deadline`."""
        results = []
        while (result := self.next_result(deadline)) is not None:
            results.append(result)
            if result.status in {pq.ExecStatus.COPY_BOTH, pq.ExecStatus.COPY_OUT}:
                break
        for result in results:
            check(result)
        return results

    def next_result(self, deadline: float) -> pq.abc.PGresult | None:
        """Wait for one result; None: there is no more of them."""
        try:
            self.flush(deadline)
            while self.pgconn.is_busy():
                self.wait(deadline)
                self.pgconn.consume_input()
            return self.pgconn.get_result()
        except OperationalError as error:
            raise lost_connection(str(error)) from error

    def flush(self, deadline: float) -> None:
        """Wait until all that was put has been sent; raises `NoAnswer` at `deadline`."""
        while self.pgconn.flush():
            _, writable, _ = select.select([self.pgconn.socket], [self.pgconn.socket], [], _until(deadline))
            if not writable:
                self.pgconn.consume_input()
            if time.monotonic() > deadline:
                raise NoAnswer("the server takes nothing", hint="it is overloaded, or the network is broken")

    def wait(self, deadline: float) -> None:
        """Wait until there is something to read; raises `NoAnswer` at `deadline`."""
        readable, _, _ = select.select([self.pgconn.socket], [], [], _until(deadline))
        if not readable:
            raise NoAnswer("no answer from the server", hint="it is overloaded, or the network is broken")

    def literal(self, text: str) -> str:
        """Return `text` as an SQL literal."""
        return pq.Escaping(self.pgconn).escape_literal(text.encode()).decode()

    def identifier(self, name: str) -> str:
        """Return `name` as an SQL identifier."""
        return pq.Escaping(self.pgconn).escape_identifier(name.encode()).decode()

    def close(self) -> None:
        """Hang up."""
        self.pgconn.finish()


def _connect(pgconn: pq.abc.PGconn, deadline: float) -> None:
    """Wait until the connection is made; raises what `fault.py` makes of it if it is not."""
    state: int = pq.PollingStatus.WRITING
    while state != pq.PollingStatus.OK:
        if state == pq.PollingStatus.FAILED or pgconn.status == pq.ConnStatus.BAD:
            raise connection_fault(pgconn.get_error_message())
        reads = [pgconn.socket] if state == pq.PollingStatus.READING else []
        writes = [] if reads else [pgconn.socket]
        if not any(select.select(reads, writes, [], _until(deadline))):
            raise connection_fault("timeout: the server does not answer")
        state = pgconn.connect_poll()


def connection_string(config: PostgresConfig, connector: str, purpose: Purpose) -> str:
    """Return what libpq is given: the user's settings, with ours where they matter."""
    try:
        given = conninfo.conninfo_to_dict(config.url.get_secret_value())
    except ProgrammingError:
        # Not chained: the error quotes the string, password and all.
        raise ConfigError(
            "the url is not a connection string", hint="postgresql://user:password@host:5432/database"
        ) from None
    settings: dict[str, str] = {key: str(value) for key, value in given.items() if value is not None}
    session = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    settings["options"] = f"{settings.get('options', '')} {session}".strip()
    settings["client_encoding"] = "UTF8"
    settings.setdefault("connect_timeout", str(config.connect_timeout))
    settings.setdefault("application_name", f"tailrace {connector} {purpose}")
    settings.setdefault("fallback_application_name", "tailrace")
    settings.setdefault("keepalives_idle", "30")
    settings.setdefault("keepalives_interval", "10")
    settings.setdefault("keepalives_count", "3")
    # All connections of a source must reach the one server that has the slot.
    settings.setdefault("target_session_attrs", "read-write" if "," in settings.get("host", "") else "any")
    if purpose == "replication":
        settings["replication"] = "database"
    return conninfo.make_conninfo("", **settings)


def check(result: pq.abc.PGresult) -> None:
    """Raise what `fault.py` makes of a result that is an error."""
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise server_fault(result)


def rows_of(result: pq.abc.PGresult) -> list[Row]:
    """Return the rows of a result, as text."""
    return [
        tuple(_text(result.get_value(row, column)) for column in range(result.nfields)) for row in range(result.ntuples)
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).decode()


def _until(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
