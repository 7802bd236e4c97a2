"""What a server wrote into its binlog, and rows of a result set as they come over the wire."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from servers.mysql import MysqlDatabase
from servers.mysql_server import MysqlServer
from tailrace_mysql.event import Event, Images, Rows, TableMap, TableMapped, TransactionPayload, decode

_DUMP, _QUERY = 0x12, 0x03
_END = 0xFE
_CHECKSUM = 4


@dataclass(frozen=True, slots=True)
class Change:
    """One row change, and the table map before it."""

    op: str
    map: TableMap
    images: Images


def end_of_binlog(server: MysqlServer) -> tuple[str, int]:
    """Return file and position of the binlog's end."""
    statement = "SHOW BINARY LOG STATUS" if server.flavour == "mysql" else "SHOW MASTER STATUS"
    ((file, position, *_),) = server.execute(statement)
    return str(file), int(position)


def events_since(server: MysqlServer, place: tuple[str, int]) -> list[bytes]:
    """Return all whole events from a place to the end, without their checksums."""
    file, position = place
    connection: Any = server.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'")
            cursor.execute("SET @mariadb_slave_capability = 4")
        # Flag 1: end at the end instead of waiting; 2, for MariaDB: annotations as well.
        flags = 3 if server.flavour == "mariadb" else 1
        connection._execute_command(_DUMP, struct.pack("<IHI", position, flags, 4_000_000_000) + file.encode())
        return [octets[1:-_CHECKSUM] for octets in _packets(connection)]
    finally:
        connection._force_close()


def changes_since(server: MysqlServer, place: tuple[str, int]) -> list[Change]:
    """Return all row changes from a place to the end."""
    maps: dict[int, TableMap] = {}
    return list(_changes(map(decode, events_since(server, place)), maps, mariadb=server.flavour == "mariadb"))


def _changes(events: Iterator[Event], maps: dict[int, TableMap], *, mariadb: bool) -> Iterator[Change]:
    for event in events:
        if isinstance(event, TransactionPayload):
            yield from _changes((decode(inner) for block in event.events() for inner in block), maps, mariadb=mariadb)
        elif isinstance(event, TableMapped):
            maps[event.table_id] = TableMap.parse(event.body, mariadb=mariadb)
        elif isinstance(event, Rows):
            table = maps[event.table_id]
            images = event.images(table)
            assert len(images) == event.count(table)
            yield from (Change(event.op, table, image) for image in images)


def text_rows(database: MysqlDatabase, statement: str) -> list[bytes]:
    """Return the rows of a query as the text protocol has them, as the snapshot asks for them."""
    connection: Any = database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00', character_set_results = binary")
        connection._execute_command(_QUERY, statement)
        columns = connection._read_packet()._data[0]
        for _ in range(columns + 1):
            connection._read_packet()
        return list(_packets(connection))
    finally:
        connection._force_close()


def _packets(connection: Any) -> Iterator[bytes]:
    while True:
        octets = bytes(connection._read_packet()._data)
        if octets[0] == _END and len(octets) < 9:
            return
        yield octets
