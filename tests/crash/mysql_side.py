"""MySQL's and MariaDB's side of a campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from crash.dialect import Dialect
from crash.history import History
from crash.mysql_dialect import MysqlDialect
from crash.mysql_tables import MYSQL_TABLES, create_tables, last_version, load_history
from crash.side import StopMode
from crash.tables import CrashTable
from servers.mysql_programs import Programs
from servers.mysql_server import MysqlServer

SERVER_SETTINGS = {"max_binlog_size": "4M"}
"""So that the binlog rotates by itself as well, in the middle of much."""


class Blows:
    """What blows do to a server that knows no immediate stop."""

    def __init__(self, server: MysqlServer) -> None:
        self._server = server

    def start(self) -> None:
        self._server.start()

    def stop(self, mode: StopMode = "fast", *, timeout: float = 30.0) -> None:
        if mode == "fast":
            self._server.stop(timeout=timeout)
        else:
            self._server.kill()

    def kill(self) -> None:
        self._server.kill()


class MysqlSide:
    """The flavour of `programs`."""

    tables: Sequence[CrashTable] = MYSQL_TABLES

    def __init__(self, programs: Programs) -> None:
        self._server = MysqlServer(programs, SERVER_SETTINGS)
        self.server = Blows(self._server)
        self.dialect: Dialect = MysqlDialect(self._server)
        self.options: Mapping[str, object] = {"type": programs.flavour}

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def url(self) -> str:
        return self._server.url()

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    def create_tables(self) -> str:
        return create_tables(self._server)

    def last_version(self) -> int:
        return last_version(self._server)

    def history(self, table: CrashTable, settled: int | None) -> History:
        return load_history(self._server, table, settled=settled)

    def rotate(self, committed: Mapping[str, object] | None, *, purge: bool) -> None:
        self._server.execute("FLUSH BINARY LOGS")
        file = committed.get("file") if committed is not None else None
        if purge and isinstance(file, str) and file:
            self._server.execute(f"PURGE BINARY LOGS TO '{file}'")

    def problems(self, figures: dict[str, object]) -> Sequence[str]:
        figures["binlogs"] = len(self._server.execute("SHOW BINARY LOGS"))
        return []
