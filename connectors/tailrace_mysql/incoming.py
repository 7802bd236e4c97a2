"""Events that the stream has been given and has not taken: those of the dump, and those that one of them holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence


class Incoming:
    """Gives events out in the order of the binlog; a compressed transaction's come before what follows it."""

    __slots__ = ("_backlog", "_packed", "_unpacked")

    def __init__(self) -> None:
        self._backlog: deque[bytes] = deque()
        self._packed: Iterator[Sequence[bytes]] | None = None
        self._unpacked: deque[bytes] = deque()

    def __bool__(self) -> bool:
        return bool(self._backlog) or self._packed is not None

    @property
    def packed(self) -> bool:
        """Whether the event that was given out last came out of another one: it has no place of its own."""
        return self._packed is not None

    def feed(self, events: Sequence[bytes]) -> None:
        """Take events in."""
        self._backlog.extend(events)

    def unpack(self, events: Iterator[Sequence[bytes]]) -> None:
        """Give these out next; they are asked for as they are needed."""
        self._packed = events

    def front(self) -> deque[bytes]:
        """Return the events whose turn it is, from which some may be taken; empty: there are none."""
        while self._packed is not None:
            if self._unpacked:
                return self._unpacked
            more = next(self._packed, None)
            if more is None:
                self._packed = None
            else:
                self._unpacked.extend(more)
        return self._backlog

    def next(self) -> bytes | None:
        """Return the next event."""
        front = self.front()
        return front.popleft() if front else None
