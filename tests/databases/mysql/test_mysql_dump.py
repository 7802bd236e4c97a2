"""The dump against real servers: the events are those of the files, whatever the transport, checksums and positions."""

from __future__ import annotations

import random
import select
import time
from collections.abc import Callable
from contextlib import closing
from struct import unpack_from
from zlib import crc32

import pytest

from servers.mysql import MysqlDatabase, StartMysql
from servers.mysql_programs import Flavour
from servers.mysql_server import MysqlServer
from tailrace.errors import Fatal, Retriable, TailraceError
from tailrace_mysql.address import Host, parse_url
from tailrace_mysql.config import BinlogConfig, MariadbConfig, MysqlConfig
from tailrace_mysql.connection import Connection
from tailrace_mysql.dump import Dump
from tailrace_mysql.dump_fault import Diverged, Purged
from tailrace_mysql.event import TransactionPayload, decode
from tailrace_mysql.fault import LostConnection
from tailrace_mysql.gtid import GtidPosition, GtidSet
from tailrace_mysql.server import BinlogStatus, binlog_status, executed_gtids, read_facts
from tailrace_mysql.spill import Spilled

QUERY, ROTATE, FORMAT_DESCRIPTION, HEARTBEAT, PREVIOUS_GTIDS, ANNOTATE, CHECKPOINT = 2, 4, 15, 27, 35, 160, 161
PATIENCE = 60.0


def configured(server: MysqlServer, query: str = "", **settings: object) -> BinlogConfig:
    model = MariadbConfig if server.flavour == "mariadb" else MysqlConfig
    return model.model_validate({"url": server.url(query=query), **settings})


def opened(server: MysqlServer, query: str = "", *, beside: int = 0, **settings: object) -> Dump:
    config = configured(server, query, **settings)
    host = parse_url(config.url.get_secret_value()).hosts[0]
    return Dump.open(config, f"test {server.port}", host, beside=beside)


def status(server: MysqlServer) -> BinlogStatus:
    with closing(Connection.open(configured(server), "test", "control")) as connection:
        return binlog_status(connection, read_facts(connection).flavour)


def gtids(server: MysqlServer) -> GtidSet | GtidPosition:
    with closing(Connection.open(configured(server), "test", "control")) as connection:
        return executed_gtids(connection, read_facts(connection).flavour)


