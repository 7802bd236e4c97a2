"""Packets of the client/server protocol, cut out of a stream of octets, and the numbers and texts in them.

    Packet     length u24 · sequence number u8 · payload

A payload of 2^24 - 1 octets or more comes in several packets; one that is shorter than that, or empty, ends it. Source:
MySQL's manual of the protocol, "MySQL Packets", "Length-Encoded Integer". It does no I/O.
"""

from __future__ import annotations

from tailrace.core.events import take_events
from tailrace_mysql.fault import LostConnection, lost_connection
from tailrace_mysql.spill import Parts

HEADER = 4
LONGEST = 0xFFFFFF
"""Octets of payload that one packet can carry."""

OK, END, ERROR, NULL = 0x00, 0xFE, 0xFF, 0xFB
"""First octets of payloads; NULL stands for a value in a row."""
LONGEST_END = 9
"""A payload that begins with `END` and is this long is something else: a row."""


_ROOM = 256 * 1024
"""Octets that there is always room for; TLS gives a record of at most 16 KiB however much there is."""
_LARGE = 4 * 1024 * 1024
"""What a buffer keeps that a longer packet has made larger."""


class Packets:
    """Cuts payloads out of what is fed, in order; `sequence` is the number that the next packet must have.

    What comes is written into one buffer, whose octets from `_read` to before `_end` have not been taken.
    """

    __slots__ = ("_buffer", "_end", "_parts", "_read", "sequence")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._read = self._end = 0
        self._parts = Parts(spills=False)
        self.sequence = 0

    def spill(self) -> None:
        """From now on let payloads that are too long for memory be `Spilled`."""
        self._parts = Parts(spills=True)

    @property
    def size(self) -> int:
        """Octets that were fed and not taken."""
        return self._end - self._read

    @property
    def ready(self) -> bool:
        """Whether `take` would return something."""
        buffer, at, end = self._buffer, self._read, self._end
        while end - at >= HEADER:
            length = buffer[at] | buffer[at + 1] << 8 | buffer[at + 2] << 16
            if end - at - HEADER < length:
                return False
            if length < LONGEST:
                return True
            at += HEADER + length
        return False

    def feed(self, data: bytes) -> None:
        """Add octets."""
        with self.room(len(data)) as room:
            room[: len(data)] = data
        self.fed(len(data))

    def room(self, least: int = _ROOM) -> memoryview:
        """Return where the octets that come next are to be written; `fed` says how many they are.

        To be released before anything else is done here.
        """
        rest = self._end - self._read
        if len(self._buffer) > _LARGE >= rest + least:
            self._buffer = self._buffer[self._read : self._end]
        elif self._read:
            self._buffer[:rest] = self._buffer[self._read : self._end]
        self._read, self._end = 0, rest
        if len(self._buffer) - rest < least:
            self._buffer += bytes(max(least, len(self._buffer)))
        return memoryview(self._buffer)[rest:]

    def fed(self, octets: int) -> None:
        """Take note that so many octets were written where `room` said."""
        self._end += octets

    def take_events(self, most: int, most_bytes: int) -> list[bytes]:
        """Return events of the binlog that have a checksum, without it, up to the first payload that is something else.

        That one is left to `take`, and so is an event whose checksum does not fit.
        """
        events: list[bytes] = []
        if not self._parts:
            place = self._read, self._end
            self._read, self.sequence = take_events(self._buffer, place, self.sequence, events, most, most_bytes)
        return events

    def take(self, most: int, most_bytes: int) -> list[bytes]:
        """Return whole payloads: at most `most`, and none after `most_bytes` octets are reached.

        Raises `LostConnection` where the sequence is broken; an error that comes out of order is handed out, as a
        server that shuts down sends it.
        """
        taken: list[bytes] = []
        buffer, at, sequence, size = self._buffer, self._read, self.sequence, 0
        end = self._end
        with memoryview(buffer) as view:
            while end - at >= HEADER and len(taken) < most and size < most_bytes:
                length = buffer[at] | buffer[at + 1] << 8 | buffer[at + 2] << 16
                begin = at + HEADER
                if end - begin < length:
                    break
                if buffer[at + 3] != sequence and not (length and buffer[begin] == ERROR):
                    raise _out_of_order(buffer[at + 3], sequence)
                sequence = (sequence + 1) & 0xFF
                at = begin + length
                payload = bytes(view[begin:at])
                if length == LONGEST or self._parts:
                    self._parts.add(payload)
                    if length == LONGEST:
                        continue
                    payload = self._parts.whole()
                size += len(payload)
                taken.append(payload)
        self._read, self.sequence = at, sequence
        return taken


def framed(payload: bytes, sequence: int = 0) -> bytes:
    """Return a payload as the packets to send."""
    parts = []
    for begin in range(0, len(payload) + 1, LONGEST):
        part = payload[begin : begin + LONGEST]
        parts.append(len(part).to_bytes(3, "little") + bytes([sequence & 0xFF]) + part)
        sequence += 1
    return b"".join(parts)


def is_end(payload: bytes) -> bool:
    """Whether a payload ends a list of columns or rows."""
    return len(payload) < LONGEST_END and payload[:1] == b"\xfe"


def error_of(payload: bytes) -> tuple[int, str]:
    """Return number and message of an error packet: u8 255 · number u16 · ['#' · state, 5 octets] · message."""
    begin = 9 if payload[3:4] == b"#" else 3
    return int.from_bytes(payload[1:3], "little"), payload[begin:].decode(errors="replace")


def lenenc(payload: bytes, at: int) -> tuple[int, int]:
    """Return the length-encoded integer at `at` and where it ends; raises `LostConnection` for one that is none."""
    first = payload[at] if at < len(payload) else 0xFF
    if first < NULL:
        return first, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not size or at + 1 + size > len(payload):
        raise lost_connection("a packet holds a length that is none")
    return int.from_bytes(payload[at + 1 : at + 1 + size], "little"), at + 1 + size


def cells(row: bytes) -> list[bytes | None]:
    """Cut a row of the text protocol: each value a length and its octets, or 0xFB for NULL."""
    values: list[bytes | None] = []
    at, end = 0, len(row)
    while at < end:
        if row[at] == NULL:
            values.append(None)
            at += 1
            continue
        length, begin = lenenc(row, at)
        at = begin + length
        if at > end:
            raise lost_connection("a row holds a value that is longer than the row")
        values.append(row[begin:at])
    return values


def _out_of_order(found: int, expected: int) -> LostConnection:
    return lost_connection(f"packet {found} came instead of packet {expected}")
