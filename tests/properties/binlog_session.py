"""Connections to the modelled server: they take statements as SQL, and others do something while they wait."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence

from properties.binlog_server import TABLES, Server
from tailrace_mysql.address import Host
from tailrace_mysql.fault import lost_connection, server_fault
from tailrace_mysql.packet import cells
from tailrace_mysql.result import Result

Cells = Sequence[str | int]

_TURNS_OF_A_LOCK = 12
"""How often a lock is tried before the server gives up."""
_CREATE = "CREATE TABLE `{}` (\n  `id` int NOT NULL,\n  `version` int NOT NULL{}\n) ENGINE=InnoDB"


class Waits(Exception):
    """The statement cannot go on as long as somebody else holds the table."""


class ModelSession:
    """A connection that is asked as `tailrace_mysql.connection.Connection` is."""

    socket = None
    pending = False

    def __init__(self, server: Server) -> None:
        self.host = Host()
        self.version = "10.11.6-MariaDB" if server.mariadb else "9.7.0"
        self._server = server
        self._todo: deque[str] = deque()
        self._results: list[Result] = []
        self._late: list[bytes] = []
        self._view: frozenset[int] | None = None
        self._view_end = ("", 0)
        self._read = ""
        self._locks = ""
        self._waited = 0
        self.busy = False

    def post(self, sql: str) -> None:
        self._settle()
        self._todo.extend(sql.split("; "))
        self._results, self.busy = [], True

    def receive(self, _: int = 0) -> Sequence[Result]:
        if not self.busy:
            return ()
        rng = self._server.rng
        self._server.tick()
        chance = rng.random()
        if chance < 0.0005 and not self._server.quiet:
            raise lost_connection("it was cut")
        if chance < 0.4:
            return self._results
        if self._late:
            count = rng.randint(1, len(self._late))
            self._results[-1].rows += self._late[:count]
            del self._late[:count]
        elif self._todo:
            self._step(self._todo[0])
        if not self._todo and not self._late:
            self.busy = False
        return self._results

    def collect(self) -> Sequence[Result] | None:
        results = self.receive()
        return None if self.busy else results

    def query(self, sql: str) -> list[tuple[str | None, ...]]:
        self.post(sql)
        self._settle()
        return [tuple(_cells(row)) for row in self._results[-1].rows]

    def one(self, sql: str) -> tuple[str | None, ...]:
        return self.query(sql)[0]

    def close(self) -> None:
        self._todo.clear()
        self.busy = False
        self._end()
        self._unlock()

    def _settle(self) -> None:
        while self.busy:
            self.receive()

    def _step(self, sql: str) -> None:
        try:
            rows = self._run(sql)
        except Waits:
            self._waited += 1
            if sql.startswith("LOCK") and self._waited >= _TURNS_OF_A_LOCK:
                raise self._fault(1205, "Lock wait timeout exceeded") from None
            return
        self._waited = 0
        self._todo.popleft()
        payloads = [_payload(row) for row in rows]
        self._results.append(Result(done=True))
        if sql.startswith("SELECT `"):
            self._late = payloads
        else:
            self._results[-1].rows = payloads

    def _fault(self, number: int, message: str) -> Exception:
        self._todo.clear()
        self.busy, self._waited = False, 0
        return server_fault(number, message)

    def _run(self, sql: str) -> Sequence[Cells]:
        for pattern, answer in _ANSWERS.items():
            if (found := re.match(pattern, sql)) is not None:
                return answer(self, found)
        raise AssertionError(f"the model does not know: {sql}")

    # --- answers

    def _nothing(self, _: re.Match[str]) -> Sequence[Cells]:
        return []

    def _variables(self, _: re.Match[str]) -> Sequence[Cells]:
        server = self._server
        told: dict[str, str | int] = {"binlog_format": "ROW", "version": self.version, "lower_case_table_names": 0}
        if server.mariadb:
            told |= {"gtid_domain_id": 0, "server_id": server.identity}
        else:
            told |= {"server_uuid": f"server {server.identity}", "gtid_mode": "ON" if server.gtids else "OFF"}
        return list(told.items())

    def _tables(self, _: re.Match[str]) -> Sequence[Cells]:
        return [("d", table, 0) for table in TABLES]

    def _declared(self, found: re.Match[str]) -> Sequence[Cells]:
        if self._locks not in {"", found[1]}:
            raise self._fault(1100, "Table was not locked with LOCK TABLES")
        return [(found[1], _CREATE.format(found[1], "" if self._server.keyless else ",\n  PRIMARY KEY (`id`)"))]

    def _status(self, _: re.Match[str]) -> Sequence[Cells]:
        log = self._server.log
        return [(log.file, log.end, "", "", str(self._server.executed))]

    def _owned(self, _: re.Match[str]) -> Sequence[Cells]:
        return [(self._server.owned(),)]

    def _executed(self, _: re.Match[str]) -> Sequence[Cells]:
        return [(str(self._server.executed), "")]

    def _written(self, _: re.Match[str]) -> Sequence[Cells]:
        numbers = [logged.number for logged in self._server.log.logged]
        return [(self._server.gtid_position(numbers[-1] if numbers else 0),)]

    def _written_at(self, found: re.Match[str]) -> Sequence[Cells]:
        return [(self._server.gtid_position(self._server.log.last_before(found[1], int(found[2]))),)]

    def _files(self, _: re.Match[str]) -> Sequence[Cells]:
        return list(self._server.log.files.items())

    def _begin(self, _: re.Match[str]) -> Sequence[Cells]:
        self._end()
        self._view = frozenset(self._server.over)
        self._view_end = self._server.visible_end()
        return []

    def _viewed(self, _: re.Match[str]) -> Sequence[Cells]:
        file, pos = self._view_end
        return [("Binlog_snapshot_file", file), ("Binlog_snapshot_position", pos)]

    def _commit(self, _: re.Match[str]) -> Sequence[Cells]:
        self._end()
        return []

    def _lock(self, found: re.Match[str]) -> Sequence[Cells]:
        if not self._server.lock(found[1]):
            raise Waits
        self._locks = found[1]
        return []

    def _unlocked(self, _: re.Match[str]) -> Sequence[Cells]:
        self._unlock()
        return []

    def _rows(self, found: re.Match[str]) -> Sequence[Cells]:
        server, table = self._server, found[2]
        if any(writer.emptied == table for writer in server.writers):
            raise Waits
        if self._view is not None and server.truncated[table] not in {0, *self._view}:
            raise self._fault(1412, "Table definition has changed, please retry transaction")
        lower, upper, limit = (
            re.search(what, found[3]) for what in (r"`id` > (\d+)", r"`id` <= (\d+)", r"LIMIT (\d+)")
        )
        rows = server.rows(table, server.over if self._view is None else self._view)
        if self._view is not None and self._read != table:
            self._read = table
            server.readers.append(table)
        rows = [row for row in rows if (lower is None or row[0] > int(lower[1]))]
        rows = [row for row in rows if (upper is None or row[0] <= int(upper[1]))]
        if limit is not None:
            return [row[:1] for row in rows[int(limit[1]) : int(limit[1]) + 2]]
        return rows

    def _end(self) -> None:
        self._view = None
        if self._read:
            self._server.readers.remove(self._read)
            self._read = ""

    def _unlock(self) -> None:
        if self._locks:
            self._server.locked = self._locks = ""


_ANSWERS: dict[str, Callable[[ModelSession, re.Match[str]], Sequence[Cells]]] = {
    r"SET ": ModelSession._nothing,
    r"SHOW GLOBAL VARIABLES": ModelSession._variables,
    r"\s*SELECT table_schema": ModelSession._tables,
    r"\s*SELECT schema_name": lambda _, __: [("d", "utf8mb4", "utf8mb4_bin")],
    r"SELECT 1 FROM information_schema.tables": lambda _, __: [(1,)],
    r"SHOW CREATE TABLE `d`\.`(\w)`": ModelSession._declared,
    r"SHOW (?:BINARY LOG|BINLOG) STATUS": ModelSession._status,
    r"SELECT @@GLOBAL.gtid_owned": ModelSession._owned,
    r"SELECT @@GLOBAL.gtid_executed": ModelSession._executed,
    r"SELECT @@GLOBAL.gtid_binlog_pos": ModelSession._written,
    r"SELECT BINLOG_GTID_POS\('(.*)', (\d+)\)": ModelSession._written_at,
    r"SHOW BINARY LOGS": ModelSession._files,
    r"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY": ModelSession._begin,
    r"SHOW STATUS LIKE 'binlog_snapshot_%'": ModelSession._viewed,
    r"ROLLBACK|COMMIT": ModelSession._commit,
    r"LOCK TABLES `d`\.`(\w)` READ": ModelSession._lock,
    r"UNLOCK TABLES": ModelSession._unlocked,
    r"SELECT (`.*`) FROM `d`\.`(\w)`(.*)": ModelSession._rows,
}


def _payload(row: Cells) -> bytes:
    """Return a row of the text protocol; no value is longer than 250 octets."""
    return b"".join(_text(str(cell).encode()) for cell in row)


def _text(octets: bytes) -> bytes:
    if len(octets) < 251:
        return bytes((len(octets),)) + octets
    return b"\xfc" + len(octets).to_bytes(2, "little") + octets


def _cells(row: bytes) -> list[str | None]:
    return [None if cell is None else cell.decode() for cell in cells(row)]
