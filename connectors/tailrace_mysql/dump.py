"""The dump: the server sends its binlog, event after event, and we take them off the socket.

    COM_REGISTER_SLAVE    u8 21 · server id u32 · host, user, password, each length u8 · octets · port u16 · rank u32 ·
                          source's id u32
    COM_BINLOG_DUMP       u8 18 · position u32 · flags u16 · server id u32 · file
    COM_BINLOG_DUMP_GTID  u8 30 · flags u16 · server id u32 · length u32 · file · position u64 · length u32 · set
    Payload               u8 0 · event · [CRC-32 of the event u32]
    Event                 timestamp u32 · type u8 · server id u32 · size u32 · end position u32 · flags u16 · body

Events come out whole and in order, checked, without the checksum. What is in them `event.py` knows, and the stream what
they mean; here only a FORMAT_DESCRIPTION is looked at, which says whether the events behind it have a checksum. The
dump never waits. Source: MySQL's manual of the protocol, "Replication Protocol"; MariaDB Knowledge Base,
"Replication Protocol".
"""

from __future__ import annotations

import socket
import time
from struct import Struct
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from tailrace.errors import Fatal
from tailrace_mysql.address import Host
from tailrace_mysql.config import BinlogConfig
from tailrace_mysql.connection import Connection, literal
from tailrace_mysql.dump_fault import dump_fault
from tailrace_mysql.fault import DamagedEvent, LostConnection, ServerFault, TailraceFault, lost_connection
from tailrace_mysql.flavour import flavour_of
from tailrace_mysql.gtid import GtidPosition, GtidSet
from tailrace_mysql.packet import END, ERROR, OK, error_of
from tailrace_mysql.payload import TRANSACTION_PAYLOAD
from tailrace_mysql.spill import Spilled

_REGISTER, _DUMP, _DUMP_GTID = b"\x15", b"\x12", b"\x1e"
_REGISTER_TAIL = Struct("<HII")
_DUMP_HEAD = Struct("<IHI")
_DUMP_GTID_HEAD = Struct("<HII")
_U32 = Struct("<I")

_FIRST_POSITION = 4
"""Behind the magic octets that every binlog file begins with."""
_THROUGH_GTID = 4
_MARIADB_CAPABILITY = 4
"""That we understand GTID events; without it the server sends them in disguise."""

_FORMAT_DESCRIPTION = 15
_TYPE = 1 + 4
_SHORTEST = 1 + 19
_CHECKSUM = 4
_CRC32 = 1

_NO_GRANT = {1045, 1227}
"""MariaDB says that access is denied, as it does at a login; MySQL in some versions, too."""

_LONGEST_PERIOD = 10.0
_PERIODS = 3
"""Heartbeats within the time after which silence means that the connection is broken."""


