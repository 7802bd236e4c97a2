"""A MySQL or MariaDB server whose binlog has changes that wait, and what reads them: its own dumper, a worker, others.

Every client begins where the others did: at the binlog file that was new when the changes began. A worker is brought
to that place first, and its folder kept; each of its runs starts from a copy. All are timed from the moment at which
the server's general log says that they asked for the dump.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import measurement  # makes the crash harness importable, too
import program
from contest import Figures
from crash.worker import TAILRACE, Worker
from postgres_stream import last_commit
from servers.mysql_programs import SERIES, Flavour, programs
from servers.mysql_server import MysqlServer
from subject import records

DATABASE = "bench"
TOPIC = f"crash.{DATABASE}.goods"

SETTINGS = {
    "log_output": "TABLE",
    "innodb_buffer_pool_size": "512M",
    "binlog_cache_size": "64M",
    "max_binlog_size": "1G",
    "innodb_autoinc_lock_mode": "2",
}
OWN: dict[Flavour, dict[str, str]] = {
    "mysql": {"innodb_redo_log_capacity": "1G"},
    # Of itself MariaDB compresses the rows that have 256 octets and more alone, and these have fewer.
    "mariadb": {"innodb_log_file_size": "1G", "log_bin_compress_min_len": "10"},
}

TABLE = """
CREATE TABLE {name} (id bigint PRIMARY KEY, quantity int, title text, code varchar(20), price decimal(12,2),
    active boolean, changed timestamp(6) NULL, details json, token char(36), weight double)
"""

ROWS = """
INSERT INTO {name} SELECT n, n * 7919 % 1000000, RPAD(CONCAT('title ', n), 30, 'x'), CONCAT('code-', n % 100000),
    n % 1000000 / 100, n % 2 = 0, TIMESTAMP('2026-01-01') + INTERVAL n SECOND,
    JSON_OBJECT('n', n, 'tags', JSON_ARRAY('a', 'b')), INSERT(INSERT(LEFT(SHA2(n, 256), 34), 9, 0, '-'), 14, 0, '-'),
    n / 7e0 FROM numbers WHERE n BETWEEN {first} AND {last}
"""

# Of transactions: from a click to a batch job.
SIZES = (1, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1000)

_AT_ONCE = 1 << 19
"""Bytes of statements that are sent at once."""


def parser(question: str, *, rows: int, rounds: int | None = 5, servers: str = "mysql") -> argparse.ArgumentParser:
    """Return a parser with the options that all measurements on a binlog have."""
    given = measurement.parser(question, rows=rows, rounds=rounds)
    given.add_argument("--servers", default=servers, help="mysql, mariadb, or both with a comma between them")
    return given


def flavours(given: argparse.Namespace) -> Sequence[Flavour]:
    """Return the servers that are asked for; raises SystemExit for others."""
    chosen: list[Flavour] = [flavour for flavour in SERIES if flavour in given.servers.split(",")]
    if not chosen or len(chosen) != len(given.servers.split(",")):
        raise SystemExit(f"no such server: {given.servers}")
    return chosen


def title(flavour: Flavour) -> str:
    """Return the server's name and version, for the results."""
    return f"{'MySQL' if flavour == 'mysql' else 'MariaDB'} {SERIES[flavour]}"


@contextlib.contextmanager
def server(flavour: Flavour, numbers: int, **settings: str) -> Iterator[MysqlServer]:
    """A server that ends with the block, with a database and a table of the numbers from 1 to `numbers`."""
    found = programs(flavour)
    if found is None:
        raise SystemExit(f"{flavour} is not unpacked; make test unpacks it")
    with MysqlServer(found, {**SETTINGS, **OWN[flavour], **settings}) as running:
        running.execute(f"CREATE DATABASE {DATABASE}")
        running.execute("CREATE TABLE numbers (n bigint PRIMARY KEY)", database=DATABASE)
        running.execute("INSERT INTO numbers VALUES (1)", database=DATABASE)
        last = 1
        while last < numbers:
            more = min(last, numbers - last)
            running.execute(f"INSERT INTO numbers SELECT n + {last} FROM numbers WHERE n <= {more}", database=DATABASE)
            last += more
        yield running


@contextlib.contextmanager
def worker(
    running: MysqlServer, tables: tuple[str, ...] = (f"{DATABASE}.goods",), /, **options: object
) -> Iterator[Worker]:
    """A worker, not started yet, in a folder that goes with the block."""
    folder = Path(tempfile.mkdtemp(prefix="tailrace-bench-"))
    given = {"type": running.flavour, **options}
    made = Worker(
        folder, running.url(), tables, options=given, worker_options={"restart_delay": 0.1, "restart_delay_max": 1.0}
    )
    made.write_config()
    try:
        yield made
    finally:
        made.kill(with_tasks=True)
        shutil.rmtree(folder, ignore_errors=True)


