"""What every event of the binlog begins with.

    Header     timestamp u32 · type u8 · server id u32 · size u32 · end position u32 · flags u16       = 19 octets

`size` is that of the whole event as it rests in the file, checksum included. Source: MySQL manual of the protocol,
"Binlog Event header"; MariaDB Knowledge Base, "2-Binlog Event Header".
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from tailrace.errors import Fatal

_HEADER = Struct("<IBIIIH")
HEADER_SIZE = _HEADER.size

ARTIFICIAL = 0x20
"""Flag of an event that the server made for this connection; it is in no file."""
_POSITIONS = 1 << 32


class MalformedEvent(Fatal):
    """The server sent an event that is damaged, or of a kind that this version of Tailrace does not know."""


class UnsupportedEvent(Fatal):
    """The server wrote an event that cannot become row changes, and said so by its kind."""


class Header(NamedTuple):
    """What is known of an event before it is looked at. `timestamp` is in seconds since 1970.

    A tuple, as are the events that each transaction has: to make one takes a quarter of the time of a frozen dataclass.
    """

    timestamp: int
    type: int
    server_id: int
    size: int
    end_pos: int
    flags: int

    @property
    def artificial(self) -> bool:
        """Whether the server made the event for this connection: it does not move the position."""
        return bool(self.flags & ARTIFICIAL)

    @property
    def start_pos(self) -> int:
        """Where the event begins in its file."""
        return (self.end_pos - self.size) % _POSITIONS


def header_of(event: bytes, file: str = "") -> Header:
    """Return the header of a whole event; `file` is for the error alone."""
    if len(event) < HEADER_SIZE:
        raise MalformedEvent(f"binlog event in {file or 'the dump'} has {len(event)} octets, less than its header")
    return Header._make(_HEADER.unpack_from(event))


def place(header: Header, file: str) -> str:
    """Return where an event is, for messages."""
    return f"{file or 'the dump'} at {header.start_pos}"