class Dump:
    """One dump connection. Call `start_at` or `start_after` once, then `receive` whenever there is something."""

    def __init__(self, connection: Connection, config: BinlogConfig, server_id: int) -> None:
        self.connection = connection
        self.server_id = server_id
        self._flavour = flavour_of(connection.version)
        self._silence_timeout = config.silence_timeout
        self._checksums: bool | None = None
        self._fault: TailraceFault | None = None

    @classmethod
    def open(cls, config: BinlogConfig, connector: str, host: Host, *, beside: int = 0) -> Dump:
        """Connect to `host` and register as a replica; raises `Fatal` or `Retriable`.

        A dump that is open under the same number is ended by the server: `beside` is added to the number of those that
        are to run at once.
        """
        connection = Connection.open(config, connector, "dump", host)
        dump = cls(connection, config, config.own_server_id(connector) + beside)
        try:
            dump._register()
        except BaseException:
            connection.close()
            raise
        return dump

    @property
    def socket(self) -> socket.socket:
        """For `select`; what it does not tell, `pending` does."""
        return self.connection.socket

    @property
    def pending(self) -> bool:
        """Whether `receive` has something that the socket does not show."""
        return self._fault is not None or self.connection.pending

    @property
    def heard(self) -> float:
        """When the server last said anything, heartbeats included, by the monotonic clock."""
        return self.connection.channel.heard

    def start_at(self, file: str, pos: int = _FIRST_POSITION) -> None:
        """Ask for all events of `file` from `pos` on, where one begins, and of the files that follow."""
        if pos >= 1 << 32:
            raise Fatal(f"cannot start in {file} at {pos}", hint="the protocol knows positions below 4 GiB only")
        self._send(_DUMP + _DUMP_HEAD.pack(pos, 0, self.server_id) + file.encode())

    def start_after(self, gtids: GtidSet | GtidPosition) -> None:
        """Ask for all transactions that are not among `gtids`; MariaDB: that follow them, in each domain."""
        if isinstance(gtids, GtidPosition):
            self.connection.query(
                f"SET @slave_connect_state = {literal(str(gtids))}, @slave_gtid_strict_mode = 0,"
                " @slave_gtid_ignore_duplicates = 0"
            )
            self.start_at("")
            return
        encoded = gtids.encode()
        head = _DUMP_GTID_HEAD.pack(_THROUGH_GTID, self.server_id, 0) + _FIRST_POSITION.to_bytes(8, "little")
        self._send(_DUMP_GTID + head + _U32.pack(len(encoded)) + encoded)

    def receive(self, most: int, most_bytes: int) -> list[bytes]:
        """Return events that are at hand: at most `most`, and none after `most_bytes` octets are reached.

        Raises `Purged` and other `Fatal`s for what the server refuses, `Retriable` for a connection that broke or has
        been silent for too long.
        """
        if self._fault is not None:
            raise self._fault
        channel = self.connection.channel
        if self._checksums:
            if events := channel.receive_events(most, most_bytes):
                return events
            payloads = channel.packets.take(1, most_bytes)
        else:
            payloads = channel.receive(most, most_bytes)
        if not payloads:
            self._check_silence()
        events = []
        for payload in payloads:
            if payload[:1] != b"\0":
                # What came before it counts; the next call tells.
                self._fault = _ended(payload)
                break
            events.append(self._event(payload))
        if self._fault is not None and not events:
            raise self._fault
        return events

    def close(self) -> None:
        """Hang up; safe to call twice."""
        self.connection.close()

    def _register(self) -> None:
        period = min(_LONGEST_PERIOD, self._silence_timeout / _PERIODS)
        flavour = self._flavour
        variables = [
            f"{flavour.heartbeat_period} = {int(period * 1e9)}",
            f"{flavour.checksum} = 'CRC32'",
            f"{flavour.replica_uuid} = '{uuid5(NAMESPACE_URL, f'tailrace:{self.server_id}')}'",
        ]
        if flavour.mariadb:
            variables.append(f"@mariadb_slave_capability = {_MARIADB_CAPABILITY}")
        self.connection.query(f"SET {', '.join(variables)}")
        host = b"tailrace"
        try:
            self.connection.command(
                _REGISTER
                + _U32.pack(self.server_id)
                + bytes([len(host)])
                + host
                + b"\0\0"
                + _REGISTER_TAIL.pack(0, 0, 0)
            )
        except ServerFault as fault:
            if fault.number in _NO_GRANT:
                fault.message = f"register as a replica: {fault.message}"
                fault.hint = (
                    "GRANT REPLICATION SLAVE ON *.* TO the connector's account; `tailrace check` prints it whole"
                )
            raise

    def _send(self, command: bytes) -> None:
        channel = self.connection.hand_over()
        channel.packets.spill()
        channel.send(command, time.monotonic() + self._silence_timeout)
        channel.heard = time.monotonic()

    def _event(self, payload: bytes) -> bytes:
        """Check an event and take it out of its payload."""
        if isinstance(payload, Spilled):
            if payload[_TYPE] == TRANSACTION_PAYLOAD:
                return self._spilled(payload)
            with payload.reader() as reader:  # one row: it has to be in memory
                payload = reader.read()
        if len(payload) < _SHORTEST:
            raise lost_connection(f"an event has {len(payload) - 1} octets, less than its header")
        if payload[_TYPE] == _FORMAT_DESCRIPTION:
            # Its checksum is there even where it says that no other event has one, but need not be right then.
            self._checksums = payload[-_CHECKSUM - 1] == _CRC32
            if not self._checksums:
                return payload[1:-_CHECKSUM]
        elif self._checksums is None:
            # The rotation that comes first was made for us, with or without one.
            return payload[1:-_CHECKSUM] if _is_sound(payload) else payload[1:]
        elif not self._checksums:
            return payload[1:]
        if not _is_sound(payload):
            raise DamagedEvent(payload[_TYPE], len(payload) - 1)
        return payload[1:-_CHECKSUM]

    def _spilled(self, payload: Spilled) -> Spilled:
        if not self._checksums:
            return payload.part(1, payload.size)
        event = payload.part(1, payload.size - _CHECKSUM)
        if event.checksum() != int.from_bytes(payload.part(payload.size - _CHECKSUM, payload.size), "little"):
            raise DamagedEvent(payload[_TYPE], payload.size - 1)
        return event

    def _check_silence(self) -> None:
        silent = time.monotonic() - self.heard
        if silent > self._silence_timeout:
            raise LostConnection(
                f"the server has been silent for {silent:.0f} seconds",
                hint="the network is broken, or the server hangs",
            )


def _is_sound(payload: bytes) -> bool:
    return crc32(memoryview(payload)[1:-_CHECKSUM]) == int.from_bytes(payload[-_CHECKSUM:], "little")


def _ended(payload: bytes) -> TailraceFault:
    if payload[:1] == bytes([ERROR]):
        return dump_fault(*error_of(payload))
    if payload[:1] == bytes([END]):
        return lost_connection("the server ended the dump")
    return lost_connection(f"a packet of the dump begins with {payload[:1].hex() or 'nothing'}, not with {OK:02x}")
