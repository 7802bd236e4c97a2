"""The events of a server's binlog from one place to its end, read by PyMySQL: for tests that need no more than that."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, cast

from servers.mysql_server import MysqlServer

_BINLOG_DUMP = 0x12
_DO_NOT_WAIT = 1
_CHECKSUM = 4
_SERVER_ID = 4_242_424_242


def written_position(server: MysqlServer) -> tuple[str, int]:
    """File and position of the end of the binlog."""
    statement = "SHOW BINARY LOG STATUS" if server.flavour == "mysql" else "SHOW MASTER STATUS"
    row = server.execute(statement)[0]
    return cast("str", row[0]), cast("int", row[1])


def binlog_events(server: MysqlServer, file: str, position: int) -> Iterator[bytes]:
    """Yield whole events, without checksums."""
    with server.connect() as connection, connection.cursor() as cursor:
        for variable in ("master_binlog_checksum", "source_binlog_checksum"):
            cursor.execute(f"SET @{variable} = 'CRC32'")
        if server.flavour == "mariadb":
            cursor.execute("SET @mariadb_slave_capability = 4")
        raw = cast("Any", connection)
        raw._execute_command(_BINLOG_DUMP, struct.pack("<IHI", position, _DO_NOT_WAIT, _SERVER_ID) + file.encode())
        while True:
            packet = raw._read_packet()._data
            if packet[0] == 0xFE and len(packet) < 9:
                return
            yield packet[1:-_CHECKSUM]
