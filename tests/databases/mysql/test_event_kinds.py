"""Every kind of event that the servers here can be made to write, and the rows in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from databases.mysql.capture import changes_since, end_of_binlog, events_since
from servers.mysql import MysqlDatabase, StartMysql
from servers.mysql_server import MysqlServer
from tailrace_mysql import event as events
from tailrace_mysql.event import Event, decode
from tailrace_mysql.gtid import GtidSet
from tailrace_mysql.row import BinlogRow

pytestmark = pytest.mark.mysql


def seen(server: MysqlServer, place: tuple[str, int]) -> list[Event]:
    """Return all events from a place to the end, those of compressed transactions among them."""
    return list(_opened(map(decode, events_since(server, place))))


def _opened(found: Iterator[Event]) -> Iterator[Event]:
    for event in found:
        yield event
        if isinstance(event, events.TransactionPayload):
            yield from _opened(decode(inner) for block in event.events() for inner in block)


def numbers(server: MysqlServer, place: tuple[str, int]) -> list[tuple[str, int | None, int | None]]:
    """Return op and first column, before and after, of every row change."""
    return [
        (change.op, _first(change.map.widths, change.images[0]), _first(change.map.widths, change.images[1]))
        for change in changes_since(server, place)
    ]


def _first(widths: tuple[int, ...], image: bytes | None) -> int | None:
    if image is None:
        return None
    cell = BinlogRow("t", widths).cells(image)[0]
    return int.from_bytes(cell, "little") if isinstance(cell, bytes) else None


def of_kind(found: list[Event], kind: type) -> list[Event]:
    return [event for event in found if isinstance(event, kind)]


TABLE = "CREATE TABLE t (id int PRIMARY KEY, v varchar(2000))"
WORK = [
    "INSERT INTO t VALUES (1, REPEAT('a', 2000)), (2, REPEAT('b', 2000))",
    "UPDATE t SET v = REPEAT('c', 1000) WHERE id = 2",
    "DELETE FROM t WHERE id = 1",
]
WORKED = [("c", None, 1), ("c", None, 2), ("u", 2, 2), ("d", 1, None)]


def test_a_compressed_transaction(mysql: MysqlDatabase) -> None:
    mysql.execute(TABLE)
    place = end_of_binlog(mysql.server)
    mysql.execute("SET binlog_transaction_compression = ON", "BEGIN", *WORK, "COMMIT")
    (payload,) = of_kind(seen(mysql.server, place), events.TransactionPayload)
    assert isinstance(payload, events.TransactionPayload)
    assert payload.size > 2 * len(payload.octets)
    assert numbers(mysql.server, place) == WORKED


def test_a_transaction_with_a_tag(mysql: MysqlDatabase) -> None:
    mysql.execute(TABLE)
    place = end_of_binlog(mysql.server)
    mysql.execute("SET gtid_next = 'AUTOMATIC:month_end'", WORK[0])
    (gtid,) = of_kind(seen(mysql.server, place), events.Gtid)
    ((uuid,),) = mysql.execute("SELECT @@server_uuid")
    assert isinstance(gtid, events.Gtid)
    assert str(gtid) == f"{uuid}:month_end:{gtid.number}"
    assert gtid.committed > 1_700_000_000_000_000
    ((contained,),) = mysql.execute(f"SELECT GTID_SUBSET('{gtid}', @@gtid_executed)")
    assert contained == 1


def test_a_plain_gtid_and_its_commit(mysql: MysqlDatabase) -> None:
    mysql.execute(TABLE)
    place = end_of_binlog(mysql.server)
    mysql.execute(WORK[0])
    found = seen(mysql.server, place)
    assert [type(event) for event in found[2:]] == [
        events.Gtid, events.Query, events.TableMapped, events.Rows, events.Xid
    ]  # fmt: skip
    gtid = found[2]
    assert isinstance(gtid, events.Gtid)
    assert gtid.length == found[-1].header.end_pos - gtid.header.start_pos


def test_transactions_without_a_gtid(start_mysql: StartMysql) -> None:
    server = start_mysql("mysql", gtid_mode="OFF", enforce_gtid_consistency="OFF", binlog_checksum="CRC32")
    server.execute("CREATE DATABASE d", "USE d", TABLE)
    place = end_of_binlog(server)
    server.execute(WORK[0], database="d")
    (gtid,) = of_kind(seen(server, place), events.Gtid)
    assert isinstance(gtid, events.Gtid)
    assert gtid.anonymous
    assert numbers(server, place) == WORKED[:2]


@pytest.mark.parametrize("commit", [True, False])
def test_branches_of_distributed_transactions(binlog_database: MysqlDatabase, commit: bool) -> None:
    binlog_database.execute(TABLE)
    place = end_of_binlog(binlog_database.server)
    binlog_database.execute("XA START 'g', 'b', 7", WORK[0], "XA END 'g', 'b', 7", "XA PREPARE 'g', 'b', 7")
    binlog_database.execute(f"XA {'COMMIT' if commit else 'ROLLBACK'} 'g', 'b', 7")
    found = seen(binlog_database.server, place)
    (prepared,) = of_kind(found, events.XaPrepare)
    assert isinstance(prepared, events.XaPrepare)
    assert (prepared.branch, prepared.one_phase) == (events.BranchId(7, b"g", b"b"), False)
    texts = [event.text for event in found if isinstance(event, events.Query)]
    assert texts[-1] == f"XA {'COMMIT' if commit else 'ROLLBACK'} {prepared.branch}"
    if binlog_database.flavour == "mariadb":
        first, last = of_kind(found, events.MariadbGtid)
        assert isinstance(first, events.MariadbGtid)
        assert isinstance(last, events.MariadbGtid)
        assert (first.prepared, first.branch) == (True, prepared.branch)
        assert (last.completed, last.branch) == (True, prepared.branch)
    assert numbers(binlog_database.server, place) == WORKED[:2]


def test_statements_stand_beside_rows(mysql: MysqlDatabase, mariadb: MysqlDatabase) -> None:
    for database, setting in ((mysql, "binlog_rows_query_log_events"), (mariadb, "binlog_annotate_row_events")):
        database.execute(TABLE)
        place = end_of_binlog(database.server)
        database.execute(f"SET {setting} = ON", WORK[0])
        (statement,) = of_kind(seen(database.server, place), events.Statement)
        assert isinstance(statement, events.Statement)
        assert statement.text == WORK[0]


def test_mariadb_compresses_rows_and_statements(start_mysql: StartMysql) -> None:
    server = start_mysql("mariadb", log_bin_compress="ON", log_bin_compress_min_len="10")
    server.execute("CREATE DATABASE d", "USE d", TABLE)
    place = end_of_binlog(server)
    server.execute(*WORK, "ALTER TABLE t ADD COLUMN more int COMMENT 'a long comment, long enough to be compressed'",
                   database="d")  # fmt: skip
    found = seen(server, place)
    assert {event.header.type for event in found} >= {165, 166, 167, 168}
    altered = [event.text for event in found if isinstance(event, events.Query)][-1]
    assert altered.startswith("ALTER TABLE t ADD COLUMN more int COMMENT 'a long comment")
    assert numbers(server, place) == WORKED


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
def test_images_without_all_columns(binlog_database: MysqlDatabase, image: str) -> None:
    binlog_database.execute("CREATE TABLE t (id int PRIMARY KEY, v int, b text)", "INSERT INTO t VALUES (1, 2, 'b')")
    place = end_of_binlog(binlog_database.server)
    binlog_database.execute(f"SET binlog_row_image = '{image}'", "UPDATE t SET v = 3", "DELETE FROM t")
    updated, deleted = changes_since(binlog_database.server, place)
    cut = BinlogRow("t", updated.map.widths)
    one, two, three = (number.to_bytes(4, "little") for number in (1, 2, 3))
    told = [[cell if isinstance(cell, bytes) else None for cell in cut.cells(image_)]
            for image_ in (*updated.images, *deleted.images) if image_]  # fmt: skip
    if image == "MINIMAL":
        assert told == [[one, None, None], [None, three, None], [one, None, None]]
    else:
        assert told == [[one, two, None], [one, three, None], [one, three, None]]


def test_tables_without_transactions(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute(TABLE + " ENGINE = MyISAM")
    place = end_of_binlog(binlog_database.server)
    binlog_database.execute(WORK[0])
    texts = [event.text for event in seen(binlog_database.server, place) if isinstance(event, events.Query)]
    assert texts[-1] == "COMMIT"
    assert numbers(binlog_database.server, place) == WORKED[:2]


def test_savepoints(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute(TABLE)
    place = end_of_binlog(binlog_database.server)
    binlog_database.execute("BEGIN", "INSERT INTO t VALUES (1, 'a')", "SAVEPOINT s", "INSERT INTO t VALUES (2, 'b')",
                            "ROLLBACK TO s", "INSERT INTO t VALUES (3, 'c')", "COMMIT")  # fmt: skip
    assert numbers(binlog_database.server, place) == [("c", None, 1), ("c", None, 3)]


def test_rotation_and_what_stands_at_the_head_of_a_file(binlog_server: MysqlServer) -> None:
    place = end_of_binlog(binlog_server)
    binlog_server.execute("CREATE DATABASE d")
    is_mariadb = binlog_server.flavour == "mariadb"
    executed = "" if is_mariadb else binlog_server.execute("SELECT @@global.gtid_executed")[0][0]
    binlog_server.execute("FLUSH BINARY LOGS", "CREATE TABLE d.t (id int)")
    found = seen(binlog_server, place)
    rotations = [event for event in found if isinstance(event, events.Rotate)]
    assert [rotation.file for rotation in rotations][-1] == end_of_binlog(binlog_server)[0] != place[0]
    formats = [event for event in found if isinstance(event, events.FormatDescription)]
    assert {event.mariadb for event in formats} == {is_mariadb}
    assert all(event.checksum for event in formats)
    if is_mariadb:
        assert of_kind(found, events.GtidList)
    else:
        (previous,) = [event for event in found if isinstance(event, events.PreviousGtids)]
        assert previous.gtids == GtidSet.parse(executed)
        assert not of_kind(found, events.Skipped)


@pytest.mark.parametrize("bits", [8, 300])
def test_many_columns(binlog_database: MysqlDatabase, bits: int) -> None:
    columns = ", ".join(f"c{number} int" for number in range(bits))
    binlog_database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
    place = end_of_binlog(binlog_database.server)
    binlog_database.execute(f"INSERT INTO t (id, c{bits - 1}, c0) VALUES (1, 5, 6)")
    (change,) = changes_since(binlog_database.server, place)
    found = BinlogRow("t", change.map.widths).cells(change.images[1] or b"")
    one, five, six = (number.to_bytes(4, "little") for number in (1, 5, 6))
    assert found == [one, six, *[None] * (bits - 2), five]


def test_a_load_in_statement_format_is_refused(mariadb: MysqlDatabase, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_text("1\ta\n")
    rows.chmod(0o644)
    mariadb.execute(TABLE)
    place = end_of_binlog(mariadb.server)
    mariadb.execute("SET binlog_format = STATEMENT", f"LOAD DATA INFILE '{rows}' INTO TABLE t")
    with pytest.raises(events.UnsupportedEvent, match="set binlog_format = ROW"):
        seen(mariadb.server, place)