def received(dump: Dump, enough: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Everything up to the event that makes it enough."""
    events: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while not enough(events):
        assert time.monotonic() < deadline, f"{len(events)} events and no more"
        if not dump.pending:
            select.select([dump.socket], [], [], 0.1)
        events += dump.receive(100, 1 << 20)
    return events


def fails(dump: Dump) -> TailraceError:
    with pytest.raises((Fatal, Retriable)) as fault:
        received(dump, lambda events: False)
    return fault.value


def says(text: str) -> Callable[[list[bytes]], bool]:
    return lambda events: any(text.encode() in event for event in events)


def texts(events: list[bytes], start: str) -> list[str]:
    """The statements in the events that begin with a word; what is behind a zero is cut off."""
    found = [event[event.find(start.encode()) :] for event in events if event[4] == QUERY and start.encode() in event]
    return [text.split(b"\0")[0].decode() for text in found]


def test_the_events_are_those_of_the_files(binlog_server: MysqlServer) -> None:
    start = status(binlog_server)
    binlog_server.execute(
        "CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY, x longtext)",
        *(f"INSERT INTO d.t VALUES ({number}, repeat('x', {number * 1000}))" for number in range(1, 40)),
        "FLUSH BINARY LOGS", "CREATE DATABASE the_end",
    )  # fmt: skip
    end = status(binlog_server)
    # The server marks the description as it likes, and sends MariaDB's statements only to whom asks for them.
    written = [event for event in events_of((binlog_server.data_dir / start.file).read_bytes())
               if event[4] not in {FORMAT_DESCRIPTION, ANNOTATE}]  # fmt: skip
    for query in ("ssl-mode=DISABLED", "ssl-mode=PREFERRED", f"unix_socket={binlog_server.socket_file}"):
        with closing(opened(binlog_server, query)) as dump:
            dump.start_at(start.file)
            events = received(dump, says("the_end"))
        sent = [event for event in events if not artificial(event) and event[4] != FORMAT_DESCRIPTION]
        assert sent[: len(written)] == written
        # MariaDB notes which files it no longer needs whenever it finds the time, also after the last statement.
        last = [
            event for event in events_of((binlog_server.data_dir / end.file).read_bytes()) if event[4] != CHECKPOINT
        ][-1]
        assert [end_position(event) for event in events if event[4] != CHECKPOINT][-1] == end_position(last)


def events_of(file: bytes) -> list[bytes]:
    assert file.startswith(b"\xfebin")
    events, at = [], 4
    while at < len(file):
        size = unpack_from("<I", file, at + 9)[0]
        events.append(file[at : at + size - 4])
        assert crc32(events[-1]) == unpack_from("<I", file, at + size - 4)[0] or events[-1][4] == FORMAT_DESCRIPTION
        at += size
    return events


def artificial(event: bytes) -> bool:
    return bool(event[17] & 0x20) or event[4] == HEARTBEAT


def end_position(event: bytes) -> int:
    return int(unpack_from("<I", event, 13)[0])


def test_a_dump_starts_in_the_middle_and_after_gtids(binlog_server: MysqlServer) -> None:
    binlog_server.execute("CREATE DATABASE first")
    middle, before = status(binlog_server), gtids(binlog_server)
    binlog_server.execute("CREATE DATABASE second", "FLUSH BINARY LOGS", "CREATE DATABASE third")
    with closing(opened(binlog_server)) as dump:
        dump.start_at(middle.file, middle.pos)
        by_place = received(dump, says("third"))
    with closing(opened(binlog_server)) as dump:
        dump.start_after(before)
        by_gtid = received(dump, says("third"))
    for events in (by_place, by_gtid):
        assert texts(events, "CREATE DATABASE") == ["CREATE DATABASE second", "CREATE DATABASE third"]
    assert str(gtids(binlog_server)) == status(binlog_server).gtids


def test_nothing_is_known_yet_starts_at_the_oldest_event(mysql_server: MysqlServer) -> None:
    mysql_server.execute("CREATE DATABASE first")
    with closing(opened(mysql_server)) as dump:
        dump.start_after(GtidSet())
        assert texts(received(dump, says("first")), "CREATE DATABASE") == ["CREATE DATABASE first"]


def test_tagged_gtids_are_told_to_the_server(mysql_server: MysqlServer) -> None:
    for tag in ("one", "two", "one"):
        mysql_server.execute(f"SET gtid_next = 'AUTOMATIC:{tag}'", f"CREATE DATABASE IF NOT EXISTS {tag}")
    mysql_server.execute("CREATE DATABASE plain", "FLUSH BINARY LOGS")
    known = gtids(mysql_server)
    assert isinstance(known, GtidSet)
    assert {tag for _, tag in known.sources} == {"", "one", "two"}
    mysql_server.execute("SET gtid_next = 'AUTOMATIC:three'", "CREATE DATABASE three")
    with closing(opened(mysql_server)) as dump:
        dump.start_after(known)
        events = received(dump, says("three"))
    assert texts(events, "CREATE DATABASE") == ["CREATE DATABASE three"]
    previous = [event[19:] for event in events if event[4] == PREVIOUS_GTIDS]
    assert previous == [known.encode()]


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_events_of_more_than_one_packet_come_whole(start_mysql: StartMysql, flavour: Flavour) -> None:
    server = start_mysql(flavour, max_allowed_packet="128M")
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int, x longtext)")
    start = status(server)
    server.execute("INSERT INTO d.t VALUES (1, repeat('x', 40000000))", "CREATE DATABASE the_end")
    for query in ("ssl-mode=DISABLED", "ssl-mode=PREFERRED"):
        with closing(opened(server, query)) as dump:
            dump.start_at(start.file, start.pos)
            events = received(dump, says("the_end"))
        assert max(map(len, events)) > 40_000_000
        assert b"x" * 40_000_000 in max(events, key=len)


@pytest.mark.parametrize("checksum", ["CRC32", "NONE"])
def test_a_long_compressed_transaction_is_read_out_of_a_file(start_mysql: StartMysql, checksum: str) -> None:
    server = start_mysql("mysql", max_allowed_packet="128M", binlog_checksum=checksum)
    server.execute("CREATE DATABASE d", "CREATE TABLE d.t (id int PRIMARY KEY, x longblob)")
    start = status(server)
    noise = random.Random(1).randbytes(9_000_000)  # which nothing makes shorter
    insert = f"INSERT INTO d.t VALUES (%d, x'{noise.hex()}')"
    rows = [insert % number for number in range(3)]
    server.execute("SET binlog_transaction_compression = ON", "BEGIN", *rows, "COMMIT", "CREATE DATABASE the_end")
    with closing(opened(server)) as dump:
        dump.start_at(start.file, start.pos)
        events = received(dump, says("the_end"))
    (packed,) = [event for event in events if isinstance(event, Spilled)]
    assert packed.size > 27_000_000
    transaction = decode(packed)
    assert isinstance(transaction, TransactionPayload)
    inner = b"".join([event for block in transaction.events() for event in block])
    assert inner.count(noise) == 3


def test_checksums_may_come_and_go(binlog_server: MysqlServer) -> None:
    start = status(binlog_server)
    binlog_server.execute(
        "CREATE DATABASE with_one", "SET GLOBAL binlog_checksum = NONE", "CREATE DATABASE without",
        "SET GLOBAL binlog_checksum = CRC32", "CREATE DATABASE with_again",
    )  # fmt: skip
    expected = [f"CREATE DATABASE {name}" for name in ("with_one", "without", "with_again")]
    with closing(opened(binlog_server)) as dump:
        dump.start_at(start.file, start.pos)
        assert texts(received(dump, says("with_again")), "CREATE DATABASE") == expected
    binlog_server.execute("SET GLOBAL binlog_checksum = NONE", "CREATE DATABASE last")
    end = status(binlog_server)
    with closing(opened(binlog_server)) as dump:
        dump.start_at(end.file)
        events = received(dump, says("last"))
        assert events[0][4] == ROTATE
        assert events[0].endswith(end.file.encode())
        assert texts(events, "CREATE DATABASE") == ["CREATE DATABASE last"]


def test_an_idle_server_is_heard_and_a_silent_one_given_up(binlog_server: MysqlServer) -> None:
    start = status(binlog_server)
    with closing(opened(binlog_server, silence_timeout=2)) as dump:
        dump.start_at(start.file, start.pos)
        begun = dump.heard
        received(dump, lambda events: sum(event[4] == HEARTBEAT for event in events) >= 3)
        assert dump.heard > begun
        binlog_server.hold()
        fault = fails(dump)
        binlog_server.go_on()
    assert isinstance(fault, LostConnection)
    assert "silent for" in str(fault)


def test_what_was_purged_is_named_with_the_choices(binlog_server: MysqlServer) -> None:
    binlog_server.execute("CREATE DATABASE first")
    start, before = status(binlog_server), gtids(binlog_server)
    binlog_server.execute("CREATE DATABASE second", "FLUSH BINARY LOGS", "CREATE DATABASE third", "FLUSH BINARY LOGS")
    binlog_server.execute(f"PURGE BINARY LOGS TO '{status(binlog_server).file}'")
    with closing(opened(binlog_server)) as dump:
        dump.start_at(start.file, start.pos)
        by_place = fails(dump)
    with closing(opened(binlog_server)) as dump:
        dump.start_after(before)
        by_gtid = fails(dump)
    for fault in (by_place, by_gtid):
        assert isinstance(fault, Purged)
        assert "offsets reset" in fault.hint
        assert "leaves the gap" in fault.hint


def test_a_server_that_never_had_the_position_is_told(binlog_server: MysqlServer) -> None:
    end, known = status(binlog_server), gtids(binlog_server)
    binlog_server.execute("CREATE DATABASE first")
    ahead: GtidSet | GtidPosition
    if isinstance(known, GtidSet):
        uuid = str(binlog_server.execute("SELECT @@server_uuid")[0][0])
        ahead = known.with_gtid(uuid, 1).with_gtid(uuid, 2).with_gtid(uuid, 1000)
    else:
        ahead = known.with_gtid(0, binlog_server.port, 1000)
    with closing(opened(binlog_server)) as dump:
        dump.start_at(end.file, 100_000_000)
        assert isinstance(fails(dump), Diverged)
    with closing(opened(binlog_server)) as dump:
        dump.start_after(ahead)
        assert isinstance(fails(dump), Diverged)


def test_a_server_that_goes_is_told_apart_from_one_that_refuses(binlog_server: MysqlServer) -> None:
    for bring_down in (binlog_server.stop, binlog_server.kill):
        start = status(binlog_server)
        with closing(opened(binlog_server)) as dump:
            dump.start_at(start.file, start.pos)
            binlog_server.execute("CREATE DATABASE IF NOT EXISTS before_it_goes")
            received(dump, says("before_it_goes"))
            bring_down()
            assert isinstance(fails(dump), Retriable)
        binlog_server.start()


def test_a_second_dump_of_the_same_number_ends_the_first(binlog_database: MysqlDatabase) -> None:
    server = binlog_database.server
    start = status(server)
    with closing(opened(server)) as first, closing(opened(server, beside=1)) as other:
        for dump in (first, other):
            dump.start_at(start.file, start.pos)
            received(dump, lambda events: len(events) > 1)
        with closing(opened(server)) as second:
            second.start_at(start.file, start.pos)
            received(second, lambda events: len(events) > 1)
            fault = fails(first)
            assert "set `server_id`" in fault.hint
            server.execute("CREATE DATABASE IF NOT EXISTS goes_on")
            for dump in (second, other):
                received(dump, says("goes_on"))
    server.execute("DROP DATABASE goes_on")


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_a_missing_binlog_and_a_missing_grant_are_told(start_mysql: StartMysql, flavour: Flavour) -> None:
    server = start_mysql(flavour, skip_log_bin="")
    with pytest.raises(Fatal, match="no binlog"):
        status(server)
    with closing(opened(server)) as dump:
        dump.start_at("binlog.000001")
        assert "log-bin" in str(fails(dump))
    server.execute("CREATE USER poor@'%' IDENTIFIED BY 'x'")
    config = configured(server).model_validate({"url": server.url(user="poor", password="x")})
    with pytest.raises(Fatal, match="tailrace check"):
        Dump.open(config, "test", Host("127.0.0.1", server.port))


def test_few_events_are_taken_at_a_time_where_few_are_wanted(binlog_database: MysqlDatabase) -> None:
    start = status(binlog_database.server)
    binlog_database.execute("CREATE TABLE t (id int)", *["INSERT INTO t VALUES (1)"] * 20)
    with closing(opened(binlog_database.server)) as dump:
        dump.start_at(start.file, start.pos)
        deadline = time.monotonic() + PATIENCE
        seen: list[int] = []
        while sum(seen) < 60 and time.monotonic() < deadline:
            if not dump.pending:
                select.select([dump.socket], [], [], 0.1)
            seen.append(len(dump.receive(3, 1 << 20)))
    assert max(seen) == 3
    assert sum(seen) >= 60
