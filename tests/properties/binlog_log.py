"""The binlog of a modelled server: files of events as MySQL and MariaDB write them, and dumps that send them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from struct import pack
from uuid import UUID

from tailrace_mysql.fault import lost_connection
from tailrace_mysql.gtid import GtidPosition, GtidSet
from unit.mysql.binlog import SERVER_ID, event, names, rows_body

UUID_TEXT = "11111111-2222-3333-4444-555555555555"
FIRST = 4
"""Where the events of a file begin."""
ARTIFICIAL = 0x20

Row = tuple[int, int]
"""Key and version."""


@dataclass(frozen=True)
class RowChange:
    """One change of a row; None where there is no row."""

    table: str
    old: Row | None
    new: Row | None


@dataclass(frozen=True)
class Logged:
    """A transaction in the binlog: changes of rows, or the table that it emptied. `number` is that of its GTID."""

    number: int
    changes: Sequence[RowChange]
    emptied: str = ""


@dataclass
class Entry:
    """What lies together in a file: a transaction's events, or those about the file itself."""

    file: str
    start: int
    events: list[bytes] = field(default_factory=list)
    logged: Logged | None = None
    end: int = 0


class Log:
    """The files, from the number `first` on."""

    def __init__(self, *, mariadb: bool, gtids: bool, keyless: bool, first: int) -> None:
        self.entries: list[Entry] = []
        self._mariadb = mariadb
        self._gtids = gtids
        self._keyless = keyless
        self._number = first
        self._open()

    @property
    def file(self) -> str:
        return f"binlog.{self._number:06}"

    @property
    def end(self) -> int:
        return self.entries[-1].end

    @property
    def files(self) -> dict[str, int]:
        return {entry.file: entry.end for entry in self.entries}

    @property
    def logged(self) -> Iterator[Logged]:
        return (entry.logged for entry in self.entries if entry.logged is not None)

    def rotate(self) -> None:
        name = f"binlog.{self._number + 1:06}"
        self._put(None, [(4, pack("<Q", FIRST) + name.encode())])
        self._number += 1
        self._open()

    def append(self, logged: Logged) -> Entry:
        begin = self._gtid(logged)
        if logged.emptied:
            return self._put(logged, [begin, (2, _query(f"TRUNCATE TABLE {logged.emptied}"))])
        opening = [] if self._mariadb else [(2, _query("BEGIN"))]
        rows = [part for change in logged.changes for part in self._rows(change)]
        return self._put(logged, [begin, *opening, *rows, (16, pack("<Q", logged.number))])

    def last_before(self, file: str, pos: int) -> int:
        """Return the number of the last transaction that ends at or before a place."""
        ends = (entry for entry in self.entries if (entry.file, entry.end) <= (file, pos))
        return max((entry.logged.number for entry in ends if entry.logged is not None), default=0)

    def _open(self) -> None:
        self.entries.append(Entry(self.file, FIRST, end=FIRST))
        about = [(15, pack("<H50sIB", 4, b"10.11.6-MariaDB" if self._mariadb else b"9.7.0", 0, 19))]
        numbers = [logged.number for logged in self.logged]
        if self._mariadb:
            about.append((163, pack("<IIIQ", 1, 0, SERVER_ID, numbers[-1]) if numbers else pack("<I", 0)))
        elif self._gtids:
            text = f"{UUID_TEXT}:1-{len(numbers)}" if numbers else ""
            about.append((35, GtidSet.parse(text).encode()))
        self._put(None, about)

    def _put(self, logged: Logged | None, parts: Sequence[tuple[int, bytes]]) -> Entry:
        entry = Entry(self.file, self.entries[-1].end, logged=logged)
        at = entry.start
        for kind, body in parts:
            at += 19 + len(body)
            entry.events.append(event(kind, body, end_pos=at))
        entry.end = at
        self.entries.append(entry)
        return entry

    def _gtid(self, logged: Logged) -> tuple[int, bytes]:
        if self._mariadb:
            return 162, pack("<QIB", logged.number, 0, 33 if logged.emptied else 4) + bytes(6)
        number = logged.number if self._gtids else 0
        body = b"\1" + UUID(UUID_TEXT).bytes + pack("<qB", number, 2) + bytes(16) + pack("<Q", 5)[:7] + b"\x20"
        return (33 if self._gtids else 34), body

    def _rows(self, change: RowChange) -> list[tuple[int, bytes]]:
        table = "tu".index(change.table) + 5
        fields = [(1, b"\0"), names("id", "version"), *([] if self._keyless else [(8, b"\0")])]
        optional = b"".join(bytes((number, len(value))) + value for number, value in fields)
        described = b"\x01d\0\x01" + change.table.encode() + b"\0\x02\x03\x03\0\0" + optional
        images = b"".join(b"\0" + pack("<ii", *row) for row in (change.old, change.new) if row is not None)
        kind = 30 if change.old is None else 32 if change.new is None else 31
        after = b"\x03" if kind == 31 else b""
        body = rows_body(2, images, present=b"\x03", after=after, table=table)
        return [(19, table.to_bytes(6, "little") + b"\1\0" + described), (kind, body)]


