"""The database's side of a campaign: its server, its ground truth, and what only this kind of database has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from crash.dialect import Dialect, PostgresDialect
from crash.history import History, last_version, load_history
from crash.tables import TABLES, CrashTable, create_tables
from servers.postgres import UNSYNCED
from tailrace.demo.postgres import PostgresServer

SERVER_SETTINGS = {
    **UNSYNCED,
    "deadlock_timeout": "200ms",
    "wal_sender_timeout": "10s",
    # Commits of long transactions and big ones have to spill on the server too.
    "logical_decoding_work_mem": "1MB",
    "max_wal_size": "8GB",
}

QUIESCED_WAL = 16 * 1024 * 1024
"""Bytes that the slot may keep back once all is still."""

StopMode = Literal["fast", "immediate"]


class Server(Protocol):
    """What blows at a server need. A stop that is not fast is a crash."""

    def start(self) -> None: ...

    def stop(self, mode: StopMode = "fast", *, timeout: float = 30.0) -> None: ...

    def kill(self) -> None: ...


class Side(Protocol):
    """One kind of database; its server runs while it is entered."""

    tables: Sequence[CrashTable]
    options: Mapping[str, object]
    """Settings of the connector, its type among them."""

    @property
    def server(self) -> Server: ...

    @property
    def port(self) -> int: ...

    @property
    def url(self) -> str: ...

    @property
    def dialect(self) -> Dialect: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def create_tables(self) -> str:
        """Create what is captured, and the journal; return the collation of the text key."""
        ...

    def last_version(self) -> int: ...

    def history(self, table: CrashTable, settled: int | None) -> History: ...

    def rotate(self, committed: Mapping[str, object] | None, *, purge: bool) -> None:
        """Begin a new file of the log and, with `purge`, drop those that lie before the worker's position."""

    def problems(self, figures: dict[str, object]) -> Sequence[str]:
        """Return what is wrong with the server at the end; adds to the figures."""
        ...


class PostgresSide:
    """Postgres, of the version whose programs are in `bin_dir`."""

    tables: Sequence[CrashTable] = TABLES
    options: Mapping[str, object] = {"type": "postgres"}

    def __init__(self, bin_dir: Path) -> None:
        self.server = PostgresServer(bin_dir, settings=SERVER_SETTINGS)
        self.dialect: Dialect = PostgresDialect()

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return self.server.dsn()

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()

    def create_tables(self) -> str:
        with self.server.connect() as connection:
            return create_tables(connection)

    def last_version(self) -> int:
        with self.server.connect() as connection:
            return last_version(connection)

    def history(self, table: CrashTable, settled: int | None) -> History:
        with self.server.connect() as connection:
            return load_history(connection, table, settled=settled)

    def rotate(self, committed: Mapping[str, object] | None, *, purge: bool) -> None:
        with self.server.connect() as connection:
            connection.execute("SELECT pg_switch_wal()")

    def problems(self, figures: dict[str, object]) -> Sequence[str]:
        with self.server.connect() as connection:
            kept = connection.execute(
                "SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint"
                " FROM pg_replication_slots"
            ).fetchall()
        figures["slots"] = [list(slot) for slot in kept]
        return [f"slots keep back {kept}"] if len(kept) != 1 or int(str(kept[0][1])) > QUIESCED_WAL else []
