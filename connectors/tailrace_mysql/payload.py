"""What servers compress: whole transactions (MySQL, zstd), single statements and rows events (MariaDB, zlib).

    Transaction payload   (field lenenc · length lenenc · value)* · 0 · payload, to the end
                          fields: 1 size of the payload · 2 algorithm, 0 zstd, 255 none · 3 size when decompressed
    payload               events, each with its header but without a checksum, one after the other
    deflated              head u8: 0x80 | algorithm (0 zlib) << 4 | octets of the size · size, big-endian ·
                          zlib's octets

A payload of any size is decompressed as it is read, a few events at a time. Source: MySQL's manual of the binlog events
(`Transaction_payload_event`); MariaDB Knowledge Base, "Binlog Event Compression".
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import zstandard

from tailrace.core.events import cut_events
from tailrace_mysql.body import Body
from tailrace_mysql.header import HEADER_SIZE, Header, MalformedEvent
from tailrace_mysql.spill import Spilled

TRANSACTION_PAYLOAD = 40
"""The type of its event."""

_ZSTD, _NONE = 0, 255
_SIZE_AT = 9
_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class TransactionPayload:
    """The events of one transaction, compressed: all that follow its GTID. `size` is theirs when decompressed.

    `octets` may be `Spilled`.
    """

    header: Header
    algorithm: int
    size: int
    octets: bytes

    def events(self, file: str = "") -> Iterator[list[bytes]]:
        """Yield the events, headers included, a few at a time; raises `MalformedEvent` where they are damaged."""
        source = self.octets.reader() if isinstance(self.octets, Spilled) else io.BytesIO(self.octets)
        reader = zstandard.ZstdDecompressor().stream_reader(source) if self.algorithm == _ZSTD else source
        try:
            yield from _events(reader)
        except (zstandard.ZstdError, EOFError, ValueError) as error:
            raise MalformedEvent(
                f"compressed transaction in {file or 'the dump'} at {self.header.start_pos} cannot be read: {error}",
                hint="the binlog or the connection is damaged: see whether mysqlbinlog can read it",
            ) from error


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _events(reader: zstandard.ZstdDecompressionReader | io.BufferedIOBase) -> Iterator[list[bytes]]:
    buffered = io.BufferedReader(reader, _BLOCK)
    rest = b""
    while more := buffered.read(_BLOCK):
        block = rest + more
        events: list[bytes] = []
        at = cut_events(block, events)
        if not events and len(block) >= HEADER_SIZE:
            size = int.from_bytes(block[_SIZE_AT : _SIZE_AT + 4], "little")
            events, at = [block + _exactly(buffered, size - len(block))], size
        yield events
        rest = block[at:]
    if rest:
        raise EOFError(f"it ends after {len(rest)} octets of an event")


def _exactly(reader: _Readable, octets: int) -> bytes:
    data = reader.read(octets)
    if len(data) < octets:
        raise EOFError(f"it ends after {len(data)} of {octets} octets")
    return data


def transaction_payload(header: Header, body: Body) -> TransactionPayload:
    """Read the body of a compressed transaction; refuses algorithms that are unknown."""
    fields = {1: 0, 2: _NONE, 3: 0}
    while field := body.lenenc():
        value = Body(body.lenenc_bytes())
        if field in fields:
            fields[field] = value.lenenc()
    if fields[2] not in {_ZSTD, _NONE}:
        raise ValueError(f"compression algorithm {fields[2]} is unknown")
    event = body.data
    octets = event.part(body.at, event.size) if isinstance(event, Spilled) else body.rest()
    follow = octets.size if isinstance(octets, Spilled) else len(octets)
    if fields[1] != follow:
        raise ValueError(f"{fields[1]} octets are announced, {follow} follow")
    return TransactionPayload(header, fields[2], fields[3] or follow, octets)


def inflated(body: Body) -> bytes:
    """Return what MariaDB deflated, reading to the end of `body`."""
    head = body.u(1)
    if not head & 0x80 or head & 0x70:
        raise ValueError(f"compression {head:#x} is unknown")
    size = int.from_bytes(body.take(head & 0x07), "big")
    reader = zlib.decompressobj()
    try:
        octets = reader.decompress(body.rest(), size + 1)
    except zlib.error as error:
        raise ValueError(f"it cannot be decompressed: {error}") from error
    if len(octets) != size:
        raise ValueError(f"{size} octets are announced, {len(octets)} came out")
    return octets