def _query(text: str) -> bytes:
    return pack("<IIBHH", 8, 0, 1, 0, 0) + b"d\0" + text.encode()


def rotation(file: str, pos: int) -> bytes:
    """Return the event by which a server says where what it sends next lies."""
    return event(4, pack("<Q", pos) + file.encode(), end_pos=0, flags=ARTIFICIAL)


class ModelDump:
    """A dump connection; how much it sends at once, and when it begins to, is chosen at random."""

    socket = None
    pending = False
    heard = 0.0

    def __init__(self, rng: random.Random, log: Log, tick: Callable[[], None]) -> None:
        self._rng = rng
        self._log = log
        self._tick = tick
        self._index = 0
        self._known: GtidSet | GtidPosition | None = None
        self._ready: deque[bytes] = deque()
        self._begun = False
        self.closed = False

    def start_at(self, file: str, pos: int = FIRST) -> None:
        ends = [(entry.file, entry.end) for entry in self._log.entries]
        self._index = next((index for index, end in enumerate(ends) if end > (file, pos)), len(ends))
        self._ready.append(rotation(file, pos))

    def start_after(self, gtids: GtidSet | GtidPosition) -> None:
        self._known = gtids
        first = next((entry for entry in self._log.entries if entry.logged and not self._knows(entry.logged)), None)
        file = self._log.file if first is None else first.file
        self._index = next(i for i, entry in enumerate(self._log.entries) if entry.file == file)
        self._ready.append(rotation(file, FIRST))

    def receive(self, most: int, _: int) -> list[bytes]:
        assert not self.closed
        self._tick()
        chance = self._rng.random()
        if chance < 0.003:
            raise lost_connection("it was cut")
        if not self._begun and chance < 0.85:
            return []
        self._begun = True
        taken: list[bytes] = []
        for _ in range(min(most, self._rng.choice([0, 7, 60, 60]))):
            if not self._ready and not self._next():
                break
            taken.append(self._ready.popleft())
        return taken or self._heartbeat()

    def close(self) -> None:
        self.closed = True

    @property
    def drained(self) -> bool:
        """Whether all that there is has been sent."""
        return not self._ready and self._index == len(self._log.entries)

    def _next(self) -> bool:
        """Make the next entry ready that is to be sent; False: there is none."""
        while self._index < len(self._log.entries):
            entry = self._log.entries[self._index]
            self._index += 1
            if entry.logged is not None and self._known is not None and self._knows(entry.logged):
                if self._rng.random() < 0.5:
                    self._ready.append(event(27, entry.file.encode(), end_pos=entry.end))
                    return True
                continue
            if entry.start == entry.end == FIRST and self._index > 1:
                self._ready.append(rotation(entry.file, FIRST))
                return True
            self._ready.extend(entry.events)
            if entry.events:
                return True
        return False

    def _heartbeat(self) -> list[bytes]:
        if not self.drained or self._rng.random() < 0.5:
            return []
        return [event(27, self._log.file.encode(), end_pos=self._log.end)]

    def _knows(self, logged: Logged) -> bool:
        if isinstance(self._known, GtidSet):
            return self._known.contains(UUID_TEXT, logged.number)
        assert isinstance(self._known, GtidPosition)
        return self._known.contains(0, logged.number)