def insert(running: MysqlServer, name: str, first: int, last: int) -> None:
    """Insert the rows `first` to `last` by one statement."""
    running.execute(ROWS.format(name=name, first=first, last=last), database=DATABASE)


def fill(running: MysqlServer, rows: int, *, single: bool, name: str = "goods") -> None:
    """Insert rows in transactions of 1 to 1,000 rows, or of one; the sizes are the same in every run."""
    rng = random.Random(1)
    with running.connect(DATABASE, client_flag=1 << 16) as connection, connection.cursor() as cursor:
        first, waiting, size = 1, [], 0
        while first <= rows:
            last = first if single else min(first + rng.choice(SIZES) - 1, rows)
            waiting.append(ROWS.format(name=name, first=first, last=last))
            size += len(waiting[-1])
            first = last + 1
            if size > _AT_ONCE or first > rows:
                cursor.execute(";".join(waiting))
                while cursor.nextset():
                    pass
                waiting, size = [], 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Changes of `rows` rows in the binlog, from the beginning of `file` on; `base` is a worker's log at that place."""

    server: MysqlServer
    rows: int
    file: str
    last_file: str
    base: Path

    def by_dumper(self) -> Figures:
        """Drain it with the server's own `mysqlbinlog`, as text into /dev/null: the ceiling."""
        found = programs(self.server.flavour)
        assert found is not None  # its server runs
        command = [
            str(found.dumper), "--no-defaults", "--read-from-remote-server", "--host=127.0.0.1",
            f"--port={self.server.port}", "--protocol=tcp", "--user=root", "--result-file=/dev/null",
            *_files(self.file, self.last_file),
        ]  # fmt: skip
        with Asked(self.server) as asked:
            usage = program.run(command)
        return self.figures(usage, asked.at(), usage.ended)

    def by_tailrace(self, **options: object) -> Figures:
        """Drain it with a worker into the bundled log, every commit synced; `options` are the connector's."""
        with worker(self.server, snapshot="never", **options) as made:
            shutil.copytree(self.base, made.log_path)
            with Asked(self.server) as asked:
                usage = program.run([str(TAILRACE), "run", str(made.config), "--until-current"])
            if (told := records(made, TOPIC)) != self.rows:
                raise SystemExit(f"{told} of {self.rows} records are in the topic: {usage.said[-3000:]}")
            return self.figures(usage, asked.at(), last_commit(made.log_path, TOPIC))

    def figures(self, usage: program.Usage, asked: float, done: float) -> dict[str, float]:
        """Return what a run gave that was sent the stream from `asked` on and had done its work at `done`."""
        return {
            "rows_per_second": self.rows / (done - asked),
            "with_start": self.rows / (done - usage.began),
            "client_us_per_row": usage.client_cpu(asked, done) / self.rows * 1e6,
            "peak_mb": usage.peak_mb,
            "all_mb": usage.all_mb,
        }


class Asked:
    """Has the server note who asks for its binlog while the block lasts."""

    def __init__(self, running: MysqlServer) -> None:
        self._server = running
        self._found: tuple[float, ...] = ()

    def __enter__(self) -> Self:
        self._server.execute("TRUNCATE mysql.general_log", "SET GLOBAL general_log = ON")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.execute("SET GLOBAL general_log = OFF")
        rows = self._server.execute(
            "SELECT UNIX_TIMESTAMP(event_time) FROM mysql.general_log WHERE command_type LIKE 'Binlog Dump%' ORDER BY 1"
        )
        self._found = tuple(float(row[0]) for row in rows)

    def at(self) -> float:
        """Return when the dump was asked for first (of `time.time`); raises SystemExit where nobody did."""
        if not self._found:
            raise SystemExit("nobody asked for the binlog")
        return self._found[0]


@contextlib.contextmanager
def backlog(running: MysqlServer, rows: int, *, single: bool = False, whole: bool = False) -> Iterator[Backlog]:
    """Changes of so many rows that wait, in files of their own; `goods` is made anew.

    They are in transactions of several sizes; `single`: of one row each; `whole`: in one.
    """
    running.execute("DROP TABLE IF EXISTS goods", TABLE.format(name="goods"), database=DATABASE)
    with worker(running, snapshot="never") as made:
        program.run([str(TAILRACE), "run", str(made.config), "--until-current"])
        running.execute("FLUSH BINARY LOGS")
        file = files(running)[-1]
        if whole:
            insert(running, "goods", 1, rows)
        else:
            fill(running, rows, single=single)
        yield Backlog(running, rows, file, files(running)[-1], made.log_path)


def files(running: MysqlServer) -> list[str]:
    """Return the names of the binlog files that are there."""
    return [str(row[0]) for row in running.execute("SHOW BINARY LOGS")]


def _files(first: str, last: str) -> list[str]:
    """Return the names of all files from the first to the last."""
    stem, _, number = first.rpartition(".")
    end = int(last.rpartition(".")[2])
    return [f"{stem}.{each:0{len(number)}}" for each in range(int(number), end + 1)]
