"""Events that cannot be read: the file of a real server is changed at rest, and mended again."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import pytest

from crash.user import MakeWorker, ids, ids_so_far, run_to_the_end, stopped, tailrace, wait_for
from crash.worker import Worker
from servers.mysql import StartMysql
from servers.mysql_server import MysqlServer

pytestmark = [pytest.mark.mysql, pytest.mark.slow]

MAGIC, HEADER, CHECKSUM = 4, 19, 4
ROWS = {"mysql": 30, "mariadb": 23}
TRANSACTION_PAYLOAD = 40
UNKNOWN = 120


def test_an_event_that_is_unknown_or_damaged_is_not_passed_by(
    binlog_server: MysqlServer, make_worker: MakeWorker
) -> None:
    server = binlog_server
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
    worker = make_worker(server.url("d"), "d.t", type=server.flavour, heartbeat_interval=0)
    run_to_the_end(worker)
    before = position(worker)
    server.execute("INSERT INTO d.t VALUES (2)", "INSERT INTO d.t VALUES (3)")
    path = closed_file(server)
    server.execute("INSERT INTO d.t VALUES (4)")
    *_, at, _ = (begin for begin, kind in events(path) if kind == ROWS[server.flavour])  # of the row 2
    with changed(path, at, bytes([UNKNOWN]), offset=MAGIC, checksum=True):
        words = stopped(worker)
        assert f"binlog event of the unknown type {UNKNOWN} in {path.name} at {at}" in words
        assert "upgrade Tailrace, or report the type and the server's version" in words
    with changed(path, at, b"damaged", offset=HEADER):
        worker.start()
        wait_for(lambda: "its checksum does not fit" in worker.last_words(), worker, timeout=120)
        assert re.search(
            rf"event of type {ROWS[server.flavour]}, \d+ octets, behind {path.name}:\d+, is damaged",
            worker.last_words(),
        )
        assert worker.stop() == 0
        assert (ids(worker), position(worker)) == ([1], before)
    run_to_the_end(worker)
    assert ids(worker) == [1, 2, 3, 4]


def test_a_long_transaction_that_is_damaged_is_waited_for(start_mysql: StartMysql, make_worker: MakeWorker) -> None:
    server = start_mysql(max_allowed_packet="64M")
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY, x longblob)")
    server.execute("INSERT INTO d.t VALUES (1, '')")
    columns = {"exclude": ["d.t.x"]}
    worker = make_worker(server.url("d"), "d.t", type="mysql", heartbeat_interval=0, columns=columns)
    run_to_the_end(worker)
    before = position(worker)
    noise = random.Random(4).randbytes(9_000_000).hex()  # which nothing makes shorter
    rows = [f"INSERT INTO d.t VALUES ({number}, x'{noise}')" for number in (2, 3)]
    server.execute("SET binlog_transaction_compression = ON", "BEGIN", *rows, "COMMIT")
    path = closed_file(server)
    (at,) = [begin for begin, kind in events(path) if kind == TRANSACTION_PAYLOAD]
    with changed(path, at, b"damaged", offset=10_000_000):
        worker.start()
        wait_for(lambda: "its checksum does not fit" in worker.last_words(), worker, timeout=120)
        words = worker.last_words()
        assert re.search(
            rf"binlog event of type 40, 18\d{{6}} octets, behind {path.name}:\d+, is damaged: its checksum", words
        )
        assert "mysqlbinlog --verify-binlog-checksum" in words
        assert ids(worker) == [1]
        assert worker.running
    wait_for(lambda: ids_so_far(worker) == [1, 2, 3], worker, timeout=120)
    assert ids(worker) == [1, 2, 3]
    assert worker.stop() == 0
    assert position(worker) != before


def closed_file(server: MysqlServer) -> Path:
    """Have the server begin another file; return the one before."""
    server.execute("FLUSH BINARY LOGS")
    *_, name, _ = (str(row[0]) for row in server.execute("SHOW BINARY LOGS"))
    return server.data_dir / name


def events(path: Path) -> Iterator[tuple[int, int]]:
    """Give where each event of a file begins, and its type."""
    data, at = path.read_bytes(), MAGIC
    while at < len(data):
        yield at, data[at + 4]
        at += int.from_bytes(data[at + 9 : at + 13], "little")


@contextmanager
def changed(path: Path, at: int, octets: bytes, *, offset: int, checksum: bool = False) -> Iterator[None]:
    """Have other octets in the event at a place while the block lasts, and a checksum that fits these if wanted."""
    with path.open("r+b") as file:
        file.seek(at)
        header = file.read(HEADER)
        size = int.from_bytes(header[9:13], "little")
        event = header + file.read(size - HEADER)
        other = event[:offset] + octets + event[offset + len(octets) :]
        if checksum:
            other = other[:-CHECKSUM] + crc32(other[:-CHECKSUM]).to_bytes(CHECKSUM, "little")
        assert len(other) == size
        _write(path, at, other)
        try:
            yield
        finally:
            _write(path, at, event)


def _write(path: Path, at: int, octets: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(octets)


def position(worker: Worker) -> object:
    shown = tailrace("offsets", "show", str(worker.config), "--json")
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)
